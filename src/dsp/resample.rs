//! Changes the sample rate by rubato's FFT method: delay taken out, length exact, the same for a whole recording and
//! for a stream of chunks.

use rubato::{Fft, FixedSync, Indexing, Resampler, WindowFunction, audioadapter_buffers::direct::SequentialSlice};

use crate::{Error, Fault, Result};

/// Hz. Outside of it no recording is made; a rate of 1 or of 4294967295 comes from a broken header, and a resampler's
/// filter would grow with it.
pub const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// Samples of input that one block of the resampler holds at least. 512 puts the filter's edge at 94 % of the lower
/// rate's half and holds 21 ms back at 24 kHz; both grow with it.
const BLOCK: usize = 512;

/// Samples that `samples` at rate `from` become at rate `to`, rounded to the nearest.
pub fn resampled_len(samples: u64, from: u32, to: u32) -> u64 {
    let (from, to) = (u128::from(from), u128::from(to));
    u64::try_from((u128::from(samples) * to * 2 + from) / (from * 2)).unwrap_or(u64::MAX)
}

/// `samples` `[n]` at `from` Hz become [round(n * to / from)] at `to` Hz.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>> {
    let mut resampler = StreamResampler::new(from, to)?;
    let mut output = Vec::with_capacity(resampled_len(samples.len() as u64, from, to) as usize);
    resampler.push(samples, &mut output)?;
    resampler.finish(&mut output)?;
    Ok(output)
}

/// Resamples mono sound that comes in chunks of any size. What all calls give together equals `resample` of the whole,
/// bit for bit: blocks are counted from the start of the stream, whatever the chunks.
pub struct StreamResampler {
    from: u32,
    to: u32,
    /// `None` where both rates are the same: samples go through untouched.
    block: Option<Block>,
    /// Samples in and out so far.
    taken: u64,
    given: u64,
}

struct Block {
    fft: Fft<f32>,
    /// Less than a block of input, waiting for the rest.
    input: Vec<f32>,
    output: Vec<f32>,
    /// Output samples of the filter's delay that are still to be dropped.
    delay: usize,
}

impl StreamResampler {
    /// # Errors
    /// `Error::Settings` for a rate outside of [`SAMPLE_RATES`].
    pub fn new(from: u32, to: u32) -> Result<Self> {
        for rate in [from, to] {
            if !SAMPLE_RATES.contains(&rate) {
                let expected = format!("{} to {} Hz", SAMPLE_RATES.start(), SAMPLE_RATES.end());
                return Err(Error::Settings(Fault::new("sample rate", format!("{rate} Hz")).expected(expected)));
            }
        }
        let block = if from == to { None } else { Some(Block::new(from as usize, to as usize)?) };
        Ok(Self { from, to, block, taken: 0, given: 0 })
    }

    /// Samples of input that have to come before the first of output goes.
    pub fn latency(&self) -> usize {
        self.block.as_ref().map_or(0, |block| block.fft.fft_size_in())
    }

    /// Takes `samples` and appends what is ready to `output`.
    pub fn push(&mut self, samples: &[f32], output: &mut Vec<f32>) -> Result<()> {
        self.taken += samples.len() as u64;
        let before = output.len();
        match &mut self.block {
            None => output.extend_from_slice(samples),
            Some(block) => block.push(samples, output)?,
        }
        self.given += (output.len() - before) as u64;
        Ok(())
    }

    /// Appends the rest, so that the whole has `resampled_len` samples, and starts anew.
    pub fn finish(&mut self, output: &mut Vec<f32>) -> Result<()> {
        let total = resampled_len(self.taken, self.from, self.to);
        let start = output.len();
        if let Some(block) = &mut self.block {
            let silence = vec![0.0; block.fft.fft_size_in()];
            while self.given + ((output.len() - start) as u64) < total {
                block.push(&silence, output)?;
            }
        }
        output.truncate(start + total.saturating_sub(self.given) as usize);
        *self = Self::new(self.from, self.to)?;
        Ok(())
    }
}

impl Block {
    fn new(from: usize, to: usize) -> Result<Self> {
        let divisor = gcd(from, to);
        let step = from / divisor;
        // An even number of steps: the filter's delay, half a block, is then a whole number of samples on both sides.
        let steps = 2 * BLOCK.div_ceil(2 * step);
        let fft =
            Fft::<f32>::new_custom(from, to, steps * step, 1, 1, WindowFunction::BlackmanHarris2, FixedSync::Both)
                .map_err(|error| resampler_fault(from, to, &error))?;
        let (input, output, delay) =
            (Vec::with_capacity(fft.fft_size_in()), vec![0.0; fft.fft_size_out()], fft.output_delay());
        Ok(Self { fft, input, output, delay })
    }

