//! Losses and gradients against the reference's training; `golden/README.md` gives the tolerances.

use audiodiff::{
    model::ModelFile,
    train::{Acoustics, AdamW, Excerpts, Weights, flow_matching},
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
    let got = got.to_device(Device::Cpu);
    f64::try_from((got - want).abs().max() / want.abs().max()).unwrap()
}

#[test]
fn losses_and_gradients_are_the_references() {
    tch::set_num_threads(1);
    for device in devices() {
        let model = ModelFile::builtin().unwrap();
        let weights = Weights::load(&model, device).unwrap();
        let acoustics = Acoustics::new(&model.card, device);
        let [x1, t] = ["x1", "t"].map(|name| golden(name).to_device(device));
        let excerpts = Excerpts::whole(x1);
        let noise = golden("noise").permute([0, 2, 1, 3]).contiguous().to_device(device);
        let losses = flow_matching(&weights.network, &acoustics, &excerpts, &t, &noise, Kind::Float);
        for (got, want) in [(&losses.flow, "flow"), (&losses.magnitude, "magnitude")] {
            let error = relative_error(&got.detach().view(-1), &golden(want).view(-1));
            assert!(error <= 1e-3, "{device:?}: {want}: {error}");
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
            assert!(error <= 1e-2, "{device:?}: {name}: {error}");
        }
    }
}

/// The CPU, and the first CUDA device where there is one.
fn devices() -> Vec<Device> {
    if tch::Cuda::is_available() {
        return vec![Device::Cpu, Device::Cuda(0)];
    }
    eprintln!("training on CUDA was not tested: this machine has no CUDA device");
    vec![Device::Cpu]
}

/// Ten steps of the reference's optimiser on the same batch: AdamW at a rate of 1e-4, clipped, averaged.
#[test]
fn ten_optimiser_steps_follow_the_reference() {
    tch::set_num_threads(1);
    let model = ModelFile::builtin().unwrap();
    let mut weights = Weights::load(&model, Device::Cpu).unwrap();
    let acoustics = Acoustics::new(&model.card, Device::Cpu);
    let excerpts = Excerpts::whole(golden("x1"));
    let (t, noise) = (golden("t"), golden("noise").permute([0, 2, 1, 3]).contiguous());
    let want = Vec::<f32>::try_from(golden("ten_steps").view(-1)).unwrap(); // [10, 2]: flow, magnitude
    let adamw = AdamW { betas: (0.9, 0.98), epsilon: 1e-8, weight_decay: 0.01 };
    for (step, want) in (1..=10).zip(want.chunks_exact(2)) {
        let losses = flow_matching(&weights.network, &acoustics, &excerpts, &t, &noise, Kind::Float);
        for (got, want) in [(&losses.flow, want[0]), (&losses.magnitude, want[1])] {
            let got = f64::try_from(got.detach()).unwrap();
            let error = (got / f64::from(want) - 1.0).abs();
            // Adam divides by the root of the second moment: rounding grows a little from step to step.
            assert!(error <= 2e-3, "step {step}: {got}, expected {want}");
        }
        let gradient = weights.gradient(&losses.total()).unwrap();
        let norm = f64::try_from(gradient.norm()).unwrap();
        let gradient = gradient * (1.0 / (norm + 1e-6)).min(1.0);
        weights.advance(&gradient, 1e-4, &adamw, step, 0.999f64.min(step as f64 / (step as f64 + 9.0)));
    }
    let name = "denoiser.blocks.3.dwconv.weight";
    let want = golden(&format!("ten_steps.average.{name}"));
    let moved = model.values(name).unwrap();
    let before = Tensor::from_slice(&moved).view(want.size().as_slice());
    let got = weights.part(&weights.vectors.average, name).unwrap();
    // Of what the weights moved, not of the weights.
    let error = relative_error(&(got - &before), &(want - &before));
    assert!(error <= 2e-2, "{error}");
}
