//! `audiodiff eval` as its user runs it: known answers, what is said of bad files, exit codes, the page.

#[path = "../../tests/browser/mod.rs"]
mod browser;
#[path = "../../tests/common/mod.rs"]
mod common;
mod program;

use std::{fs, path::Path};

use audiodiff::audio;
use browser::Browser;
use common::{degraded, uniform};
use program::{CHEAP, Program, sample};
use serde_json::Value;

/// `samples` as a WAV of 32-bit floats at 24 kHz.
fn write(program: &Program, name: &str, samples: &[f32]) {
    let path = program.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 24_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    samples.iter().for_each(|&x| writer.write_sample(x).unwrap());
    writer.finalize().unwrap();
}

/// Half a second of speech from several places: `n` recordings.
fn recordings(program: &Program, n: usize) -> Vec<(String, Vec<f32>)> {
    let speech = audio::read(sample("speech-en.wav")).unwrap().samples;
    let part = |i: usize| (format!("part{i}"), speech[6_000 + i * 9_000..][..14_400].to_vec());
    let parts: Vec<_> = (0..n).map(part).collect();
    parts.iter().for_each(|(name, samples)| write(program, &format!("ref/{name}.wav"), samples));
    parts
}

fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {object}"))
}

/// Of two that differ in the extension alone eval takes the one that render does, and says so.
#[test]
fn recordings_of_one_name_do_not_end_the_rest() {
    let program = Program::new();
    for (name, samples) in recordings(&program, 2) {
        write(&program, &format!("ref/sub/{name}.wav"), &samples[100..]);
        write(&program, &format!("same/{name}.wav"), &samples);
        write(&program, &format!("same/sub/{name}.wav"), &samples[100..]);
    }
    fs::copy(program.path("ref/part0.wav"), program.path("ref/part0.wv.flac")).unwrap();
    fs::copy(program.path("ref/part0.wav"), program.path("ref/part0.flac")).unwrap();
    fs::copy(program.path("ref/part0.wav"), program.path("same/part1.flac")).unwrap();
    let run = program.run(&["eval", "same", "--reference", "ref", "--metrics", "cheap", "--json"]);
    let run = run.says(&["2 files are left out beside a file of the same name (ref/part0.flac beside ref/part0.wav)"]);
    let scores = run.objects();
    let exact = |score: &&Value| score["mel_l1"] == 0.0;
    assert_eq!(scores.iter().filter(exact).count(), 4, "{scores:?}");
    // The fifth was not rendered.
    assert_eq!((scores.len(), run.code), (5, Some(3)));
}

#[test]
fn a_copy_is_perfect_and_a_late_one_too() {
    let program = Program::new();
    for (name, samples) in recordings(&program, 2) {
        write(&program, &format!("same/{name}.wav"), &samples);
        // At half the level, 500 samples late.
        let late: Vec<f32> = std::iter::repeat_n(0.0, 500).chain(samples.iter().map(|x| 0.5 * x)).collect();
        write(&program, &format!("late/{name}.wav"), &late);
    }
    let outcome = program.run(&["eval", "same", "late", "--reference", "ref", "--json"]).code(0);
    let outcome = outcome.says(&["late: a delay of 20.8 ms was found and taken out of 2 of 2 files"]);
    let lines = outcome.objects();
    assert_eq!(lines.len(), 4);
    for line in lines.iter().filter(|line| line["system"] == "same") {
        // P.862.2's end of the scale, 4.644.
        assert!(number(line, "pesq_wb") > 4.64, "{line}");
        for key in ["mel_l1", "mr_mel", "stft_sc", "stft_log", "f0_cents", "periodicity", "loudness_db", "delay_ms"] {
            assert_eq!(number(line, key), 0.0, "{key} of {line}");
        }
        assert_eq!(number(line, "vuv_f1"), 1.0);
        assert!(line["x_real_time"].is_null() && line["problem"].is_null());
        assert_eq!((number(line, "seconds"), number(line, "sample_rate")), (0.6, 24_000.0));
    }
    for line in lines.iter().filter(|line| line["system"] == "late") {
        assert!((number(line, "delay_ms") - 500.0 / 24.0).abs() < 1e-9, "{line}");
        // Half the level is 6.02 dB and ln 2; floors and the cut end take a little.
        assert!((number(line, "loudness_db") + 6.02).abs() < 0.1, "{line}");
        assert!((number(line, "mel_l1") - 2f64.ln()).abs() < 0.03, "{line}");
        assert!(number(line, "vuv_f1") > 0.95, "{line}");
    }
}

