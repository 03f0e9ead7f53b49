//! The windows of a batch, and how far up their recordings can be believed: one that was made at a lower rate than the model's
//! has nothing above, which is no reason to learn that the sound had nothing there.

use tch::{Device, Kind, Tensor};

/// Windows as they were cut, on the CPU.
#[derive(Debug, Default)]
pub struct Cut {
    /// `[B n]`, window after window.
    pub samples: Vec<f32>,
    /// Hz up to which each window's recording tells of its sound, `[B]`; `None`: all of it.
    pub reach_hz: Vec<Option<f64>>,
}

impl Cut {
    /// With windows of `length` samples.
    pub fn to_device(&self, length: usize, device: Device) -> Excerpts {
        let audio = Tensor::from_slice(&self.samples).view([-1, length as i64]).to_device(device);
        Excerpts { audio, reach_hz: self.reach_hz.clone() }
    }
}

/// Windows as they are learned from.
#[derive(Debug)]
pub struct Excerpts {
    /// `[B, n]`
    pub audio: Tensor,
    /// As in [`Cut`].
    reach_hz: Vec<Option<f64>>,
}

impl Excerpts {
    /// Of recordings that lack nothing: `[B, n]`.
    pub fn whole(audio: Tensor) -> Self {
        Self { reach_hz: vec![None; audio.size()[0] as usize], audio }
    }

    /// `rows` of the windows, from `start` on.
    pub fn narrow(&self, start: i64, rows: i64) -> Self {
        let reach_hz = self.reach_hz[start as usize..(start + rows) as usize].to_vec();
        Self { audio: self.audio.narrow(0, start, rows), reach_hz }
    }

    /// Of bands whose upper ends lie at `tops` Hz, `[K]`, those that each recording tells of.
    pub fn known(&self, tops: &[f64]) -> Known {
        if self.reach_hz.iter().all(Option::is_none) {
            return Known(None);
        }
        let tells = |reach: &Option<f64>, top: &f64| f32::from(reach.is_none_or(|reach| *top <= reach));
        let mask: Vec<f32> = self.reach_hz.iter().flat_map(|r| tops.iter().map(move |top| tells(r, top))).collect();
        Known(Some(Tensor::from_slice(&mask).view([-1, 1, tops.len() as i64]).to_device(self.audio.device())))
    }
}

/// Which bands of spectra `[B, T, K]` are compared: `[B, 1, K]`, 1 or 0; `None`: all.
#[derive(Debug)]
pub struct Known(Option<Tensor>);

impl Known {
    /// The mean of `x` `[B, T, K]` over what is known.
    pub fn mean(&self, x: &Tensor) -> Tensor {
        match &self.0 {
            None => x.mean(Kind::Float),
            Some(mask) => {
                let count = mask.sum(Kind::Float) * x.size()[1] as f64;
                (x * mask).sum(Kind::Float) / count.clamp_min(1.0)
            }
        }
    }

    /// `x` `[B, T, K]` with nothing in what is not known.
    pub fn of(&self, x: &Tensor) -> Tensor {
        self.0.as_ref().map_or_else(|| x.shallow_clone(), |mask| x * mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_taken_over_what_the_recordings_tell_of() {
        let cut = Cut { samples: vec![0.0; 8], reach_hz: vec![None, Some(150.0)] };
        let excerpts = cut.to_device(4, Device::Cpu);
        let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 50.0, 60.0]).view([2, 1, 3]);
        let number = |x: Tensor| f64::try_from(x).unwrap();
        let known = excerpts.known(&[100.0, 200.0, 300.0]);
        assert_eq!(number(known.mean(&x)), (1.0 + 2.0 + 3.0 + 4.0) / 4.0);
        assert_eq!(number(known.of(&x).sum(Kind::Float)), 10.0);
        // Of the first window alone, and of the second.
        assert_eq!(number(excerpts.narrow(0, 1).known(&[100.0, 200.0, 300.0]).mean(&x.narrow(0, 0, 1))), 2.0);
        assert_eq!(number(excerpts.narrow(1, 1).known(&[100.0, 200.0, 300.0]).mean(&x.narrow(0, 1, 1))), 4.0);
        // One that tells of nothing teaches nothing.
        assert_eq!(number(excerpts.narrow(1, 1).known(&[160.0; 3]).mean(&x.narrow(0, 1, 1))), 0.0);
    }
}
