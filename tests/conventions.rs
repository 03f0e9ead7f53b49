//! The presets against the projects' own formulas (tests/fixtures/conventions/make.py).

use audiodiff::mel::{extract, presets};
use std::path::PathBuf;

fn fixture(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/conventions", name].iter().collect();
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_preset_agrees_with_its_project() {
    for preset in presets::all() {
        let c = &preset.convention;
        let pcm = fixture(&format!("audio_{}.npy", c.sample_rate));
        let pcm: Vec<i16> = npyz::NpyFile::new(&pcm[..]).unwrap().into_vec().unwrap();
        let audio: Vec<f32> = pcm.iter().map(|&s| f32::from(s) / 32768.0).collect();
        let want = fixture(&format!("{}.npy", c.name));
        let want = npyz::NpyFile::new(&want[..]).unwrap();
        let shape = want.shape().to_vec();
        let want: Vec<f32> = want.into_vec().unwrap();

        let mel = extract(&audio, c).unwrap();
        assert_eq!(shape, [mel.frames().div_ceil(4) as u64, c.n_mels as u64], "{}", c.name);
        // 1e-4 in the natural logarithm, whatever the stored numbers are in.
        let tolerance = 1e-4 * (c.stored_slope().abs() as f32);
        let got = (0..mel.frames()).step_by(4).flat_map(|t| mel.frame(t));
        let worst = got.zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
        println!("{:22} {:.1e} of the {tolerance:.1e} allowed", c.name, worst);
        assert!(worst < tolerance, "{}: {worst} away from the project's own numbers", c.name);
    }
}