#[test]
fn what_a_rendering_leaves_out_counts() {
    let program = Program::new();
    for (name, samples) in recordings(&program, 2) {
        write(&program, &format!("half/{name}.wav"), &samples[..7_200]);
        // Two hops less than the recording, as framing may leave.
        write(&program, &format!("trimmed/{name}.wav"), &samples[..14_400 - 512]);
        // The second half in its place, after a start that is not there.
        write(&program, &format!("end/{name}.wav"), &samples[7_200..]);
    }
    let arguments = ["eval", "half", "trimmed", "end", "-r", "ref", "--metrics", "cheap,vuv_f1"];
    let outcome = program.run(&[&arguments[..], &["--json", "--summary", "s.json"]].concat()).code(0);
    let outcome = outcome.says(&["half: 2 of 2 files lack a part", "50.0 % are covered in the mean"]);
    for line in outcome.objects() {
        let distances = ["mel_l1", "mr_mel", "stft_sc", "stft_log"].map(|key| number(&line, key));
        if line["system"] == "trimmed" {
            assert_eq!((number(&line, "coverage"), &distances[1..]), (1.0, &[0.0; 3][..]), "{line}");
            // Its last frames are reflected at another place.
            assert!(distances[0] < 0.1, "{line}");
        } else {
            assert_eq!(number(&line, "coverage"), 0.5, "{line}");
            // Speech lies several nats above silence, in half of the frames.
            assert!(distances[..2].iter().all(|d| *d > 1.0), "{line}");
            // As silence has no energy, the whole of a half is wrong.
            assert!(distances[2] > 0.2 && distances[3] > 0.5 && number(&line, "vuv_f1") < 0.95, "{line}");
        }
    }
    let summary: Value = serde_json::from_str(&program.text("s.json")).unwrap();
    let coverage: Vec<f64> = (0..3).map(|i| number(&summary["systems"][i], "coverage")).collect();
    assert_eq!(coverage, [0.5, 1.0, 0.5]);
    let csv = program.run(&[&arguments[..], &["--csv"]].concat()).code(0);
    assert!(csv.out().lines().next().unwrap().contains(",longer_s,coverage,problem"), "{}", csv.out());
}

/// White noise whose power is a thousandth of the recording's, 30 dB below it.
#[test]
fn noise_of_a_known_level_is_measured() {
    let program = Program::new();
    for (name, samples) in recordings(&program, 1) {
        let rms = (samples.iter().map(|x| f64::from(x * x)).sum::<f64>() / samples.len() as f64).sqrt();
        // Uniform noise on [-1, 1) has a power of a third.
        let level = rms * (3e-3f64).sqrt();
        let noisy = samples.iter().zip(uniform()).map(|(x, z)| (f64::from(*x) + level * z) as f32);
        write(&program, &format!("noisy/{name}.wav"), &noisy.collect::<Vec<_>>());
    }
    let outcome = program.run(&["eval", "noisy", "--reference", "ref", "--json", "--metrics", "stft_sc,loudness_db"]);
    let line = &outcome.code(0).objects()[0];
    // Spectral convergence is the root of noise over signal where magnitudes differ by the noise's own: 10^(-30/20), less
    // what of it lies across the signal's phase.
    let convergence = number(line, "stft_sc");
    assert!((0.5 * 0.0316..1.05 * 0.0316).contains(&convergence), "{line}");
    assert!(number(line, "loudness_db").abs() < 0.05, "{line}");
    assert!(line.get("pesq_wb").is_none(), "not asked for: {line}");
}

