//! Sound of two channels from input to output: what is left stays left, and alike stays alike.

mod program;

use hound::{SampleFormat, WavSpec, WavWriter};
use program::Program;

/// A WAV of `planes` at 24 kHz.
fn recording(program: &Program, name: &str, planes: &[&[f32]]) {
    let spec = WavSpec {
        channels: planes.len() as u16,
        sample_rate: 24_000,
        bits_per_sample: 32,
        sample_format: SampleFormat::Float,
    };
    let mut writer = WavWriter::create(program.path(name), spec).unwrap();
    for i in 0..planes[0].len() {
        planes.iter().for_each(|plane| writer.write_sample(plane[i]).unwrap());
    }
    writer.finalize().unwrap();
}

/// Half a second and a bit of a tone.
fn tone(step: f32) -> Vec<f32> {
    (0..13_003).map(|i| 0.3 * (i as f32 * step).sin()).collect()
}

/// Of all that is rendered here, Griffin-Lim with few iterations: channels are none of the model's business.
const QUICKLY: [&str; 8] = ["-m", "griffin-lim", "--final-iterations", "4", "-t", "1", "--seed", "3"];

fn render(program: &Program, input: &str, output: &str, options: &[&str]) {
    program.run(&[&["render", input, "-o", output], &QUICKLY[..], options].concat()).code(0);
}

/// The channels of a WAV, as they are stored.
fn planes(program: &Program, name: &str) -> Vec<Vec<i32>> {
    let (spec, samples) = program.wav(name);
    let channels = usize::from(spec.channels);
    (0..channels).map(|channel| samples.iter().skip(channel).step_by(channels).copied().collect()).collect()
}

/// Two channels that have nothing in common, and two that are the same.
#[test]
fn each_channel_of_a_recording_is_its_own() {
    let program = Program::new();
    let (low, high) = (tone(0.05), tone(0.4));
    recording(&program, "low.wav", &[&low]);
    recording(&program, "high.wav", &[&high]);
    recording(&program, "both.wav", &[&low, &high]);
    recording(&program, "twice.wav", &[&low, &low]);
    for name in ["low", "high", "both", "twice"] {
        for format in ["pcm16", "float32"] {
            let output = format!("{name}-{format}.wav");
            render(&program, &format!("{name}.wav"), &output, &["--format", format]);
        }
    }
    // Floats have no dither; 16 bits have the same in all channels.
    let of = |name: &str| {
        let (spec, _) = program.wav(&format!("{name}-pcm16.wav"));
        assert_eq!(spec.sample_rate, 24_000);
        planes(&program, &format!("{name}-pcm16.wav"))
    };
    let (low, high) = (of("low").remove(0), of("high").remove(0));
    assert_eq!(low.len(), 13_003);
    assert!(of("both") == [low.clone(), high]);
    // What they have in common is rendered once, and projected on both mels.
    let twice = of("twice");
    assert!(twice[0] == twice[1]);
    let energy = |samples: &[i32]| samples.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
    let off = 10.0 * (energy(&twice[0]) / energy(&low)).log10();
    assert!(off.abs() < 0.2, "{off} dB");
    let bytes = |name: &str| program.read(&format!("{name}-float32.wav"));
    let data = |bytes: &[u8], channels: usize, channel: usize| -> Vec<[u8; 4]> {
        let at = bytes.windows(4).position(|tag| tag == b"data").unwrap() + 8;
        let values = bytes[at..][..13_003 * channels * 4].chunks_exact(4);
        values.skip(channel).step_by(channels).map(|value| value.try_into().unwrap()).collect()
    };
    assert!(data(&bytes("both"), 2, 0) == data(&bytes("low"), 1, 0));
    assert!(data(&bytes("both"), 2, 1) == data(&bytes("high"), 1, 0));
}

#[test]
fn mono_is_the_mean_of_the_recording_and_says_so_in_its_settings() {
    let program = Program::new();
    let (low, high) = (tone(0.05), tone(0.4));
    let mean: Vec<f32> = low.iter().zip(&high).map(|(a, b)| (a + b) * 0.5).collect();
    recording(&program, "both.wav", &[&low, &high]);
    recording(&program, "mean.wav", &[&mean]);
    render(&program, "both.wav", "mono.wav", &["--channels", "mono"]);
    render(&program, "mean.wav", "mean-out.wav", &[]);
    assert!(planes(&program, "mono.wav") == planes(&program, "mean-out.wav"));

    // Asked for otherwise, a file that is there is another one.
    let arguments =
        |channels| [&["render", "both.wav", "-o", "a.wav", "--json", "-n"], &QUICKLY[..], channels].concat();
    let entry = program.run(&arguments(&[])).code(0).objects().remove(0);
    assert_eq!((&entry["channels"], &entry["settings"]["channels"]), (&2.into(), &serde_json::Value::Null));
    let entry =
        program.run(&["render", "both.wav", "-o", "b.wav", "--json", "--channels", "mono", "-m", "griffin-lim"]);
    let entry = entry.code(0).objects().remove(0);
    assert_eq!((&entry["channels"], &entry["settings"]["channels"]), (&serde_json::Value::Null, &"mono".into()));
}

