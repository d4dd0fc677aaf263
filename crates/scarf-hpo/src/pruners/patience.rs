//! Early stopping by a trial's own curve.

use crate::{History, Pruner, Trial};
use serde::{Deserialize, Serialize};

/// Stops a trial whose objective has not improved for a while, whatever the others do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Patience {
    /// How many steps without improvement are borne. Default 10.
    pub steps: u64,
    /// By how much the best must be beaten to count, in the objective's units; from 0. Default 0.
    pub least_gain: f64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { steps: 10, least_gain: 0.0 }
    }
}

impl Pruner for Patience {
    fn prune(&self, trial: &Trial, history: History<'_>) -> bool {
        let Some((last, _)) = trial.last() else { return false };
        let mut best: Option<(u64, f64)> = None;
        for &(step, value) in &trial.intermediate {
            let loss = history.direction.loss(value);
            if !loss.is_nan() && best.is_none_or(|(_, least)| loss < least - self.least_gain) {
                best = Some((step, loss));
            }
        }
        let since = best.map_or(trial.intermediate[0].0, |(step, _)| step);
        last.saturating_sub(since) >= self.steps.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Params};

    #[test]
    fn what_does_not_improve_in_time_is_stopped() {
        let stops = |least_gain, values: &[f64]| {
            let mut trial = Trial::new(0, Params::new());
            trial.intermediate = values.iter().zip(1..).map(|(value, step)| (step, *value)).collect();
            Patience { steps: 3, least_gain }.prune(&trial, History::empty(Direction::Maximize))
        };
        assert!(!stops(0.0, &[0.1, 0.2, 0.2, 0.1]));
        assert!(stops(0.0, &[0.1, 0.2, 0.2, 0.1, 0.2]));
        assert!(!stops(0.0, &[0.1, 0.2, 0.2, 0.1, 0.21]));
        assert!(stops(0.2, &[0.1, 0.2, 0.2, 0.25]));
        assert!(stops(0.0, &[f64::NAN, f64::NAN, f64::NAN, f64::NAN]));
        assert!(!stops(0.0, &[]));
    }
}
