use audiodiff::{audio, diffusion::*, eval, mel::*, model::*};
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let precision = if args[1] == "bf16" { Precision::Bf16 } else { Precision::F32 };
    let threads: usize = args[2].parse().unwrap();
    let v = Vocoder::builtin(&RuntimeOptions { device: DeviceChoice::Cpu, precision, threads }).unwrap();
    let seed: u64 = args[3].parse().unwrap();
    for set in args[4].split(',') {
        let mut files: Vec<_> = std::fs::read_dir(format!("/work/shared/eval/{set}")).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for q in [Quality::Draft, Quality::Standard, Quality::Best] {
            let (mut p, mut m, mut n, mut secs, mut took) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for f in &files {
                let r = audio::read(f).unwrap();
                let mel = extract::extract(&r.samples, &MelConvention::native()).unwrap();
                let begin = Instant::now();
                let out = Renderer::new(&v, WholeMel::new(mel.clone()), v.card().sampler.settings(q, seed), ChunkLayout::default()).unwrap().map(|c| c.unwrap()).collect::<Vec<_>>().concat();
                took += begin.elapsed().as_secs_f64(); secs += out.len() as f64 / 24000.0;
                let len = out.len();
                if set != "music" { p += eval::pesq_wb(&r.samples[..len], &out, 24000).unwrap() as f64; }
                m += eval::mel_l1(&mel, &out).unwrap() as f64; n += 1.0;
            }
            println!("{set} {q:?} pesq {:.3} mel {:.4} x{:.1}", p / n, m / n, secs / took);
        }
    }
}
