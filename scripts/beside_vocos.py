"""Sound per second of this machine: audiodiff beside Vocos on the same mels, in turns.

    cargo build --release && pip install vocos
    python scripts/beside_vocos.py [PROGRAM] [--seconds 60] [--runs 7] [--threads 2]

Vocos (Siuzdak 2023) has the sizes of its 24 kHz mel model and random weights, which take as long as trained ones; it renders the
whole mel at once, without reading or writing anything; audiodiff renders in chunks into a file, as it always does. Both in f32 and,
where the processor multiplies it, in bf16 (Vocos' backbone by autocast). What a program takes to begin is the time of a mel of one
second, and is taken off. Each row is the median of the runs, and their range, in seconds of sound a second."""

import argparse
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np
import torch
from vocos.heads import ISTFTHead
from vocos.models import VocosBackbone

RATE, HOP, BANDS = 24_000, 256, 100


def vocos():
    torch.manual_seed(0)
    backbone = VocosBackbone(input_channels=BANDS, dim=512, intermediate_dim=1536, num_layers=8).eval()
    head = ISTFTHead(dim=512, n_fft=1024, hop_length=HOP, padding="center").eval()

    def render(mel, autocast):
        with torch.inference_mode():
            # The head's complex numbers have no bf16.
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                hidden = backbone(torch.from_numpy(mel)[None])
            return head(hidden.float())

    return render


def took(work):
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("program", nargs="?", default="target/release/audiodiff")
    arguments.add_argument("--seconds", type=float, default=60.0, help="of sound a run")
    arguments.add_argument("--runs", type=int, default=7)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--model", default="builtin")
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    network, native_bf16 = vocos(), "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text()

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        mels = {seconds: folder / f"{seconds}.npy" for seconds in (1.0, given.seconds)}
        for seconds, path in mels.items():
            frames = int(seconds * RATE / HOP) + 1
            # Neighbours alike, as in sound.
            noise = np.random.default_rng(0).standard_normal((BANDS, frames + 8))
            smooth = np.lib.stride_tricks.sliding_window_view(noise, 9, axis=1).mean(-1)
            np.save(path, (smooth * 3 - 4).astype(np.float32))
        mel = np.load(mels[given.seconds])

        def by_program(quality, precision):
            def render(seconds):
                of = ["--convention", "f5-tts", "--model", given.model, "--quality", quality, "--precision", precision]
                out = ["-o", folder / "out.wav", "-q", "-y", "-t", str(given.threads)]
                subprocess.run([given.program, "render", mels[seconds], *of, *out], check=True)

            return took(lambda: render(given.seconds)) - took(lambda: render(1.0))

        whole, beyond = given.seconds, given.seconds - 1.0
        systems = {}
        for precision in ("f32", "bf16") if native_bf16 else ("f32",):
            work = lambda p=precision: took(lambda: network(mel, p == "bf16"))
            systems[f"Vocos {precision}"] = (whole, work)
            for quality in ("draft", "standard", "best"):
                work = lambda q=quality, p=precision: by_program(q, p)
                systems[f"audiodiff {quality} {precision}"] = (beyond, work)

        rates = {name: [] for name in systems}
        for turn in range(given.runs + 1):
            for name, (seconds, work) in systems.items():
                rate = seconds / work()
                # The first turn warms up.
                if turn > 0:
                    rates[name].append(rate)
    for name, runs in rates.items():
        print(f"{name:26s} {statistics.median(runs):6.1f} x real time ({min(runs):.1f} to {max(runs):.1f})")


if __name__ == "__main__":
    main()
