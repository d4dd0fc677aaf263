//! The normal distribution, where the standard library has nothing.

use rand::{Rng, RngExt};
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// ln sqrt(2 pi).
pub(crate) const LN_SQRT_2PI: f64 = 0.918_938_533_204_672_7;

/// The standard normal density.
pub(crate) fn normal_pdf(z: f64) -> f64 {
    (-0.5 * z * z - LN_SQRT_2PI).exp()
}

/// The standard normal distribution function.
pub(crate) fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// ln of the standard normal's mass between `a` and `b` (a <= b), also far out in a tail.
pub(crate) fn ln_normal_mass(a: f64, b: f64) -> f64 {
    // By symmetry in the lower tail, where differences keep their digits.
    let (a, b) = if a > 0.0 { (-b, -a) } else { (a, b) };
    if b < -37.0 {
        // Less than a double holds.
        return f64::MIN_POSITIVE.ln();
    }
    (normal_cdf(b) - normal_cdf(a)).max(f64::MIN_POSITIVE).ln()
}

/// A draw from the standard normal (Box and Muller 1958).
pub(crate) fn normal(rng: &mut impl Rng) -> f64 {
    box_muller(rng.random(), rng.random())[0]
}

/// Two independent draws from the standard normal, of two from [0, 1).
pub(crate) fn box_muller(u: f64, v: f64) -> [f64; 2] {
    let radius = (-2.0 * (1.0 - u).ln()).sqrt();
    let (sin, cos) = (2.0 * PI * v).sin_cos();
    [radius * cos, radius * sin]
}

/// A draw from the normal about `mean`, which lies in [0, 1], truncated to [0, 1].
pub(crate) fn truncated_normal(rng: &mut impl Rng, mean: f64, sigma: f64) -> f64 {
    // Rejection: with sigma <= 1 a draw is accepted a third of the time at the least.
    for _ in 0..1000 {
        let x = mean + sigma * normal(rng);
        if (0.0..=1.0).contains(&x) {
            return x;
        }
    }
    mean
}

/// The median of `values`, the mean of the middle two where their number is even; `None` of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[half]),
        _ => Some(0.5 * (values[half - 1] + values[half])),
    }
}

/// Mean and deviation; a deviation of 1 where all are equal.
pub(crate) fn spread(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|value| value / n).sum::<f64>();
    let deviation = values.iter().map(|value| (value - mean) * ((value - mean) / n)).sum::<f64>().sqrt();
    (mean, if deviation > 0.0 && deviation.is_finite() { deviation } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_has_its_textbook_values() {
        approx::assert_abs_diff_eq!(normal_cdf(1.959_963_984_540_054), 0.975, epsilon = 1e-14);
        approx::assert_abs_diff_eq!(normal_pdf(0.0), 0.398_942_280_401_432_7, epsilon = 1e-15);
        // scipy.stats.norm.logcdf(-10) and the same mass mirrored.
        approx::assert_relative_eq!(ln_normal_mass(-40.0, -10.0), -53.231_285_151_512_47, epsilon = 1e-9);
        approx::assert_relative_eq!(ln_normal_mass(10.0, 40.0), -53.231_285_151_512_47, epsilon = 1e-9);
    }

    #[test]
    fn a_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
