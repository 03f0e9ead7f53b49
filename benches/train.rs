//! One optimiser step of training, data aside: windows through the network and back, gradients summed, weights moved.
//!
//! `cargo bench --bench train`; medians of some steps after a warm-up, so a busy machine shows more.

use audiodiff::{
    dsp::threads::Threads,
    model::{ModelFile, cpu_gains_by_bf16},
    train::{AdamW, Excerpts, Objective, Phase, TrainSettings, Weights, batch},
};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

const STEPS: u64 = 15;

fn main() {
    let model = ModelFile::builtin().expect("the built-in model");
    let adamw = AdamW { betas: (0.9, 0.98), epsilon: 1e-8, weight_decay: 0.01 };
    let kind = if cpu_gains_by_bf16() { Kind::BFloat16 } else { Kind::Float };
    for phase in [Phase::Flow, Phase::FewStep] {
        for count in [1, 2] {
            let settings = TrainSettings::of(phase);
            let mut weights = Weights::load(&model, Device::Cpu).expect("weights");
            let objective = Objective::new(&model.card, settings.clone(), Device::Cpu, kind);
            let threads = Threads::new(count);
            let x1 = Tensor::randn([settings.batch as i64, settings.window as i64], (Kind::Float, Device::Cpu)) * 0.1;
            let excerpts = Excerpts::whole(x1);
            let mut times: Vec<f64> = vec![];
            for step in 1..=STEPS {
                let begin = Instant::now();
                let result = batch(&weights, &objective, &excerpts, step, &threads).expect("a gradient");
                weights.advance(&result.gradient, 1e-6, &adamw, step, 0.999);
                times.push(begin.elapsed().as_secs_f64() * 1000.0);
            }
            let mut times = times.split_off(3);
            times.sort_by(f64::total_cmp);
            println!(
                "{phase:<9} {count} threads, {kind:?}, batch {}: median {:.0} ms a step (fastest {:.0}, slowest {:.0})",
                settings.batch,
                times[times.len() / 2],
                times[0],
                times[times.len() - 1]
            );
        }
    }
}