/// Resampled and bare, the samples of both channels lie side by side.
#[test]
fn another_rate_a_loudness_and_bare_samples_take_both_channels() {
    let program = Program::new();
    let (low, high) = (tone(0.05), tone(0.4));
    recording(&program, "both.wav", &[&low, &high]);
    recording(&program, "low.wav", &[&low]);
    let wanted = ["--rate", "48000", "--format", "pcm24"];
    render(&program, "both.wav", "both-48.wav", &wanted);
    render(&program, "low.wav", "low-48.wav", &wanted);
    let (both, low) = (planes(&program, "both-48.wav"), planes(&program, "low-48.wav"));
    assert!(both.len() == 2 && both[0] == low[0] && both[0] != both[1]);

    let raw = [&["render", "both.wav", "-o", "both.raw", "--output-raw"], &QUICKLY[..], &wanted].concat();
    program.run(&raw).code(0).says(&["s24le 48000 2"]);
    let interleaved = program.read("both.raw");
    let stored = |bytes: &[u8]| i32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]) >> 8;
    let samples: Vec<i32> = interleaved.chunks_exact(3).map(stored).collect();
    assert!(samples.iter().step_by(2).eq(&both[0]) && samples.iter().skip(1).step_by(2).eq(&both[1]));

    render(&program, "both.wav", "loud.wav", &["--loudness", "-30", "--format", "pcm24"]);
    let loud = planes(&program, "loud.wav");
    let power = |plane: &[i32]| plane.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    // One gain for both.
    let ratio = power(&loud[0]) / power(&loud[1]) / (power(&both[0]) / power(&both[1]));
    assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
}

#[test]
fn mels_of_two_channels_are_understood_however_they_lie() {
    let program = Program::new();
    let (low, high) = (tone(0.05), tone(0.4));
    recording(&program, "both.wav", &[&low, &high]);
    for (name, plane) in [("low", &low), ("high", &high)] {
        recording(&program, &format!("{name}.wav"), &[plane]);
        program.run(&["mel", &format!("{name}.wav"), "-o", &format!("{name}.npy")]).code(0);
    }
    let read = |name: &str| -> (Vec<u64>, Vec<f32>) {
        let bytes = program.read(name);
        let file = npyz::NpyFile::new(&bytes[..]).unwrap();
        (file.shape().to_vec(), file.into_vec().unwrap())
    };
    let ((shape, low), (_, high)) = (read("low.npy"), read("high.npy"));
    let (bands, frames) = (shape[0], shape[1]);
    assert_eq!(bands, 100);
    let write = |name: &str, shape: &[u64], values: &[f32]| {
        use npyz::WriterBuilder;
        let mut bytes = vec![];
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes).begin_nd().unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
        program.write(name, bytes);
    };
    let first = [&low[..], &high[..]].concat();
    let turned = |values: &[f32]| -> Vec<f32> {
        let (m, t) = (bands as usize, frames as usize);
        (0..t).flat_map(|t_| (0..m).map(move |m_| m_ * t + t_)).map(|i| values[i]).collect()
    };
    let (low_turned, high_turned) = (turned(&low), turned(&high));
    let last: Vec<f32> = low_turned.iter().zip(&high_turned).flat_map(|(&l, &r)| [l, r]).collect();
    write("first.npy", &[2, bands, frames], &first);
    write("batch.npy", &[1, 2, bands, frames], &first);
    write("turned.npy", &[2, frames, bands], &[low_turned, high_turned].concat());
    write("last.npy", &[frames, bands, 2], &last);
    for name in ["low", "high"] {
        render(&program, &format!("{name}.npy"), &format!("{name}-out.wav"), &[]);
    }
    let expected = [planes(&program, "low-out.wav").remove(0), planes(&program, "high-out.wav").remove(0)];
    for name in ["first", "batch", "turned", "last"] {
        render(&program, &format!("{name}.npy"), &format!("{name}-out.wav"), &[]);
        assert!(planes(&program, &format!("{name}-out.wav")) == expected, "{name}");
    }
    // A mel cannot be mixed, its sound can.
    render(&program, "first.npy", "mono.wav", &["--channels", "mono", "--format", "pcm24"]);
    render(&program, "first.npy", "stereo.wav", &["--format", "pcm24"]);
    let (mono, stereo) = (planes(&program, "mono.wav"), planes(&program, "stereo.wav"));
    let means = stereo[0].iter().zip(&stereo[1]).map(|(l, r)| (l + r) / 2);
    assert!(mono.len() == 1 && mono[0].iter().zip(means).all(|(got, want)| (got - want).abs() <= 1));

    // A batch of three is none of ours, and what is wrong in a channel is named with it.
    write("three.npy", &[3, bands, frames], &[&first[..], &low].concat());
    program.run(&["render", "three.npy"]).code(1).says(&["three.npy", "batch of 3"]);
    let mut broken = first;
    broken[(bands * frames) as usize + 5] = f32::NAN;
    write("broken.npy", &[2, bands, frames], &broken);
    program.run(&["render", "broken.npy"]).code(1).says(&["broken.npy", "right channel", "NaN"]);
}