#[test]
fn a_known_difference_is_significant() {
    let program = Program::new();
    for (name, samples) in recordings(&program, 7) {
        for (system, recipe) in [("fine", 1.0), ("coarse", 4.0)] {
            let noisy = samples.iter().zip(uniform()).map(|(x, z)| (f64::from(*x) + 0.001 * recipe * z) as f32);
            write(&program, &format!("{system}/{name}.wav"), &noisy.collect::<Vec<_>>());
        }
    }
    let arguments = ["eval", "coarse", "--rendered", "good=fine", "-r", "ref", "--metrics", "cheap"];
    let outcome = program.run(&[&arguments[..], &["--summary", "sum.json"]].concat()).code(0);
    let table = outcome.out();
    let line = table.lines().filter(|line| line.starts_with("mel_l1")).nth(1).unwrap();
    assert!(line.ends_with("] better"), "{table}");
    assert!(table.contains("difference from coarse, file by file"), "{table}");
    let summary: Value = serde_json::from_str(&program.text("sum.json")).unwrap();
    assert_eq!(summary["systems"][1]["name"], "good");
    assert_eq!(summary["systems"][1]["differences"]["mel_l1"]["significant"], true);
    assert_eq!(number(&summary["systems"][1]["differences"]["mel_l1"], "n"), 7.0);
    // The other way round.
    let reverse = program.run(&[&arguments[..], &["--baseline", "good"]].concat()).code(0);
    let line = reverse.out().lines().filter(|line| line.starts_with("mel_l1")).nth(1).unwrap().to_string();
    assert!(line.ends_with("] worse"), "{}", reverse.out());
}

#[test]
fn bad_files_are_said_and_not_scored() {
    let program = Program::new();
    let parts = recordings(&program, 5);
    let late = degraded(&parts[0].1, "dull");
    write(&program, "out/part0.wav", &late);
    write(&program, "out/part1.wav", &vec![0.0; 14_400]);
    program.write("out/part2.wav", "no sound at all");
    program.write("out/part3.wav", "");
    write(&program, "out/stranger.wav", &late);
    // part4 was not rendered.
    let outcome = program.run(&["eval", "out", "--reference", "ref", "--json"]).code(3);
    let outcome = outcome
        .says(&["part1, out: the rendering is silent"])
        .says(&["part2, out: ", "part2.wav"])
        .says(&["part3, out: ", "part3.wav", "is empty"])
        .says(&["part4", "was not rendered"])
        .says(&["warning: out: 1 renderings without a recording are left out: stranger"])
        .says(&["out: 4 of 5 files could not be scored"]);
    let lines = outcome.objects();
    assert_eq!(lines.len(), 5);
    for line in &lines[1..] {
        assert!(line["mel_l1"].is_null() && line["pesq_wb"].is_null() && line["problem"].is_string(), "{line}");
    }
    assert!(number(&lines[0], "mel_l1") > 0.1);

    write(&program, "mute/part0.wav", &[0.0; 2400]);
    let outcome = program.run(&["eval", "mute", "--reference", "ref/part0.wav", "--csv"]).code(1);
    assert_eq!(
        outcome.out().lines().nth(1).unwrap(),
        "part0,mute,0.6,24000,1,,0,-0.5,0,the rendering is silent,,,,,,,,,,"
    );
    program.run(&["eval", "out", "--reference", "nowhere"]).code(1).says(&["nowhere"]);
    write(&program, "other/x_generated.wav", &late);
    let refused = program.run(&["eval", "other", "--reference", "ref"]).code(1);
    refused.says(&["other: no file called like one in ref, expected names like part0, not x_generated; rename"]);
    program.run(&["eval", "out", "--rendered", "out=mute", "-r", "ref"]).code(2).says(&["two systems are called out"]);
    program.run(&["eval", "out", "-r", "ref", "--baseline", "x"]).code(2).says(&["no system is called x", "out"]);
    program.run(&["eval", "out", "-r", "ref", "--metrics", "pseq"]).code(2).says(&["pesq_wb"]);
}

