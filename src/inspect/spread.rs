//! How far several renderings of one mel are apart, number by number: small where the network knows, large where it
//! guesses.

/// Mean and deviation of arrays that come one after another (Welford 1962), in place of all of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spread {
    count: u32,
    mean: Vec<f32>,
    /// Sum of squared distances from the mean.
    squares: Vec<f32>,
}

impl Spread {
    /// All arrays have the length of the first.
    pub fn push(&mut self, values: impl IntoIterator<Item = f32>) {
        if self.count == 0 {
            self.mean = values.into_iter().collect();
            self.squares = vec![0.0; self.mean.len()];
            self.count = 1;
            return;
        }
        self.count += 1;
        for ((mean, squares), value) in self.mean.iter_mut().zip(&mut self.squares).zip(values) {
            let distance = value - *mean;
            *mean += distance / self.count as f32;
            *squares += distance * (value - *mean);
        }
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The standard deviation (of a sample: n - 1); `None` of fewer than two.
    pub fn deviation(&self) -> Option<Vec<f32>> {
        let degrees = self.count.checked_sub(1).filter(|&n| n > 0)? as f32;
        Some(self.squares.iter().map(|squares| (squares.max(0.0) / degrees).sqrt()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_those_of_the_formula() {
        let mut spread = Spread::default();
        assert_eq!(spread.deviation(), None);
        spread.push([2.0, 5.0]);
        assert_eq!(spread.deviation(), None);
        for x in [4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            spread.push([x, 5.0]);
        }
        // Sum of squares about 5: 32, over 7.
        let deviation = spread.deviation().unwrap();
        assert!((deviation[0] - (32.0f32 / 7.0).sqrt()).abs() < 1e-5 && deviation[1] == 0.0, "{deviation:?}");
        assert_eq!((spread.mean()[0], spread.count()), (5.0, 8));
    }
}
