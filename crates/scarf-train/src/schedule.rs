use serde::{Deserialize, Serialize};

/// How the learning rate moves over a run, as a factor of the optimizer's `lr`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// The same from the first step to the last.
    Constant {},
    /// Half a cosine from 1 to `end` (Loshchilov and Hutter, 2017, without restarts).
    Cosine {
        /// Steps over which it first rises linearly from a thousandth.
        #[serde(default)]
        warmup: usize,
        /// The factor that the last step comes close to, in `0..=1`: that of the step after it.
        #[serde(default)]
        end: f64,
    },
    /// Times `factor` from each of these epochs on (counted from 0).
    Step {
        /// Steps over which it first rises linearly from a thousandth.
        #[serde(default)]
        warmup: usize,
        /// Epochs before which the factor falls.
        epochs: Vec<usize>,
        /// What it is multiplied by each time.
        factor: f64,
    },
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Cosine { warmup: 0, end: 0.0 }
    }
}

impl ScheduleConfig {
    /// What is wrong with the numbers, if anything, and what would be right.
    pub(crate) fn check(&self) -> Result<(), String> {
        match *self {
            Self::Cosine { end, .. } if !(0.0..=1.0).contains(&end) => {
                Err(format!("cosine.end is {end}; a number from 0 to 1 is needed"))
            }
            Self::Step { factor, .. } if !(factor.is_finite() && factor > 0.0) => {
                Err(format!("step.factor is {factor}; a positive number is needed"))
            }
            _ => Ok(()),
        }
    }

    /// The steps over which the rate first rises.
    pub fn warmup(&self) -> usize {
        match self {
            Self::Constant {} => 0,
            Self::Cosine { warmup, .. } | Self::Step { warmup, .. } => *warmup,
        }
    }

    /// The factor at a step (from 0) of a run of `steps`, `per_epoch` of them an epoch.
    pub fn factor(&self, step: usize, steps: usize, per_epoch: usize) -> f64 {
        match self {
            Self::Constant {} => 1.0,
            Self::Cosine { warmup, end } => {
                if step < *warmup {
                    return rise(step, *warmup);
                }
                let done = (step - warmup) as f64 / (steps.saturating_sub(*warmup)).max(1) as f64;
                end + (1.0 - end) * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
            Self::Step { warmup, epochs, factor } => {
                let epoch = step / per_epoch.max(1);
                let passed = epochs.iter().filter(|&&at| at <= epoch).count();
                let warm = if step < *warmup { rise(step, *warmup) } else { 1.0 };
                warm * factor.powi(passed as i32)
            }
        }
    }
}

fn rise(step: usize, warmup: usize) -> f64 {
    let done = step as f64 / warmup as f64;
    0.001 * (1.0 - done) + done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_rises_and_falls() {
        let schedule = ScheduleConfig::Cosine { warmup: 10, end: 0.1 };
        assert_eq!(schedule.factor(0, 110, 10), 0.001);
        assert_eq!(schedule.factor(10, 110, 10), 1.0);
        assert!((schedule.factor(60, 110, 10) - 0.55).abs() < 1e-12);
        assert!((schedule.factor(110, 110, 10) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn steps_fall_at_their_epochs() {
        let schedule = ScheduleConfig::Step { warmup: 0, epochs: vec![2, 4], factor: 0.1 };
        let at = |epoch: usize| schedule.factor(epoch * 7, 70, 7);
        assert_eq!(at(1), 1.0);
        assert!((at(2) - 0.1).abs() < 1e-12 && (at(5) - 0.01).abs() < 1e-12);
    }
}
