//! A page in a real browser: it shows what is on it, plays, and switches in mid-play.

mod browser;

use std::{f32::consts::TAU, fs, path::Path};

use audiodiff::{
    eval::{
        Sound,
        picture::{FrequencyScale, Grid, Picture},
    },
    mel::MelScale,
    report::{Cell, Clip, Figure, Html, Page, Table, Track},
};
use browser::Browser;

/// Four seconds of a tone and its spectrogram.
fn track(name: &str, hz: f32) -> Track {
    let samples = (0..96_000).map(|i| 0.9 * (TAU * hz * (i % 24_000) as f32 / 24_000.0).sin()).collect();
    let sound = Sound::mono(samples, 24_000);
    let grid = Grid::spectrum(&sound);
    let picture = Picture {
        title: name.into(),
        grid: &grid,
        range: [-80.0, -6.0],
        difference: false,
        axis: FrequencyScale::Mel(MelScale::Htk),
        seconds: 4.0,
        size: (560, 220),
    };
    Track::new(name).with_sound(&sound).with_figure(Figure::draw(&picture, "a line").unwrap())
}

/// A table and two clips; the second has a track without sound.
fn write(path: &Path) {
    let mut page = Page::create(path, "Tones").unwrap();
    let mut html = Html::new();
    let row = |name: &str, value| vec![Cell::text(name), Cell::number(value, 1)];
    let head = vec![("tone".into(), String::new()), ("Hz".into(), "how high".into())];
    let rows = vec![row("middle", 440.0), row("low", 55.0), row("high", 3520.0)];
    html.table(&Table { caption: "three".into(), head, rows, sortable: true });
    let clip = |id: &str, tracks| Clip { id: id.into(), title: id.into(), note: "a note".into(), tracks };
    html.clip(&clip("first", vec![track("low <tone>", 440.0), track("high tone", 3520.0)]));
    html.clip(&clip("second", vec![Track::new("lost").with_note("is silent"), track("another", 880.0)]));
    page.write(&html).unwrap();
    page.finish().unwrap();
}

#[test]
fn the_page_is_there_to_see() {
    let Some(browser) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tones.html");
    write(&path);
    let shot = browser.screenshot(&path, 1200, 1000);
    assert_eq!(shot.size(), (1200, 1000));
    // The lightest colours of the map for levels: the tone's line, nowhere else on the page.
    assert!(shot.count([252, 253, 191]) > 200, "{}", shot.count([252, 253, 191]));
    // The darkest is the spectrograms' silence; letters are thinner.
    assert!(shot.count([0, 0, 4]) > 100_000, "{}", shot.count([0, 0, 4]));
    // Letters at the top.
    assert!(shot.colours(0, 0, 400, 120) > 5);
}

#[test]
fn scripts_run_without_errors_and_players_are_there() {
    let Some(browser) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tones.html");
    write(&path);
    let dom = browser.dom(&path, 1000);
    assert!(dom.contains("data-errors=\"0\"") && dom.contains("data-players=\"2\""), "{}", &dom[..300]);
    assert_eq!(dom.matches("class=\"player\"").count(), 2);
    assert!(dom.contains("0.00 / 4.00 s"), "the length is read from the sound");
    assert!(dom.contains("low &lt;tone&gt;"));
}

/// What a listener does, as a script behind the page's own; what came of it is written into the title.
#[test]
fn a_player_switches_without_losing_its_place() {
    let Some(browser) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tones.html");
    write(&path);
    let script = r#"
        const said = [];
        const clip = document.getElementById("first");
        const place = () => Number(clip.querySelector("input[type=range]").value);
        const heard = () => clip.querySelector(".heard").dataset.name;
        const button = () => clip.querySelector(".player button").textContent.match(/\w+/)[0];
        // The keyboard's target is the body, as after a page was loaded.
        const key = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        const steps = [
            () => { key("ArrowRight"); said.push("at " + place().toFixed(1)); key(" "); },
            () => { const before = place(); key("2"); const after = place();
                    said.push(heard(), button(), after >= before && after < before + 0.3 ? "same place" : before + " " + after); },
            () => { key("n"); key(" "); said.push(button(), document.activeElement.closest(".clip").id); key(" "); },
            () => { document.querySelectorAll("thead button")[1].click();
                    said.push([...document.querySelectorAll("tbody th")].map((cell) => cell.textContent).join(" "));
                    document.title = said.join(" | "); },
        ];
        // The browser's clock runs ahead of the sound: the second step is for when something was heard.
        const next = () => {
            if (steps.length !== 3 || place() > 1.2) steps.shift()();
            if (steps.length > 0) setTimeout(next, 10);
        };
        next();
    "#;
    let page = fs::read_to_string(&path).unwrap().replace("</body>", &format!("<script>{script}</script></body>"));
    fs::write(&path, page).unwrap();
    let dom = browser.dom(&path, 600_000);
    let title = dom.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    assert_eq!(title, "at 1.0 | high tone | Pause | same place | Play | second | low middle high");
    assert!(dom.contains("data-errors=\"0\""));
}
