//! The Kaiser window (Kaiser and Schafer 1980): a stop band as deep as its shape `beta` says.

/// The window's value at `x`, from its centre at 0 to its ends at -1 and 1, beyond which it is zero.
pub fn kaiser(x: f64, beta: f64) -> f64 {
    let inside = 1.0 - x * x;
    if inside < 0.0 { 0.0 } else { bessel_i0(beta * inside.sqrt()) / bessel_i0(beta) }
}

/// The modified Bessel function of the first kind and order 0, by its power series.
pub fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..64 {
        term *= quarter / f64::from(k * k);
        sum += term;
    }
    sum
}
