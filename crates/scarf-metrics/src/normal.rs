//! The standard normal distribution, as far as bootstraps need it.

/// The quantile of .975.
pub(crate) const TWO_SIDED_95: f64 = 1.959_963_984_540_054;

/// The share below `z`, by the continued fraction of Mills' ratio and, near 0, the series of the error function
/// (Abramowitz & Stegun 26.2.11 and 26.2.14); good to 1e-12.
pub(crate) fn share(z: f64) -> f64 {
    let x = z.abs();
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let above = if x < 3.0 {
        let (mut term, mut sum, mut odd) = (x, x, 1.0);
        while term > 1e-17 * sum {
            odd += 2.0;
            term *= x * x / odd;
            sum += term;
        }
        0.5 - density * sum
    } else {
        density / (1..=60).rev().fold(x, |fraction, k| x + f64::from(k) / fraction)
    };
    if z < 0.0 { above } else { 1.0 - above }
}

/// The number below which a share of `p` lies, by bisection; `p` of 0 to 1, and within -8 to 8.
pub(crate) fn quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if share(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textbook_values() {
        for (z, p) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_542_9),
            (-1.644_853_626_951_472_7, 0.05),
            (TWO_SIDED_95, 0.975),
            (2.999, 0.998_645_663_466_272_9),
            (-3.5, 2.326_290_790_355_25e-4),
            (-6.0, 9.865_876_450_377e-10),
        ] {
            assert!((share(z) / p - 1.0).abs() < 1e-9, "{z}: {} is not {p}", share(z));
            assert!((quantile(p) - z).abs() < 1e-8, "{p}: {} is not {z}", quantile(p));
        }
    }
}
