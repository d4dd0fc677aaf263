//! Whether a trial of a study's search promises still, beside those that ended before its batch began.

use crate::result::Epoch;
use scarf_hpo::{AnyPruner, Direction, History, Pruner, Trial};

/// A trial that goes on, its rivals, and who judges.
pub(crate) struct Contest {
    pub(crate) pruner: AnyPruner,
    pub(crate) direction: Direction,
    /// The name of the objective in `metrics.jsonl`.
    pub(crate) objective: String,
    /// With their curves.
    pub(crate) rivals: Vec<Trial>,
    pub(crate) own: Trial,
}

/// Where a trial was stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stopped {
    /// Epochs done.
    pub(crate) epochs: u64,
    /// The objective after them.
    pub(crate) value: f64,
    /// Seconds that they took, those before an interruption included, where the program says so.
    pub(crate) seconds: Option<f64>,
}

/// The objective after each of the first epochs, to `last` (all where that is `None`), as far as they measured it.
pub(crate) fn curve(epochs: &[Epoch], objective: &str, last: Option<u64>) -> Vec<(u64, f64)> {
    let told = epochs.iter().filter(|each| last.is_none_or(|last| each.epoch <= last));
    told.filter_map(|each| Some((each.epoch, *each.values.get(objective)?))).collect()
}

impl Contest {
    /// Takes an epoch in. Where the trial is to stop then, that.
    pub(crate) fn judge(&mut self, epoch: &Epoch) -> Option<Stopped> {
        let value = *epoch.values.get(&self.objective)?;
        // One that was killed after an epoch may do that again.
        self.own.intermediate.retain(|(step, _)| *step < epoch.epoch);
        self.own.intermediate.push((epoch.epoch, value));
        let history = History::new(self.direction, &self.rivals);
        // What has been trained to its end is not stopped.
        let goes_on = epoch.epoch < epoch.epochs;
        let seconds = epoch.values.get("seconds").copied();
        let stopped = Stopped { epochs: epoch.epoch, value, seconds };
        (goes_on && self.pruner.prune(&self.own, history)).then_some(stopped)
    }
}
