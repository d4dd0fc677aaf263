//! The median rule.

use crate::{History, Pruner, Trial, TrialState};
use serde::{Deserialize, Serialize};

/// Stops a trial whose objective is worse than the median of the running averages, up to the same step, of the
/// complete trials (Golovin et al. 2017; the `Auto` early stopping of SageMaker's tuner).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MedianRule {
    /// How many trials must be complete before any is stopped. Default 5.
    pub startup: u64,
    /// Steps up to this one never stop a trial. Default 0.
    pub warmup: u64,
}

impl Default for MedianRule {
    fn default() -> Self {
        Self { startup: 5, warmup: 0 }
    }
}

impl Pruner for MedianRule {
    fn prune(&self, trial: &Trial, history: History<'_>) -> bool {
        let Some((step, value)) = trial.last() else { return false };
        let others = history.trials.iter().filter(|other| other.number != trial.number);
        let averages: Vec<f64> = others
            .filter(|other| other.state == TrialState::Complete)
            .filter_map(|other| average(other, step))
            .collect();
        if step <= self.warmup || averages.is_empty() || (averages.len() as u64) < self.startup {
            return false;
        }
        let median = crate::math::median(averages);
        median.is_some_and(|median| value.is_nan() || history.direction.better(median, value))
    }
}

/// The mean of what was reported up to `step`; `None` where nothing was.
fn average(trial: &Trial, step: u64) -> Option<f64> {
    let values: Vec<f64> =
        trial.intermediate.iter().filter(|(at, x)| *at <= step && x.is_finite()).map(|(_, x)| *x).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Params};

    fn trial(number: u64, curve: &[f64]) -> Trial {
        let mut trial = Trial::new(number, Params::new());
        trial.intermediate = curve.iter().zip(1..).map(|(value, step)| (step, *value)).collect();
        trial
    }

    #[test]
    fn the_median_of_running_averages_decides() {
        // Running averages at step 2: 1.5, 2.5, 5; their median 2.5.
        let past: Vec<Trial> = [[1.0, 2.0, 9.0], [2.0, 3.0, 9.0], [4.0, 6.0, 9.0]]
            .iter()
            .zip(0..)
            .map(|(curve, n)| trial(n, curve).complete(9.0))
            .collect();
        let rule = MedianRule { startup: 3, warmup: 0 };
        let stops = |direction, curve: &[f64]| rule.prune(&trial(7, curve), History::new(direction, &past));
        assert!(stops(Direction::Minimize, &[0.0, 2.6]));
        assert!(!stops(Direction::Minimize, &[0.0, 2.5]));
        assert!(stops(Direction::Maximize, &[0.0, 2.4]));
        assert!(!stops(Direction::Maximize, &[0.0, 2.5]));
        assert!(stops(Direction::Maximize, &[0.0, f64::NAN]));
        assert!(!stops(Direction::Minimize, &[]));
        let patient = MedianRule { startup: 3, warmup: 2 };
        assert!(!patient.prune(&trial(7, &[9.0, 9.0]), History::new(Direction::Minimize, &past)));
        let unsure = MedianRule { startup: 4, warmup: 0 };
        assert!(!unsure.prune(&trial(7, &[9.0, 9.0]), History::new(Direction::Minimize, &past)));
    }
}