/// Other rates, other formats, other lengths, folders in folders, a rendering that PESQ cannot score.
#[test]
fn rates_and_formats_are_brought_together() {
    let program = Program::new();
    fs::create_dir_all(program.path("ref/en")).unwrap();
    fs::copy(sample("speech-de.flac"), program.path("ref/en/de.flac")).unwrap();
    let low = audio::read_at(sample("speech-de.flac"), 16_000).unwrap();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    fs::create_dir(program.path("low")).unwrap();
    let write = |name: &str, samples: &[f32]| {
        let mut writer = hound::WavWriter::create(program.path(name), spec).unwrap();
        samples.iter().for_each(|x| writer.write_sample((x * 32_767.0) as i16).unwrap());
        writer.finalize().unwrap();
    };
    write("low/de.wav", &low.samples);
    let whole = program.run(&["eval", "low", "--reference", "ref", "--json"]).code(0);
    let line = &whole.objects()[0];
    assert!(number(line, "pesq_wb") > 4.5 && number(line, "stft_log") < 0.2, "{line}");
    // At 24 kHz the upper third is missing.
    assert!(number(line, "mel_l1") > 0.15, "{line}");
    write("low/de.wav", &low.samples[..low.samples.len() - 8_000]);
    let outcome = program.run(&["eval", "low", "--reference", "ref", "--json"]).code(0);
    let outcome =
        outcome.says(&["compared at 16000 Hz"]).says(&["1 of 1 files are not as long as the recording (-0.50"]);
    let line = &outcome.objects()[0];
    assert_eq!((&line["file"], number(line, "sample_rate")), (&"en/de".into(), 16_000.0));
    // Renderings that lie among the recordings are not taken for recordings.
    fs::rename(program.path("low"), program.path("ref/low")).unwrap();
    let nested = program.run(&["eval", "ref/low", "--reference", "ref", "--json", "--metrics", "mel_l1"]).code(0);
    assert_eq!(nested.objects().len(), 1);
    program
        .run(&["eval", "ref", "--reference", "ref"])
        .code(1)
        .says(&["every recording in it is one of the renderings"]);
    // The fifth that is not there counts as silence.
    assert!((0.79..0.81).contains(&number(line, "coverage")) && number(line, "pesq_wb") < 3.0, "{line}");
}

