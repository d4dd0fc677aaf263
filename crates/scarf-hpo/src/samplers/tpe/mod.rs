//! The tree-structured Parzen estimator.

mod parzen;

use crate::axis::{Axis, is_searched};
use crate::rng::keyed;
use crate::{History, Parameter, Params, Sampler, Space, Trial, TrialState, Value};
use parzen::{Parzen, by_age, by_merit};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The tree-structured Parzen estimator (Bergstra et al. 2011; its multivariate form, Falkner et al. 2018), built as
/// Optuna 5's `TPESampler` is, with other numbers (Watanabe 2023 explains what they do, docs/hpo-benchmark.md what
/// they bring).
///
/// The best 15 % of the trials (25 at most) make one density, in which the better ones weigh more, the rest another;
/// of some candidates drawn from the first, the one is taken where the ratio of the two is greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tpe {
    /// Whether the parameters are drawn together (those that share a condition), or each on its own. Default true.
    pub multivariate: bool,
    /// How many trials must have finished before the densities are trusted; points of a Sobol sequence until then.
    /// Default 6.
    pub startup: u64,
    /// How many candidates are drawn. Default 24.
    pub candidates: u64,
    /// Whether running trials count as bad ones, so that parallel workers spread out. Default true.
    pub constant_liar: bool,
}

impl Default for Tpe {
    fn default() -> Self {
        Self { multivariate: true, startup: 6, candidates: 24, constant_liar: true }
    }
}

impl Tpe {
    /// Each parameter on its own.
    pub fn univariate() -> Self {
        Self { multivariate: false, ..Self::default() }
    }
}

impl Sampler for Tpe {
    fn suggest(&self, space: &Space, history: History<'_>, seed: u64, number: u64) -> Params {
        self.suggest_only(space, history, seed, number, |_| true)
    }
}

impl Tpe {
    /// As [`Sampler::suggest`], but only what is `wanted`; nothing wanted may hang on the rest.
    pub(crate) fn suggest_only(
        &self,
        space: &Space,
        history: History<'_>,
        seed: u64,
        number: u64,
        wanted: impl Fn(&Parameter) -> bool,
    ) -> Params {
        let split = Split::new(self, space, history, number);
        let mut drawn: BTreeMap<&str, Value> = BTreeMap::new();
        let evenly = crate::samplers::sobol::Point::new(space, seed, number);
        let mut params = space.build(|param| {
            let Some(split) = split.as_ref().filter(|_| wanted(param) && is_searched(param)) else {
                return evenly.of(param);
            };
            if !drawn.contains_key(param.name.as_str()) {
                let joint = space.params().iter().filter(|each| self.together(param, each) && wanted(each));
                let axes: Vec<Axis> = joint.map(Axis::new).collect();
                let mut rng = keyed(seed, number, &format!("tpe/{}", axes[0].name));
                let below = Parzen::new(&axes, &split.below, by_merit);
                let above = Parzen::new(&axes, &split.above, by_age);
                let chosen = below.best_of(self.candidates.max(1), &above, &axes, &mut rng);
                drawn.extend(axes.iter().zip(chosen).map(|(axis, x)| (axis.name, axis.decode(x))));
            }
            drawn[param.name.as_str()].clone()
        });
        params.retain(|name, _| space.get(name).is_some_and(&wanted));
        params
    }
}

impl Tpe {
    /// Whether `other` is drawn along with `param`: with the same condition both are active at once.
    fn together(&self, param: &Parameter, other: &Parameter) -> bool {
        if self.multivariate {
            param.when == other.when && is_searched(other)
        } else {
            param.name == other.name
        }
    }
}

/// The trials by merit.
struct Split<'a> {
    /// The best first.
    below: Vec<&'a Trial>,
    /// In the order of their numbers.
    above: Vec<&'a Trial>,
}

