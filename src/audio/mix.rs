//! From the channels of a recording to one.
//!
//! Mono and stereo, and whatever is no surround, are the mean of their channels. Surround is mixed by the coefficients of
//! ITU-R BS.775 for one channel (the front pair at -3 dB, the centre at 0, what is behind or beside at -6, the low-frequency
//! channel left out), divided by their sum: the mix cannot be louder than the loudest channel, as a mean cannot.

use std::f32::consts::FRAC_1_SQRT_2;

use symphonia::core::audio::{Channels, Position};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mix {
    Mean,
    /// A weight for each channel, 1 together.
    Weighted(Vec<f32>),
}

impl Mix {
    pub fn of(channels: &Channels) -> Self {
        let Channels::Positioned(positions) = channels else { return Self::Mean };
        let front = Position::FRONT_LEFT | Position::FRONT_RIGHT;
        let pairs = [
            Position::REAR_LEFT | Position::REAR_RIGHT,
            Position::SIDE_LEFT | Position::SIDE_RIGHT,
            // The 7.1 of old, and of eight channels without a mask.
            Position::FRONT_LEFT_CENTER | Position::FRONT_RIGHT_CENTER,
        ];
        let around = pairs[0] | pairs[1] | pairs[2] | Position::REAR_CENTER;
        let known = front | around | Position::FRONT_CENTER | Position::LFE1;
        // Positions that were only counted up, of a recorder's four or five tracks, are no surround: half of a pair is there.
        let whole = pairs.iter().all(|pair| positions.contains(*pair) || !positions.intersects(*pair));
        if !positions.contains(front) || !positions.intersects(around) || !known.contains(*positions) || !whole {
            return Self::Mean;
        }
        let weight = |position: Position| match position {
            Position::FRONT_LEFT | Position::FRONT_RIGHT => FRAC_1_SQRT_2,
            Position::FRONT_CENTER => 1.0,
            Position::LFE1 => 0.0,
            _ => 0.5,
        };
        let weights: Vec<f32> = positions.iter().map(weight).collect();
        let sum: f32 = weights.iter().sum();
        Self::Weighted(weights.into_iter().map(|weight| weight / sum).collect())
    }

    /// One sample for every `channels` of `interleaved`.
    pub fn mono(&self, interleaved: &[f32], channels: usize) -> Vec<f32> {
        let all = interleaved.chunks_exact(channels);
        match self {
            Self::Weighted(weights) if weights.len() == channels => {
                all.map(|all| all.iter().zip(weights).map(|(sample, weight)| sample * weight).sum()).collect()
            }
            _ => {
                let scale = 1.0 / channels as f32;
                all.map(|all| all.iter().sum::<f32>() * scale).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::FRAC_1_SQRT_2 as HALF_POWER;

    fn mix(mask: u32) -> Mix {
        Mix::of(&Channels::Positioned(Position::from_wave_channel_mask(mask).unwrap()))
    }

    #[test]
    fn surround_is_mixed_by_bs_775() {
        for (name, mask, weights) in [
            ("5.1", 0x3F, vec![HALF_POWER, HALF_POWER, 1.0, 0.0, 0.5, 0.5]),
            ("5.1 with sides", 0x60F, vec![HALF_POWER, HALF_POWER, 1.0, 0.0, 0.5, 0.5]),
            ("5.0", 0x37, vec![HALF_POWER, HALF_POWER, 1.0, 0.5, 0.5]),
            ("quad", 0x33, vec![HALF_POWER, HALF_POWER, 0.5, 0.5]),
            ("7.1", 0x63F, vec![HALF_POWER, HALF_POWER, 1.0, 0.0, 0.5, 0.5, 0.5, 0.5]),
        ] {
            let sum: f32 = weights.iter().sum();
            let full = mix(mask).mono(&vec![1.0; weights.len()], weights.len());
            assert!((full[0] - 1.0).abs() < 1e-6, "{name} can clip: {full:?}");
            for (i, weight) in weights.iter().enumerate() {
                let mut one = vec![0.0; weights.len()];
                one[i] = 1.0;
                let mono = mix(mask).mono(&one, weights.len())[0];
                // The weights above have four digits.
                assert!((mono - weight / sum).abs() < 1e-4, "{name}, channel {i}: {mono}");
            }
        }
        // Mono, stereo, three of front, four and five tracks that were only counted.
        for mask in [0x4, 0x3, 0x7, 0xF, 0x1F] {
            assert_eq!(mix(mask), Mix::Mean, "{mask:#x}");
        }
    }
}
