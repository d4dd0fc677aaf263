//! When a search is over.

use crate::{Gp, History, Space, TrialState};
use serde::{Deserialize, Serialize};
use std::fmt;

/// When a search is over: as soon as any of these holds; never where none is given.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Completion {
    /// So many trials have finished (`MaxNumberOfTrainingJobs`), failed ones too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trials: Option<u64>,
    /// The search has taken so many seconds by the clock (`MaxRuntimeInSeconds`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The trials have cost so many dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dollars: Option<f64>,
    /// The best objective is at least this good (`TargetObjectiveMetricValue`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// So many complete or pruned trials on end were no better than the best before
    /// (`MaxNumberOfTrainingJobsNotImproving`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_improving: Option<u64>,
    /// The improvement that the next trial can be expected to bring is below this share of the best objective
    /// (`CompleteOnConvergence`, there 0.01). A Gaussian process estimates it, from its tenth trial on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converged: Option<f64>,
}

/// What a search has used up; the trials do not know it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spent {
    /// Seconds by the clock since it began.
    pub seconds: f64,
    /// The price of an hour of one trial, in dollars.
    pub dollars_per_hour: f64,
}

/// Which criterion ended a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// [`Completion::trials`].
    Trials,
    /// [`Completion::seconds`].
    Seconds,
    /// [`Completion::dollars`].
    Dollars,
    /// [`Completion::target`].
    Target,
    /// [`Completion::not_improving`].
    NotImproving,
    /// [`Completion::converged`].
    Converged,
    /// Each combination of a grid has had its trial ([`crate::AnySampler::combinations`]). Not one of [`Completion`]'s
    /// criteria: whoever has the sampler sees to it.
    Combinations,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Trials => "the number of trials is reached",
            Reason::Seconds => "the time is up",
            Reason::Dollars => "the money is spent",
            Reason::Target => "the target is reached",
            Reason::NotImproving => "the trials no longer improve",
            Reason::Converged => "the search has converged",
            Reason::Combinations => "every combination has been tried",
        })
    }
}

impl Completion {
    /// The first criterion that holds, in the order of the fields.
    pub fn reached(&self, space: &Space, history: History<'_>, spent: Spent) -> Option<Reason> {
        let finished = history.trials.iter().filter(|trial| trial.state.is_finished()).count() as u64;
        let best = history.best().and_then(|trial| trial.value);
        let met = |value: f64, target: f64| value == target || history.direction.better(value, target);
        let holds = [
            (Reason::Trials, self.trials.is_some_and(|most| finished >= most)),
            (Reason::Seconds, self.seconds.is_some_and(|most| spent.seconds >= most)),
            (
                Reason::Dollars,
                self.dollars.is_some_and(|most| dollars(history, spent.dollars_per_hour) >= most),
            ),
            (Reason::Target, self.target.zip(best).is_some_and(|(target, best)| met(best, target))),
            (Reason::NotImproving, self.not_improving.is_some_and(|most| in_vain(history) >= most)),
        ];
        let reached = holds.into_iter().find(|(_, holds)| *holds).map(|(reason, _)| reason);
        reached.or_else(|| self.has_converged(space, history, best).then_some(Reason::Converged))
    }

    fn has_converged(&self, space: &Space, history: History<'_>, best: Option<f64>) -> bool {
        self.converged.zip(best).is_some_and(|(share, best)| {
            Gp::default().expected_gain(space, history).is_some_and(|gain| gain < share * best.abs())
        })
    }
}

/// What the trials have cost so far, by the seconds they report.
pub fn dollars(history: History<'_>, per_hour: f64) -> f64 {
    history.trials.iter().filter_map(|trial| trial.seconds).sum::<f64>() / 3600.0 * per_hour
}

/// How many complete or pruned trials have come since the best one.
fn in_vain(history: History<'_>) -> u64 {
    let Some(best) = history.best() else { return 0 };
    let tried = history
        .trials
        .iter()
        .filter(|trial| matches!(trial.state, TrialState::Complete | TrialState::Pruned));
    tried.filter(|trial| trial.number > best.number).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Domain, Parameter, Params, Sampler, Trial};

    fn trials(values: &[f64]) -> Vec<Trial> {
        let trial = |(value, number): (&f64, u64)| {
            let mut trial = Trial::new(number, Params::new()).complete(*value);
            trial.seconds = Some(1800.0);
            trial
        };
        values.iter().zip(0..).map(trial).collect()
    }

    #[test]
    fn each_criterion_ends_a_search_at_its_own_time() {
        let none = Completion::default();
        let spent = Spent { seconds: 60.0, dollars_per_hour: 3.06 };
        let past = trials(&[0.1, 0.5, 0.3, 0.5]);
        let ends = |criteria: Completion| {
            criteria.reached(&Space::default(), History::new(Direction::Maximize, &past), spent)
        };
        assert_eq!(ends(none), None);
        assert_eq!(ends(Completion { trials: Some(4), ..none }), Some(Reason::Trials));
        assert_eq!(ends(Completion { trials: Some(5), ..none }), None);
        assert_eq!(ends(Completion { seconds: Some(60.0), ..none }), Some(Reason::Seconds));
        assert_eq!(ends(Completion { dollars: Some(6.12), ..none }), Some(Reason::Dollars));
        assert_eq!(ends(Completion { dollars: Some(6.13), ..none }), None);
        assert_eq!(ends(Completion { target: Some(0.5), ..none }), Some(Reason::Target));
        assert_eq!(ends(Completion { target: Some(0.51), ..none }), None);
        assert_eq!(ends(Completion { not_improving: Some(2), ..none }), Some(Reason::NotImproving));
        assert_eq!(ends(Completion { not_improving: Some(3), ..none }), None);
    }

    #[test]
    fn a_search_converges_when_nothing_more_is_to_be_expected() {
        let space = Space::new(vec![Parameter::new("x", Domain::linear(-1.0, 1.0))]).unwrap();
        let criteria = Completion { converged: Some(0.01), ..Completion::default() };
        let mut past = Vec::new();
        let mut ended = None;
        for number in 0..60 {
            let history = History::new(Direction::Minimize, &past);
            if criteria.reached(&space, history, Spent::default()).is_some() {
                ended = Some(number);
                break;
            }
            let params = Gp::default().suggest(&space, history, 1, number);
            let x = params["x"].as_f64().unwrap();
            past.push(Trial::new(number, params).complete(1.0 + (x - 0.3).powi(2)));
        }
        assert!(ended.is_some_and(|number| (10..30).contains(&number)), "{ended:?}");
    }
}