    fn push(&mut self, mut samples: &[f32], output: &mut Vec<f32>) -> Result<()> {
        let size = self.fft.fft_size_in();
        while !samples.is_empty() {
            let count = samples.len().min(size - self.input.len());
            self.input.extend_from_slice(&samples[..count]);
            samples = &samples[count..];
            if self.input.len() == size {
                self.process()?;
                let dropped = self.delay.min(self.output.len());
                self.delay -= dropped;
                output.extend_from_slice(&self.output[dropped..]);
                self.input.clear();
            }
        }
        Ok(())
    }

    fn process(&mut self) -> Result<()> {
        let (frames_in, frames_out) = (self.input.len(), self.output.len());
        let failed = |error: &dyn std::fmt::Display| resampler_fault(frames_in, frames_out, error);
        let input = SequentialSlice::new(&self.input[..], 1, frames_in).map_err(|error| failed(&error))?;
        let mut output =
            SequentialSlice::new_mut(&mut self.output[..], 1, frames_out).map_err(|error| failed(&error))?;
        self.fft.process_into_buffer(&input, &mut output, None::<&Indexing>).map_err(|error| failed(&error))?;
        Ok(())
    }
}

fn resampler_fault(from: usize, to: usize, error: &dyn std::fmt::Display) -> Error {
    Error::Audio(Fault::new("resampling", format!("from {from} to {to} is not possible: {error}")))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(frequency: f64, rate: u32, samples: usize) -> Vec<f32> {
        (0..samples)
            .map(|n| (0.5 * (std::f64::consts::TAU * frequency * n as f64 / f64::from(rate)).sin()) as f32)
            .collect()
    }

    #[test]
    fn length_is_rounded_exactly() {
        assert_eq!(resampled_len(44_100, 44_100, 24_000), 24_000);
        assert_eq!(resampled_len(1, 48_000, 24_000), 1); // 0.5 rounds up
        assert_eq!(resampled_len(1, 16_000, 24_000), 2); // 1.5 rounds up
        assert_eq!(resampled_len(1000, 22_050, 24_000), 1088); // 1088.44
        assert_eq!(resampled_len(u64::MAX, 24_000, 48_000), u64::MAX); // no overflow
        for (n, from, to) in [(0, 44_100, 24_000), (1, 44_100, 24_000), (777, 22_050, 24_000), (50_001, 24_000, 48_000)]
        {
            let resampled = resample(&vec![0.1; n], from, to).unwrap();
            assert_eq!(resampled.len() as u64, resampled_len(n as u64, from, to), "{n} samples, {from} -> {to}");
        }
    }

    /// A sine keeps its phase and level: any error of delay by one sample would be 0.13 at 1 kHz and 24 kHz.
    #[test]
    fn sine_keeps_phase_and_level() {
        for from in [8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000] {
            for (from, to) in [(from, 24_000), (24_000, from)] {
                for frequency in [100.0, 997.0, 3000.0] {
                    let input = sine(frequency, from, from as usize / 2);
                    let output = resample(&input, from, to).unwrap();
                    let expected = sine(frequency, to, output.len());
                    // The first and last blocks see the sine begin and end: 2 * BLOCK samples of the input.
                    let edge = 2 * BLOCK.max(from as usize / 50) * to as usize / from as usize;
                    let inner = edge..output.len() - edge;
                    let worst = output[inner.clone()]
                        .iter()
                        .zip(&expected[inner])
                        .map(|(a, b)| (a - b).abs())
                        .fold(0.0, f32::max);
                    // f32 FFTs: some 1e-7 of the amplitude a stage.
                    assert!(worst < 2e-6, "{frequency} Hz, {from} -> {to}: {worst}");
                }
            }
        }
    }

    /// 15 kHz does not exist at 24 kHz: it must be gone and not come back as 9 kHz.
    #[test]
    fn what_does_not_fit_is_removed() {
        let output = resample(&sine(15_000.0, 48_000, 24_000), 48_000, 24_000).unwrap();
        let worst = output[1000..11_000].iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        assert!(worst < 5e-6, "-100 dB of 0.5 is 5e-6, found {worst}");
    }

    #[test]
    fn chunks_equal_the_whole() {
        let input: Vec<f32> =
            (0..20_011u32).map(|n| ((n.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0) - 1.0).collect();
        for to in [16_000, 24_000, 44_100, 48_000] {
            let whole = resample(&input, 24_000, to).unwrap();
            for size in [1, 7, 256, 4096, 24_576] {
                let mut resampler = StreamResampler::new(24_000, to).unwrap();
                // Twice: a finished resampler is as good as new.
                for _ in 0..2 {
                    let mut output = Vec::new();
                    for chunk in input.chunks(size) {
                        resampler.push(chunk, &mut output).unwrap();
                    }
                    resampler.finish(&mut output).unwrap();
                    assert!(output == whole, "{to} Hz in chunks of {size}");
                }
            }
        }
    }

    #[test]
    fn absurd_rates_are_refused() {
        for (from, to) in [(0, 24_000), (24_000, 0), (u32::MAX, 24_000), (24_000, 999)] {
            assert!(matches!(StreamResampler::new(from, to), Err(Error::Settings(_))), "{from} -> {to}");
        }
    }
}