impl<'a> Split<'a> {
    /// `None` before enough trials have finished.
    fn new(tpe: &Tpe, space: &Space, history: History<'a>, number: u64) -> Option<Self> {
        // Complete ones by their objective, then pruned ones: the later stopped the better.
        let ranked: Vec<(Rank, &Trial)> =
            of_space(space, history).filter_map(|trial| Some((rank(trial, history)?, trial))).collect();
        if ranked.is_empty() || (ranked.len() as u64) < tpe.startup {
            return None;
        }
        let good = (15 * ranked.len()).div_ceil(100).min(25);
        let mut ranks: Vec<Rank> = ranked.iter().map(|(rank, _)| *rank).collect();
        let (_, &mut last, _) = ranks.select_nth_unstable_by(good - 1, order);
        // In their order, which is that of the numbers already where nobody else works at it.
        let (mut below, above): (Vec<_>, Vec<_>) =
            ranked.into_iter().partition(|(rank, _)| order(rank, &last).is_le());
        let mut above: Vec<&Trial> = above.into_iter().map(|(_, trial)| trial).collect();
        if tpe.constant_liar {
            above.extend(history.pending().filter(|trial| trial.number != number));
        }
        below.sort_by(|(a, _), (b, _)| order(a, b));
        above.sort_by_key(|trial| trial.number);
        Some(Self { below: below.into_iter().map(|(_, trial)| trial).collect(), above })
    }
}

/// The trials whose values the space has. One of another search, or of Optuna's, may lie outside, or lack a parameter: the
/// densities could not count it, and it would take the place of one that they can.
fn of_space<'a>(space: &Space, history: History<'a>) -> impl Iterator<Item = &'a Trial> {
    let searched = space.params().iter().filter(|param| is_searched(param));
    let axes: Vec<Axis> = searched.map(Axis::new).collect();
    history.trials.iter().filter(move |trial| axes.iter().all(|axis| axis.number(&trial.params).is_some()))
}

/// Merit, the least first: complete ones before pruned ones, then by the loss or by step and loss, then by number.
type Rank = (u8, f64, f64, u64);

fn order(a: &Rank, b: &Rank) -> Ordering {
    a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2)).then(a.3.cmp(&b.3))
}

/// What finished trials are ordered by; `None` for the others.
fn rank(trial: &Trial, history: History<'_>) -> Option<Rank> {
    match trial.state {
        TrialState::Complete => {
            let loss = history.direction.loss(trial.value?);
            loss.is_finite().then_some((0, loss, 0.0, trial.number))
        }
        TrialState::Pruned => {
            let (step, value) = trial.last()?;
            Some((
                1,
                -(step as f64),
                if value.is_nan() { f64::INFINITY } else { history.direction.loss(value) },
                trial.number,
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Domain};

    /// The best trials of a search with wider ranges tell nothing: what is suggested is what it would be without them.
    #[test]
    fn trials_from_outside_are_passed_over() {
        let space = |high| Space::new(vec![Parameter::new("lr", Domain::log(1e-5, high))]).unwrap();
        let (wide, narrow) = (space(10.0), space(0.1));
        let trial = |number| {
            let params = crate::Sobol {}.suggest(&wide, History::empty(Direction::Minimize), 3, number);
            let lr = params["lr"].as_f64().unwrap();
            Trial::new(number, params).complete(-lr)
        };
        let all: Vec<Trial> = (0..100).map(trial).collect();
        let inside: Vec<Trial> = all.iter().filter(|trial| narrow.contains(&trial.params)).cloned().collect();
        assert!((40..90).contains(&inside.len()));
        let tpe = Tpe::default();
        let suggested = |trials: &[Trial]| {
            let history = History::new(Direction::Minimize, trials);
            (100..120).map(|number| tpe.suggest(&narrow, history, 1, number)).collect::<Vec<_>>()
        };
        assert_eq!(suggested(&all), suggested(&inside));
        let good = suggested(&all).iter().filter(|params| params["lr"].as_f64().unwrap() > 0.01).count();
        assert!(good > 12, "{good} of 20 are near the best that there is");
    }
}
