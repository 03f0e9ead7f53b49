//! Colours for numbers. Every map grows steadily in lightness, so it reads the same in grey and for every kind of colour
//! blindness: what is lighter is more.

/// Seventeen colours at equal distances, straight lines between them.
pub struct ColourMap([[u8; 3]; 17]);

/// For levels: black over purple to pale yellow (magma, van der Walt and Smith, CC0).
pub const MAGMA: ColourMap = ColourMap([
    [0, 0, 4],
    [10, 8, 34],
    [29, 17, 71],
    [54, 16, 107],
    [81, 18, 124],
    [106, 28, 129],
    [131, 38, 129],
    [156, 46, 127],
    [183, 55, 121],
    [208, 65, 111],
    [231, 82, 99],
    [245, 107, 92],
    [252, 137, 97],
    [254, 167, 114],
    [254, 196, 136],
    [253, 226, 163],
    [252, 253, 191],
]);

/// For differences, from blue (less) over grey (the same) to yellow (more): cividis (Nuñez, Anderton and Renslow 2018, CC0).
pub const CIVIDIS: ColourMap = ColourMap([
    [0, 34, 78],
    [0, 46, 106],
    [26, 56, 111],
    [50, 67, 109],
    [67, 78, 108],
    [83, 90, 109],
    [97, 101, 111],
    [111, 112, 115],
    [125, 124, 120],
    [140, 136, 120],
    [155, 148, 118],
    [171, 160, 114],
    [188, 174, 108],
    [205, 187, 99],
    [222, 201, 88],
    [240, 216, 70],
    [254, 232, 56],
]);

impl ColourMap {
    /// The colour of `x` from 0 to 1; beyond them that of the end, and of the lower end for what is no number.
    pub fn rgb(&self, x: f32) -> [u8; 3] {
        // Unlike `clamp`, this takes NaN to the dark end.
        #[allow(clippy::manual_clamp)]
        let at = x.max(0.0).min(1.0) * 16.0;
        let (below, share) = ((at as usize).min(15), at - (at as usize).min(15) as f32);
        let (a, b) = (self.0[below], self.0[below + 1]);
        std::array::from_fn(|i| (f32::from(a[i]) + share * (f32::from(b[i]) - f32::from(a[i]))).round() as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CIE lightness L*, 0 to 100, of an sRGB colour.
    fn lightness(rgb: [u8; 3]) -> f64 {
        let linear = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        let y = 0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2]);
        if y > 0.008856 { 116.0 * y.cbrt() - 16.0 } else { 903.3 * y }
    }

    #[test]
    fn lighter_is_more_in_grey_too() {
        for map in [MAGMA, CIVIDIS] {
            let steps: Vec<f64> = (0..=64).map(|i| lightness(map.rgb(i as f32 / 64.0))).collect();
            for pair in steps.windows(2) {
                // Even steps would be 1.2 to 1.5 each; a third of that can still be seen.
                assert!(pair[1] - pair[0] > 0.4, "{pair:?}");
            }
            assert!(steps[64] - steps[0] > 70.0);
        }
    }

    #[test]
    fn ends_hold() {
        assert_eq!(MAGMA.rgb(-1.0), [0, 0, 4]);
        assert_eq!(MAGMA.rgb(2.0), [252, 253, 191]);
        assert_eq!(MAGMA.rgb(f32::NAN), [0, 0, 4]);
        assert_eq!(CIVIDIS.rgb(0.5), [125, 124, 120]);
    }
}
