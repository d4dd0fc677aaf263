//! One set of hyperparameters and what came of it.

use crate::Params;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialState {
    /// Suggested, not begun.
    Pending,
    /// Somebody is working on it.
    Running,
    /// Done, with an objective.
    Complete,
    /// Stopped early, because it did not promise.
    Pruned,
    /// Ended without an objective.
    Failed,
}

impl TrialState {
    /// Whether nothing more will come of it.
    pub fn is_finished(self) -> bool {
        matches!(self, TrialState::Complete | TrialState::Pruned | TrialState::Failed)
    }
}

/// One set of hyperparameters and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Its place in the search, from 0.
    pub number: u64,
    /// What was chosen.
    pub params: Params,
    /// Where it stands.
    pub state: TrialState,
    /// The objective, once complete. A pruned trial may carry its last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The objective on the way, as (step, value): epochs as a rule, steps ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intermediate: Vec<(u64, f64)>,
    /// Wall-clock seconds that it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Other metrics, reported and not optimised.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

impl Trial {
    /// A pending trial.
    pub fn new(number: u64, params: Params) -> Self {
        Self {
            number,
            params,
            state: TrialState::Pending,
            value: None,
            intermediate: Vec::new(),
            seconds: None,
            metrics: BTreeMap::new(),
        }
    }

    /// This trial, complete with `value`.
    pub fn complete(mut self, value: f64) -> Self {
        self.state = TrialState::Complete;
        self.value = Some(value);
        self
    }

    /// The last intermediate value, as (step, value).
    pub fn last(&self) -> Option<(u64, f64)> {
        self.intermediate.last().copied()
    }
}
