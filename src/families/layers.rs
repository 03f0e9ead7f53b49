//! Layers that several families have, on `[B, C, n]` tensors, and how far they look.

use super::weights::Weights;
use crate::Result;
use std::ops::Range;
use tch::Tensor;

/// The inputs that some outputs of a network depend on, followed from its last layer to its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first: i64,
    pub last: i64,
}

impl Span {
    /// Of the samples of `frames`.
    pub fn of_frames(frames: Range<usize>, hop: usize) -> Self {
        Self { first: (frames.start * hop) as i64, last: (frames.end * hop) as i64 - 1 }
    }

    /// Before a layer that looks `reach` values to either side.
    pub fn widened(self, reach: usize) -> Self {
        Self { first: self.first - reach as i64, last: self.last + reach as i64 }
    }

    /// Before a transposed convolution: value i gives the outputs from `rate` i - `padding` on, `kernel` of them.
    pub fn before_upsampling(self, rate: usize, kernel: usize, padding: usize) -> Self {
        let (rate, kernel, padding) = (rate as i64, kernel as i64, padding as i64);
        Self {
            first: (self.first + padding - kernel).div_euclid(rate) + 1,
            last: (self.last + padding).div_euclid(rate),
        }
    }
}

/// Values `[B, C, n]` from the one at `first` of a longer sequence on.
pub struct Excerpt {
    pub values: Tensor,
    pub first: i64,
}

impl Excerpt {
    /// Without the values that nothing depends on any more: what lies near a later layer's new ends is wrong, and not wanted.
    pub fn cut(self, span: Span) -> Self {
        let end = self.first + self.values.size()[2];
        let (first, stop) = (span.first.clamp(self.first, end), (span.last + 1).clamp(self.first, end));
        Self { values: self.values.slice(2, first - self.first, stop - self.first, 1), first }
    }

    /// What a layer makes of them that keeps their number.
    pub fn through(self, layer: impl FnOnce(&Tensor) -> Tensor) -> Self {
        Self { values: layer(&self.values), first: self.first }
    }
}

/// A dilated convolution of stride 1 that keeps the length: `[B, C, n]` -> `[B, C', n]`, zeros beyond the ends.
pub struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    dilation: i64,
    padding: i64,
}

impl Conv {
    /// `name` of weight [C', C, `kernel`] and bias `[C']`. `kernel` is odd.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn new(
        weights: &Weights,
        name: &str,
        [input, output]: [usize; 2],
        kernel: usize,
        dilation: usize,
    ) -> Result<Self> {
        let bias = Some(weights.take(&format!("{name}.bias"), &[output])?);
        Ok(Self { bias, ..Self::without_bias(weights, name, [input, output], kernel, dilation)? })
    }

    /// # Errors
    /// Those of [`Weights::take`].
    pub fn without_bias(
        weights: &Weights,
        name: &str,
        [input, output]: [usize; 2],
        kernel: usize,
        dilation: usize,
    ) -> Result<Self> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[output, input, kernel])?,
            bias: None,
            dilation: dilation as i64,
            padding: Self::reach(kernel, dilation) as i64,
        })
    }

    /// Values to either side that one depends on.
    pub fn reach(kernel: usize, dilation: usize) -> usize {
        (kernel - 1) * dilation / 2
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.conv1d(&self.weight, self.bias.as_ref(), 1, self.padding, self.dilation, 1)
    }
}

/// A transposed convolution, `[B, C, n]` -> [B, C', `rate` n], and some values more where kernel and rate are not both odd or both
/// even.
pub struct Upsampling {
    weight: Tensor,
    bias: Tensor,
    rate: usize,
    kernel: usize,
}

impl Upsampling {
    /// `name` of weight [C, C', `kernel`] and bias `[C']`. `kernel` is no less than `rate`.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn new(weights: &Weights, name: &str, [input, output]: [usize; 2], rate: usize, kernel: usize) -> Result<Self> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[input, output, kernel])?,
            bias: weights.take(&format!("{name}.bias"), &[output])?,
            rate,
            kernel,
        })
    }

    fn padding(&self) -> usize {
        (self.kernel - self.rate) / 2
    }

    /// What `outputs` depend on.
    pub fn span(&self, outputs: Span) -> Span {
        outputs.before_upsampling(self.rate, self.kernel, self.padding())
    }

    pub fn forward(&self, x: &Excerpt) -> Excerpt {
        let (rate, padding) = (self.rate as i64, self.padding() as i64);
        let values = x.values.conv_transpose1d(&self.weight, Some(&self.bias), rate, padding, 0, 1, 1);
        Excerpt { values, first: x.first * rate }
    }
}

/// `x W^T + b`, over the last axis.
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// `name` of weight `[C', C]` and bias `[C']`.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn new(weights: &Weights, name: &str, [input, output]: [usize; 2]) -> Result<Self> {
        let weight = weights.take(&format!("{name}.weight"), &[output, input])?;
        Ok(Self { weight, bias: weights.take(&format!("{name}.bias"), &[output])? })
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, Some(&self.bias))
    }
}

/// Values below 0 times a slope.
pub struct LeakyRelu {
    slope: Tensor,
}

impl LeakyRelu {
    pub fn new(slope: f32, device: tch::Device) -> Self {
        Self { slope: Tensor::from_slice(&[slope]).to_device(device) }
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.prelu(&self.slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inputs that reach an output of a transposed convolution, counted one by one.
    #[test]
    fn the_span_before_upsampling_is_what_reaches_the_outputs() {
        for (rate, kernel) in [(8usize, 16usize), (2, 4), (4, 8), (3, 6), (5, 11), (4, 4), (3, 8)] {
            let padding = (kernel - rate) / 2;
            for outputs in [Span { first: 0, last: 0 }, Span { first: -7, last: 3 }, Span { first: 5, last: 40 }] {
                let reaches = |i: i64| {
                    let begin = i * rate as i64 - padding as i64;
                    begin <= outputs.last && begin + kernel as i64 > outputs.first
                };
                let all: Vec<i64> = (-50..50).filter(|&i| reaches(i)).collect();
                let span = outputs.before_upsampling(rate, kernel, padding);
                assert_eq!((span.first, span.last), (all[0], all[all.len() - 1]), "{rate} {kernel} {outputs:?}");
            }
        }
    }
}
