"use strict";
// Players that switch between the tracks of a clip without losing the place, and tables that sort.
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  // What goes wrong is said on the page, not in a console that nobody looks at.
  let errors = 0;
  const failed = (what) => {
    root.dataset.errors = ++errors;
    const line = document.createElement("p");
    line.className = "warning";
    line.textContent = "This page's script failed: " + what;
    document.body.prepend(line);
  };
  root.dataset.errors = 0;
  addEventListener("error", (event) => failed(event.message));
  addEventListener("unhandledrejection", (event) => failed(event.reason));

  const element = (tag, properties = {}, children = []) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  let context = null;
  let playing = null;
  let current = null;

  // The samples of an <audio> whose source is a mono 16-bit WAV in base64.
  function decode(audio) {
    const text = atob(audio.src.slice(audio.src.indexOf(",") + 1));
    const bytes = new DataView(new ArrayBuffer(text.length));
    for (let i = 0; i < text.length; i++) bytes.setUint8(i, text.charCodeAt(i));
    let rate = 0;
    for (let at = 12; at + 8 <= bytes.byteLength; ) {
      const id = text.slice(at, at + 4), size = bytes.getUint32(at + 4, true);
      if (id === "fmt ") rate = bytes.getUint32(at + 12, true);
      if (id === "data") {
        const count = Math.min(size, bytes.byteLength - at - 8) >> 1;
        const buffer = context.createBuffer(1, Math.max(1, count), rate);
        const samples = buffer.getChannelData(0);
        for (let i = 0; i < count; i++) samples[i] = bytes.getInt16(at + 8 + 2 * i, true) / 32768;
        return buffer;
      }
      at += 8 + size + (size & 1);
    }
    throw new Error("a sound on this page is damaged");
  }

  // Seconds of that sound, from the length of its base64 alone: nothing is decoded before it is played.
  function secondsOf(audio) {
    const start = audio.src.indexOf(",") + 1;
    const head = atob(audio.src.slice(start, start + 60));
    const rate = [0, 1, 2, 3].reduce((sum, i) => sum + head.charCodeAt(24 + i) * 256 ** i, 0);
    return Math.max(0, ((audio.src.length - start) * 3 / 4 - 44) / 2 / rate);
  }

  class Clip {
    constructor(section, number) {
      this.section = section;
      this.tracks = [...section.querySelectorAll(".track")]
        .map((track) => ({ track, audio: track.querySelector("audio") }))
        .filter(({ audio }) => audio);
      this.figures = [...section.querySelectorAll("figure[data-seconds]")];
      this.at = 0;
      this.chosen = 0;
      this.voices = null;
      if (this.tracks.length === 0) return;
      this.seconds = Math.max(...this.tracks.map(({ audio }) => secondsOf(audio)));
      this.button = element("button", { type: "button", textContent: "▶ Play", onclick: () => this.toggle() });
      this.slider = element("input", { type: "range", min: 0, max: this.seconds, step: 0.01, value: 0 });
      this.slider.setAttribute("aria-label", "position in seconds");
      this.slider.oninput = () => this.seek(Number(this.slider.value));
      this.time = element("output");
      this.repeat = element("input", { type: "checkbox" });
      this.radios = this.tracks.map((_, i) =>
        element("input", { type: "radio", name: "clip" + number, checked: i === 0, onchange: () => this.choose(i) }));
      const choices = element("fieldset", { className: "choices" }, this.tracks.map(({ track }, i) =>
        element("label", {}, [this.radios[i], i < 9 ? element("kbd", { textContent: i + 1 }) : "", " " + track.dataset.name])));
      choices.setAttribute("aria-label", "heard");
      const player = element("div", { className: "player" },
        [this.button, this.slider, this.time, choices, element("label", {}, [this.repeat, "repeat"])]);
      section.insertBefore(player, section.querySelector(".track"));
      for (const figure of this.figures) {
        const move = (event) => {
          const box = figure.getBoundingClientRect(), style = getComputedStyle(figure);
          const share = ((event.clientX - box.left) / box.width - style.getPropertyValue("--left")) / style.getPropertyValue("--span");
          if (share < 0 || share > 1) return;
          const index = this.tracks.findIndex(({ track }) => track.contains(figure));
          if (index >= 0) this.choose(index);
          this.seek(share * Number(figure.dataset.seconds));
        };
        figure.addEventListener("pointerdown", move);
        figure.addEventListener("pointermove", (event) => { if (event.buttons & 1) move(event); });
        figure.querySelector("img").draggable = false;
      }
      section.addEventListener("pointerdown", () => this.makeCurrent(), true);
      section.addEventListener("focusin", () => this.makeCurrent());
      this.choose(0);
      this.show();
    }

    makeCurrent() {
      if (current === this) return;
      if (current) current.section.classList.remove("current");
      current = this;
      this.section.classList.add("current");
    }

    position() {
      if (!this.voices) return this.at;
      return Math.min(this.seconds, this.voices.from + Math.max(0, context.currentTime - this.voices.start));
    }

    // All tracks run together and one of them is loud, so that a switch is heard at once and at the same place.
    play() {
      context = context || new AudioContext();
      context.resume();
      if (playing && playing !== this) playing.pause();
      if (this.at >= this.seconds - 0.01) this.at = 0;
      this.buffers = this.buffers || this.tracks.map(({ audio }) => decode(audio));
      const start = context.currentTime + 0.03;
      const gains = this.buffers.map((buffer, i) => {
        const gain = context.createGain();
        gain.gain.value = i === this.chosen ? 1 : 0;
        gain.connect(context.destination);
        if (this.at < buffer.duration) {
          const source = context.createBufferSource();
          source.buffer = buffer;
          source.connect(gain);
          source.start(start, this.at);
          gain.source = source;
        }
        return gain;
      });
      this.voices = { gains, start, from: this.at };
      playing = this;
      this.makeCurrent();
      this.button.textContent = "❚❚ Pause";
      this.section.classList.add("moved");
      requestAnimationFrame(() => this.follow());
    }

    silence() {
      if (!this.voices) return;
      for (const gain of this.voices.gains) {
        // Faded within 10 ms: a cut clicks.
        gain.gain.setTargetAtTime(0, context.currentTime, 0.003);
        if (gain.source) gain.source.stop(context.currentTime + 0.02);
      }
      this.voices = null;
    }

    pause() {
      this.at = this.position();
      this.silence();
      if (playing === this) playing = null;
      this.button.textContent = "▶ Play";
      this.show();
    }

    toggle() {
      if (this.voices) this.pause(); else this.play();
    }

    seek(seconds) {
      const goesOn = this.voices !== null;
      this.silence();
      this.at = Math.max(0, Math.min(this.seconds, seconds));
      this.section.classList.add("moved");
      if (goesOn) this.play(); else this.show();
    }

    choose(index) {
      if (index >= this.tracks.length) return;
      this.chosen = index;
      this.radios[index].checked = true;
      this.tracks.forEach(({ track }, i) => track.classList.toggle("heard", i === index));
      if (!this.voices) return;
      this.voices.gains.forEach((gain, i) => gain.gain.setTargetAtTime(i === index ? 1 : 0, context.currentTime, 0.004));
    }

    follow() {
      if (!this.voices) return;
      if (this.position() >= this.seconds) {
        this.pause();
        this.at = 0;
        if (this.repeat.checked) return this.play();
        return this.show();
      }
      this.show();
      requestAnimationFrame(() => this.follow());
    }

    show() {
      const at = this.position();
      this.slider.value = at;
      this.time.textContent = at.toFixed(2) + " / " + this.seconds.toFixed(2) + " s";
      for (const figure of this.figures) {
        figure.style.setProperty("--at", Math.min(1, at / Number(figure.dataset.seconds)));
      }
    }
  }

  const clips = [...document.querySelectorAll(".clip")].map((section, i) => new Clip(section, i))
    .filter((clip) => clip.tracks.length > 0);
  root.dataset.players = clips.length;

  // The clip that keys are meant for: the last one touched, else the first one in sight.
  const inSight = () => clips.find((clip) => clip.section.getBoundingClientRect().bottom > 100) || clips[0];

  addEventListener("keydown", (event) => {
    if (clips.length === 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const clip = current || inSight();
    const on = event.target.tagName;
    const native = on === "INPUT" || on === "BUTTON" || on === "SUMMARY" || on === "A";
    const act = (action) => { event.preventDefault(); action(); };
    if (event.key >= "1" && event.key <= "9") return act(() => { clip.makeCurrent(); clip.choose(Number(event.key) - 1); });
    if (event.key === "n" || event.key === "p") {
      const next = clips[clips.indexOf(clip) + (event.key === "n" ? (current ? 1 : 0) : -1)];
      return act(() => { if (next) { next.makeCurrent(); next.section.scrollIntoView(); next.button.focus(); } });
    }
    if (event.key === "r") return act(() => { clip.repeat.checked = !clip.repeat.checked; });
    if (native && !(event.key === " " && on === "INPUT" && event.target.type === "range")) return;
    if (event.key === " ") act(() => clip.toggle());
    if (native) return;
    if (event.key === "ArrowLeft") act(() => clip.seek(clip.position() - 1));
    if (event.key === "ArrowRight") act(() => clip.seek(clip.position() + 1));
    if (event.key === "Home") act(() => clip.seek(0));
  });

  if (clips.length > 0) {
    const keys = [["Space", "plays and pauses"], ["1", "to "], ["9", "choose the sound"], ["←", ""], ["→", "move by a second"],
      ["Home", "to the start"], ["n", ""], ["p", "next and previous clip"], ["r", "repeats"]];
    const line = element("p", { className: "keys" }, keys.flatMap(([key, text]) => [element("kbd", { textContent: key }),
      text === "" ? " " : text === "to " ? " to " : " " + text + (key === "r" ? ". A click in a picture moves there." : ", ")]));
    clips[0].section.before(line);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = element("button", { type: "button" }, [...head.childNodes]);
      head.append(button);
      button.onclick = () => {
        const ascending = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        const key = (row) => {
          const cell = row.cells[column];
          if (cell.dataset.value === undefined) return cell.textContent;
          return cell.dataset.value === "" ? NaN : Number(cell.dataset.value);
        };
        // What has no number stays at the end either way.
        const order = (a, b) => {
          const [x, y] = [key(a), key(b)];
          if (typeof x === "string") return (ascending ? 1 : -1) * x.localeCompare(y, undefined, { numeric: true });
          return (isNaN(x) - isNaN(y)) || (ascending ? x - y : y - x);
        };
        const body = table.tBodies[0];
        body.append(...[...body.rows].sort(order));
      };
    });
  }
})();