#[test]
fn copy_synthesis_is_scored_kept_and_continued() {
    let program = Program::new();
    recordings(&program, 3);
    let arguments = |more: &[&'static str]| {
        let kept = &["--metrics", "mel_l1,x_real_time", "--results", "r.jsonl", "--json"];
        [&["eval", "--audio", "ref", "--model", "builtin"], kept, CHEAP, more].concat()
    };
    let first = program.run(&arguments(&[])).code(0).objects();
    assert!(first.iter().all(|line| number(line, "x_real_time") > 0.0 && number(line, "mel_l1") > 0.01));
    let kept = program.text("r.jsonl");
    assert_eq!(kept.lines().count(), 3);
    // A second run computes nothing: even the speed is that of the first.
    let again = program.run(&arguments(&[])).code(0).says(&["3 of 3 scores are there already"]);
    assert_eq!((again.objects(), program.text("r.jsonl")), (first.clone(), kept.clone()));
    // As if it had been killed in the second line.
    let torn = kept.find('\n').unwrap() + 40;
    program.write("r.jsonl", &kept[..torn]);
    let resumed = program.run(&arguments(&[])).code(0).says(&["1 of 3 scores are there already"]).objects();
    assert_eq!(resumed[0], first[0]);
    for (a, b) in resumed.iter().zip(&first) {
        assert_eq!(a["mel_l1"], b["mel_l1"]);
    }
    // Another seed is another rendering, and another system is added to the same file.
    program.run(&arguments(&["--seed", "1"])).code(0);
    let both = program.run(&arguments(&["--seed", "1", "--model", "griffin-lim"])).code(0);
    let both = both.says(&["3 of 6 scores are there already"]).objects();
    assert_ne!(both[0]["mel_l1"], first[0]["mel_l1"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_keeps_what_it_has_and_goes_on() {
    let program = Program::new();
    recordings(&program, 12);
    let dear = ["--steps", "16", "--iterations", "10", "-t", "1", "--metrics", "mel_l1"];
    let arguments = [&["eval", "--audio", "ref", "--model", "builtin", "--results", "r.jsonl"], &dear[..]].concat();
    let html = ["--html", "page.html", "--clips", "1"];
    let mut child = program.command().args(&arguments).args(html).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let begun = std::time::Instant::now();
    while program.files("").iter().all(|f| f != "r.jsonl") || program.text("r.jsonl").is_empty() {
        assert!(begun.elapsed().as_secs() < 120 && child.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // SAFETY: plain system call on a child that is still running.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("of 12 scores are in r.jsonl; the same command goes on"), "{stderr}");
    assert!(!program.exists("page.html") && program.files("").iter().all(|f| !f.ends_with(".part")));
    let kept = program.text("r.jsonl").lines().count();
    assert!((1..12).contains(&kept), "{kept}");
}

#[test]
fn the_page_shows_tables_spectrograms_and_players() {
    let program = Program::new();
    for (name, samples) in recordings(&program, 3) {
        write(&program, &format!("dull/{name}.wav"), &degraded(&samples, "dull"));
        write(&program, &format!("late/{name}.wav"), &degraded(&samples, "late"));
    }
    write(&program, "late/part1.wav", &[0.0; 14_400]);
    let arguments = ["eval", "dull", "late", "-r", "ref", "--metrics", "cheap", "--html", "page.html", "--clips", "2"];
    program.run(&arguments).code(3);
    program.run(&arguments).code(1).says(&["page.html: is there already; give -y"]);
    let page = program.text("page.html");
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains(" src=\"/"));
    // Two recordings with two renderings each, one of which is silent: a sound all the same.
    assert_eq!((page.matches("<audio ").count(), page.matches("<section ").count()), (6, 2));
    assert_eq!(page.matches("data:image/png;base64,").count(), 2 * (1 + 2 + 2));

    let Some(browser) = Browser::find() else { return };
    look_at(&browser, &program.path("page.html"));
}

fn look_at(browser: &Browser, page: &Path) {
    let dom = browser.dom(page, 1000);
    assert!(dom.contains("data-errors=\"0\"") && dom.contains("data-players=\"2\""), "{}", &dom[..300]);
    assert!(dom.contains("delay of 41.7 ms taken out") && dom.contains("late: 1 of 3 files could not be scored"));
    assert!(dom.contains("the rendering is silent"));
    let shot = browser.screenshot(page, 1400, 2400);
    // The table is at the top left: letters, and the colour of the best.
    assert!(shot.colours(0, 0, 700, 300) > 8, "no table");
    assert!(shot.count([239, 227, 244]) > 2_000, "nothing is marked as best");
    // Spectrograms: black where nothing is, and the colours between; differences are grey where there are none.
    assert!(shot.count([0, 0, 4]) > 50_000, "{}", shot.count([0, 0, 4]));
    assert!(shot.count([125, 124, 120]) > 10_000, "{}", shot.count([125, 124, 120]));
    let pictures = shot.colours(0, 700, 700, 1600);
    assert!(pictures > 150, "{pictures} colours");
}

/// A WAV of two channels of 32-bit floats at 24 kHz.
fn stereo(program: &Program, name: &str, left: &[f32], right: &[f32]) {
    let path = program.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let sound = audiodiff::sound::Sound { rate: 24_000, channels: vec![left.to_vec(), right.to_vec()] };
    fs::write(path, audiodiff::audio::wav::encode(&sound, audiodiff::audio::SampleFormat::Float32)).unwrap();
}

#[test]
fn two_channels_are_rendered_and_scored_as_two() {
    let program = Program::new();
    let speech = audio::read(sample("speech-en.wav")).unwrap().samples;
    // A voice in the middle, another on the right.
    let (middle, side) = (&speech[6_000..20_400], &speech[20_400..34_800]);
    let right: Vec<f32> = middle.iter().zip(side).map(|(m, s)| 0.6 * m + 0.3 * s).collect();
    stereo(&program, "ref/a.wav", middle, &right);
    stereo(&program, "swapped/a.wav", &right, middle);
    write(&program, "mono/a.wav", &middle.iter().zip(&right).map(|(l, r)| (l + r) / 2.0).collect::<Vec<_>>());
    let eval = |more: &[&str]| {
        let common =
            ["eval", "--reference", "ref", "--metrics", "mel_l1,mr_mel,x_real_time", "--json", "--iterations", "8"];
        program.run(&[&common[..], more].concat()).code(0)
    };
    let rendered = eval(&["--model", "griffin-lim", "swapped"]);
    let rendered = rendered.says(&["each of the two channels of 1 of 1 files was scored"]);
    let rendered = rendered.says(&["mel_l1 is by f5-tts (24000 Hz, 100 bands)"]).objects();
    assert!(rendered.iter().all(|line| line["channels"] == 2 && line["mixed"] == false), "{rendered:?}");
    let of = |system: &str| rendered.iter().find(|line| line["system"] == system).unwrap();
    // Left and right in their places come nearer to the recording than each other do.
    assert!(number(of("griffin-lim"), "mel_l1") < 0.5 * number(of("swapped"), "mel_l1"), "{rendered:?}");
    // A system of one channel is compared with the mix, and so are those beside it.
    let mixed = eval(&["mono", "swapped"]).says(&["1 of 1 files were mixed to one channel"]).objects();
    for line in &mixed {
        assert_eq!((&line["channels"], &line["mixed"]), (&1.into(), &true.into()), "{line}");
        assert!(number(line, "mr_mel") < 1e-3, "{line}");
    }
}
