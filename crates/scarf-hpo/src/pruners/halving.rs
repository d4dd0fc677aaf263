//! Successive halving: at rungs that lie geometrically apart only the best go on.

use crate::rng::fnv1a;
use crate::{History, Pruner, Trial};
use serde::{Deserialize, Serialize};

/// Asynchronous successive halving (Li et al. 2020, its stopping form): a trial that reaches a rung goes on if it
/// is among the best `1 / reduction` of all that reached it so far.
///
/// The rungs are the steps `min`, `min * reduction`, `min * reduction^2`, ...; what was reported first at or after
/// one counts there. They follow from the trials' intermediate values alone, so that workers need no other state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asha {
    /// The first rung's step. Default 1.
    pub min: u64,
    /// How many times fewer trials, and more steps, from rung to rung; 2 at the least. Default 3.
    pub reduction: u64,
}

impl Default for Asha {
    fn default() -> Self {
        Self { min: 1, reduction: 3 }
    }
}

impl Pruner for Asha {
    fn prune(&self, trial: &Trial, history: History<'_>) -> bool {
        self.halve(trial, history, |_| true)
    }
}

impl Asha {
    /// Whether `trial` loses against those of the history that `compete`.
    fn halve(&self, trial: &Trial, history: History<'_>, compete: impl Fn(&Trial) -> bool) -> bool {
        let Some(rung) = self.reached(trial) else { return false };
        let at_rung = |trial: &Trial| {
            trial
                .intermediate
                .iter()
                .find(|(step, _)| *step >= rung)
                .map(|(_, value)| history.direction.loss(*value))
        };
        let Some(own) = at_rung(trial) else { return false };
        let others = history.trials.iter().filter(|other| other.number != trial.number && compete(other));
        let values: Vec<f64> = others.filter_map(at_rung).collect();
        let going_on = ((values.len() as u64 + 1) / self.reduction.max(2)).max(1) as usize;
        own.is_nan() || values.iter().filter(|value| **value < own).count() >= going_on
    }

    /// The rung that the last report reached, if it reached one.
    fn reached(&self, trial: &Trial) -> Option<u64> {
        let (last, _) = trial.last()?;
        let before = trial.intermediate.len().checked_sub(2).map_or(0, |index| trial.intermediate[index].0);
        let rungs =
            std::iter::successors(Some(self.min.max(1)), |rung| rung.checked_mul(self.reduction.max(2)));
        rungs.take_while(|rung| *rung <= last).filter(|rung| *rung > before).last()
    }
}

/// Hyperband (Li et al. 2018) with asynchronous halving in each bracket: some trials are halved from the first
/// step on, others only later, in case early steps mislead.
///
/// A trial's bracket follows from its number; brackets get numbers in proportion to the trials that Hyperband
/// starts in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hyperband {
    /// The least resource of a trial (`MinResource`), in steps. Default 1.
    pub min: u64,
    /// The greatest (`MaxResource`), in steps: a trial's epochs. Default 100.
    pub max: u64,
    /// As [`Asha::reduction`]. Default 3.
    pub reduction: u64,
}

impl Default for Hyperband {
    fn default() -> Self {
        Self { min: 1, max: 100, reduction: 3 }
    }
}

impl Hyperband {
    /// How many brackets there are.
    pub fn brackets(&self) -> u64 {
        let (min, reduction) = (self.min.max(1), self.reduction.max(2));
        let rungs = std::iter::successors(Some(min), |rung| rung.checked_mul(reduction));
        rungs.take_while(|rung| *rung <= self.max.max(min)).count() as u64
    }

    /// The bracket of trial `number`: 0 is halved from the first rung on, each next one from a rung later.
    pub fn bracket(&self, number: u64) -> u64 {
        // By the number's hash: brackets are mixed from the first trials on, however few there will be.
        let mut place =
            fnv1a(&number.to_string()) % (0..self.brackets()).map(|each| self.starts(each)).sum::<u64>();
        for bracket in 0..self.brackets() {
            if place < self.starts(bracket) {
                return bracket;
            }
            place -= self.starts(bracket);
        }
        0
    }

