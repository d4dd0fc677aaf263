//! What several seeds say of a score.

/// The mean of some values, and how far it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stat {
    /// How many values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (with n - 1); `None` for a single value.
    pub sd: Option<f64>,
    /// Half of the 95 % confidence interval of the mean (Student's t); `None` for a single value.
    pub half: Option<f64>,
}

/// Student's t at 97.5 % for 1, 2, ... degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

impl Stat {
    /// Of these values; `None` where there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let sd = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        let t = T.get(n.wrapping_sub(2)).copied().unwrap_or(1.96);
        Some(Self { n, mean, sd, half: sd.map(|sd| t * sd / (n as f64).sqrt()) })
    }

    /// As `0.233 ± 0.012`: the mean and the standard deviation, the latter only where there is one; `–` where
    /// there is nothing to measure.
    pub fn text(&self) -> String {
        match self.sd {
            _ if self.mean < 0.0 => "–".into(),
            Some(sd) => format!("{:.3} ± {sd:.3}", self.mean),
            None => format!("{:.3}", self.mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Mean 3, squares 4 + 1 + 0 + 1 + 4 = 10, sd = sqrt(10 / 4), half = 2.776 sd / sqrt(5).
        let stat = Stat::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!((stat.n, stat.mean), (5, 3.0));
        assert!((stat.sd.unwrap() - 1.581_138_8).abs() < 1e-6);
        assert!((stat.half.unwrap() - 1.962_93).abs() < 1e-4);
    }

    #[test]
    fn one_value_has_no_spread_and_none_no_mean() {
        assert_eq!(Stat::of(&[0.25]).unwrap().text(), "0.250");
        assert_eq!(Stat::of(&[-1.0]).unwrap().text(), "–");
        assert_eq!(Stat::of(&[]), None);
    }
}
