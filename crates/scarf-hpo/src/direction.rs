//! Which way is better, and what has been tried so far.

use crate::{Trial, TrialState};
use serde::{Deserialize, Serialize};

/// Whether a small or a large objective is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Less is better (a loss).
    #[default]
    Minimize,
    /// More is better (a mean average precision).
    Maximize,
}

impl Direction {
    /// `value` turned so that less is better.
    pub fn loss(self, value: f64) -> f64 {
        match self {
            Direction::Minimize => value,
            Direction::Maximize => -value,
        }
    }

    /// Whether `a` is strictly better than `b`; never so where either is NaN.
    pub fn better(self, a: f64, b: f64) -> bool {
        self.loss(a) < self.loss(b)
    }
}

/// What a sampler or a pruner may look at: the trials so far, in any order, pending and running ones too.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// Which way is better.
    pub direction: Direction,
    /// The trials so far.
    pub trials: &'a [Trial],
}

impl<'a> History<'a> {
    /// A view of `trials`.
    pub fn new(direction: Direction, trials: &'a [Trial]) -> Self {
        Self { direction, trials }
    }

    /// Nothing tried yet.
    pub fn empty(direction: Direction) -> Self {
        Self { direction, trials: &[] }
    }

    /// The complete trials with a finite objective, each with it turned so that less is better.
    pub fn complete(&self) -> impl Iterator<Item = (&'a Trial, f64)> + use<'a> {
        let direction = self.direction;
        self.trials
            .iter()
            .filter(|trial| trial.state == TrialState::Complete)
            .filter_map(move |trial| Some((trial, direction.loss(trial.value?))))
            .filter(|(_, loss)| loss.is_finite())
    }

    /// The trials that somebody is working on, or is about to.
    pub fn pending(&self) -> impl Iterator<Item = &'a Trial> + use<'a> {
        self.trials.iter().filter(|trial| matches!(trial.state, TrialState::Pending | TrialState::Running))
    }

    /// The best complete trial; of equal ones the lowest number.
    pub fn best(&self) -> Option<&'a Trial> {
        self.complete()
            .min_by(|(a, x), (b, y)| x.total_cmp(y).then(a.number.cmp(&b.number)))
            .map(|(trial, _)| trial)
    }
}