    /// How many trials Hyperband starts in a bracket: ceil((s_max + 1) reduction^s / (s + 1)), with s = s_max - bracket.
    fn starts(&self, bracket: u64) -> u64 {
        let (brackets, s) = (self.brackets(), self.brackets() - 1 - bracket);
        let all = brackets.saturating_mul(self.reduction.max(2).saturating_pow(s as u32));
        all.div_ceil(s + 1).min(1 << 32)
    }
}

impl Pruner for Hyperband {
    fn prune(&self, trial: &Trial, history: History<'_>) -> bool {
        let bracket = self.bracket(trial.number);
        let reduction = self.reduction.max(2);
        let min = self.min.max(1).saturating_mul(reduction.saturating_pow(bracket as u32));
        Asha { min, reduction }.halve(trial, history, |other| self.bracket(other.number) == bracket)
    }
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
    fn a_third_goes_on_at_each_rung() {
        let past: Vec<Trial> = (0..8).map(|n| trial(n, &[n as f64, 9.0, n as f64])).collect();
        let stops =
            |curve: &[f64]| Asha::default().prune(&trial(9, curve), History::new(Direction::Minimize, &past));
        // Nine trials reached rung 1: three go on.
        assert!(!stops(&[1.5]));
        assert!(stops(&[2.5]));
        // Step 2 is no rung; step 3 is.
        assert!(!stops(&[0.0, 99.0]));
        assert!(!stops(&[9.0, 9.0, 1.5]));
        assert!(stops(&[0.0, 0.0, 2.5]));
        assert!(stops(&[f64::NAN]));
        assert!(!stops(&[]));
    }

    #[test]
    fn a_rung_that_was_stepped_over_counts_where_the_report_is() {
        let mut sparse = trial(9, &[]);
        sparse.intermediate = vec![(5, 7.0)];
        assert_eq!(Asha::default().reached(&sparse), Some(3));
        sparse.intermediate.push((8, 1.0));
        assert_eq!(Asha::default().reached(&sparse), None);
        sparse.intermediate.push((11, 1.0));
        assert_eq!(Asha::default().reached(&sparse), Some(9));
    }

    #[test]
    fn brackets_are_those_of_the_paper() {
        // Li et al. 2018, table 1: R = 81, eta = 3 starts 81, 34 (27 * 5 / 4 up), 15, 8, 5 trials.
        let hyperband = Hyperband { min: 1, max: 81, reduction: 3 };
        assert_eq!(hyperband.brackets(), 5);
        assert_eq!([0, 1, 2, 3, 4].map(|bracket| hyperband.starts(bracket)), [81, 34, 15, 8, 5]);
        let mut counts = [0.0; 5];
        (0..14_300).for_each(|number| counts[hyperband.bracket(number) as usize] += 0.01);
        for (count, starts) in counts.iter().zip([81.0, 34.0, 15.0, 8.0, 5.0]) {
            assert!(f64::abs(count - starts) < 2.0, "{counts:?}");
        }
        let early =
            (0..20).map(|number| hyperband.bracket(number)).collect::<std::collections::BTreeSet<_>>();
        assert!(early.len() >= 3, "of the first twenty all are in {early:?}");
        let late = Hyperband { min: 1, max: 9, reduction: 3 };
        let number = (0..).find(|number| late.bracket(*number) == 2).unwrap();
        let past: Vec<Trial> = (0..200).map(|n| trial(n, &[0.0; 9])).collect();
        let bad = trial(number, &[9.0; 8]);
        assert!(
            !late.prune(&bad, History::new(Direction::Minimize, &past)),
            "the last bracket is halved at step 9"
        );
        assert!(late.prune(&trial(number, &[9.0; 9]), History::new(Direction::Minimize, &past)));
    }
}
