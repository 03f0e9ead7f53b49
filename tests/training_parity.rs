//! Losses and gradients against the reference's training; `golden/README.md` gives the tolerances.

use audiodiff::{
    model::ModelFile,
    train::{Acoustics, Weights, flow_matching},
};
use tch::{Device, Kind, Tensor};

fn golden(name: &str) -> Tensor {
    let path = format!("{}/tests/golden/train/{name}.npy", env!("CARGO_MANIFEST_DIR"));
    let file = npyz::NpyFile::new(std::fs::File::open(path).unwrap()).unwrap();
    let shape: Vec<i64> = file.shape().iter().map(|&n| n as i64).collect();
    Tensor::from_slice(&file.into_vec::<f32>().unwrap()).view(shape.as_slice())
}

fn relative_error(got: &Tensor, want: &Tensor) -> f64 {
    assert_eq!(got.size(), want.size());
    f64::try_from((got - want).abs().max() / want.abs().max()).unwrap()
}

#[test]
fn losses_and_gradients_are_the_references() {
    let model = ModelFile::builtin().unwrap();
    let weights = Weights::load(&model, Device::Cpu).unwrap();
    let acoustics = Acoustics::new(&model.card, Device::Cpu);
    let (x1, t, noise) = (golden("x1"), golden("t"), golden("noise").permute([0, 2, 1, 3]).contiguous());
    let losses = flow_matching(&weights.network, &acoustics, &x1, &t, &noise, Kind::Float);
    for (got, want) in [(&losses.flow, "flow"), (&losses.magnitude, "magnitude")] {
        let error = relative_error(&got.detach().view(-1), &golden(want).view(-1));
        assert!(error <= 1e-3, "{want}: {error}");
    }
    let flat = weights.gradient(&losses.total()).unwrap();
    for name in [
        "denoiser.stft_in.weight",
        "denoiser.blocks.3.dwconv.weight",
        "denoiser.blocks.7.cond.bias",
        "encoder.mel_in.weight",
    ] {
        let want = golden(&format!("grad.{name}"));
        let error = relative_error(&weights.part(&flat, name).unwrap(), &want);
        eprintln!("{name}: {error:e}");
        assert!(error <= 1e-2, "{name}: {error}");
    }
}
