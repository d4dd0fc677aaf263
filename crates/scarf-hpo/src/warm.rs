//! Searches that begin with what earlier ones found.

use crate::{AnySampler, Direction, Domain, History, Parameter, Params, Sampler, Space, Trial, TrialState};
use serde::{Deserialize, Serialize};

/// How a search relates to its parents (the types of SageMaker's tuner).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmStartKind {
    /// The same data and program (`IDENTICAL_DATA_AND_ALGORITHM`): the parents' objectives count as they are.
    #[default]
    Identical,
    /// Other data or another version (`TRANSFER_LEARNING`): a parent tells which choices are better than others, not
    /// how good they are here.
    Transfer,
}

/// An earlier search.
#[derive(Debug, Clone)]
pub struct Parent<'a> {
    /// Its name, for errors.
    pub name: &'a str,
    /// What it searched.
    pub space: &'a Space,
    /// Which way was better.
    pub direction: Direction,
    /// The name of its objective.
    pub objective: &'a str,
    /// Its trials.
    pub trials: &'a [Trial],
    /// Whether it is over; one that still runs cannot be built upon.
    pub finished: bool,
    /// How many searches it was itself built upon.
    pub parents: usize,
}

/// Why a search cannot be built upon earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WarmStartError {
    /// No parent, or more than the limit.
    #[error("a warm start takes 1 to {MOST_PARENTS} parents, not {0}")]
    Parents(usize),
    /// A parent does not fit.
    #[error("parent {parent}: {reason}")]
    Parent {
        /// Its name.
        parent: String,
        /// What does not fit, and what would.
        reason: String,
    },
}

/// The most parents, as SageMaker's tuner has it.
pub const MOST_PARENTS: usize = 5;
/// The most parameters that may change between searched and static.
pub const MOST_CHANGES: usize = 10;

/// What the parents know, ready to be put before a search's own trials.
#[derive(Debug, Clone, PartialEq)]
pub struct WarmStart {
    kind: WarmStartKind,
    /// The parents' complete trials, renumbered from 0 in the order given.
    trials: Vec<Trial>,
}

impl WarmStart {
    /// Takes over the complete trials of `parents` for a search of `space`.
    ///
    /// # Errors
    /// Where there are none or too many parents, or one still runs, was built upon others itself, had another
    /// objective, or other parameters: the names and types must be equal, and at most [`MOST_CHANGES`] may have
    /// changed between searched and static. Ranges may differ.
    pub fn new(
        kind: WarmStartKind,
        space: &Space,
        direction: Direction,
        objective: &str,
        parents: &[Parent<'_>],
    ) -> Result<Self, WarmStartError> {
        if parents.is_empty() || parents.len() > MOST_PARENTS {
            return Err(WarmStartError::Parents(parents.len()));
        }
        let mut trials = Vec::new();
        for parent in parents {
            let misfit = misfit(space, direction, objective, parent);
            if let Some(reason) = misfit {
                return Err(WarmStartError::Parent { parent: parent.name.into(), reason });
            }
            let history = History::new(direction, parent.trials);
            let complete: Vec<Trial> = history.complete().map(|(trial, _)| trial.clone()).collect();
            trials.extend(match kind {
                WarmStartKind::Identical => complete,
                WarmStartKind::Transfer => standardized(complete),
            });
        }
        trials.iter_mut().zip(0..).for_each(|(trial, number)| trial.number = number);
        Ok(Self { kind, trials })
    }

    /// The parents' trials, renumbered.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The parents' trials and then `own`, renumbered to follow; and by how much `own` moved. A sampler asked for
    /// trial `n` of the search gets these trials and the number `n` plus that.
    ///
    /// For a transfer both are put on one scale, mean 0 and deviation 1 each: samplers look at differences only.
    pub fn before(&self, own: &[Trial]) -> (Vec<Trial>, u64) {
        let shift = self.trials.len() as u64;
        let mut own = own.to_vec();
        if self.kind == WarmStartKind::Transfer {
            own = standardized(own);
        }
        own.iter_mut().for_each(|trial| trial.number += shift);
        (self.trials.iter().cloned().chain(own).collect(), shift)
    }
}

/// A sampler that sees the parents' trials before the search's own; as a sampler it takes the place of the one in it.
#[derive(Debug, Clone, Copy)]
pub struct Warmed<'a> {
    /// What the parents know.
    pub start: &'a WarmStart,
    /// The sampler that learns from it.
    pub sampler: &'a AnySampler,
}

impl Sampler for Warmed<'_> {
    fn suggest(&self, space: &Space, history: History<'_>, seed: u64, number: u64) -> Params {
        let (trials, shift) = self.start.before(history.trials);
        self.sampler.suggest(space, History::new(history.direction, &trials), seed, number + shift)
    }
}

/// What keeps `parent` from being one.
fn misfit(space: &Space, direction: Direction, objective: &str, parent: &Parent<'_>) -> Option<String> {
    if !parent.finished {
        return Some("it still runs; a parent must be over".into());
    }
    if parent.parents > 0 {
        return Some("it was built upon others itself; warm starts do not chain, name its parents".into());
    }
    if parent.objective != objective || parent.direction != direction {
        let (was, now) = (parent.direction, direction);
        return Some(format!("its objective is {} ({was:?}), not {objective} ({now:?})", parent.objective));
    }
    let missing = |of: &Space, other: &Space| {
        of.params().iter().find(|param| other.get(&param.name).is_none()).map(|param| param.name.clone())
    };
    if let Some(name) = missing(space, parent.space) {
        return Some(format!("it has no {name}; the parameters must be the same"));
    }
    if let Some(name) = missing(parent.space, space) {
        return Some(format!("it has {name} and this search has not; the parameters must be the same"));
    }
    let pairs = || space.params().iter().filter_map(|param| Some((param, parent.space.get(&param.name)?)));
    if let Some((param, _)) = pairs().find(|(param, other)| !same_type(param, other)) {
        return Some(format!("{} is of another type there", param.name));
    }
    let changes = pairs().filter(|(param, other)| is_static(param) != is_static(other)).count();
    (changes > MOST_CHANGES).then(|| {
        format!("{changes} parameters changed between searched and static; at most {MOST_CHANGES} may")
    })
}

fn is_static(param: &Parameter) -> bool {
    matches!(param.domain, Domain::Static(_))
}

/// Whether two domains hold values of one type; a static value is of any type.
fn same_type(a: &Parameter, b: &Parameter) -> bool {
    use Domain::{Choice, Float, Int, Static};
    matches!(
        (&a.domain, &b.domain),
        (Static(_), _)
            | (_, Static(_))
            | (Float { .. }, Float { .. })
            | (Int { .. }, Int { .. })
            | (Choice(_), Choice(_))
    )
}

/// The trials with their objectives at mean 0 and deviation 1, as the complete ones have them.
fn standardized(mut trials: Vec<Trial>) -> Vec<Trial> {
    let complete = trials.iter().filter(|trial| trial.state == TrialState::Complete);
    let values: Vec<f64> =
        complete.filter_map(|trial| trial.value).filter(|value| value.is_finite()).collect();
    let (mean, deviation) = crate::math::spread(&values);
    for value in trials.iter_mut().filter_map(|trial| trial.value.as_mut()) {
        *value = (*value - mean) / deviation;
    }
    trials
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gp;

    fn space(high: f64) -> Space {
        let params =
            vec![Parameter::new("lr", Domain::log(1e-4, high)), Parameter::new("n", Domain::int(1, 4))];
        Space::new(params).unwrap()
    }

    fn trials(space: &Space, offset: f64, scale: f64) -> Vec<Trial> {
        let trial = |number: u64| {
            let params = crate::Sobol {}.suggest(space, History::empty(Direction::Minimize), 9, number);
            let lr = params["lr"].as_f64().unwrap().log10();
            Trial::new(number, params).complete(offset + scale * (lr + 2.0).powi(2))
        };
        (0..30).map(trial).collect()
    }

    fn parent<'a>(space: &'a Space, trials: &'a [Trial]) -> Parent<'a> {
        let direction = Direction::Minimize;
        Parent { name: "first", space, direction, objective: "loss", trials, finished: true, parents: 0 }
    }

    #[test]
    fn a_search_with_parents_begins_where_they_ended() {
        let space = space(1.0);
        for (kind, offset, scale) in
            [(WarmStartKind::Identical, 0.0, 1.0), (WarmStartKind::Transfer, 50.0, 20.0)]
        {
            let past = trials(&space, offset, scale);
            let warm =
                WarmStart::new(kind, &space, Direction::Minimize, "loss", &[parent(&space, &past)]).unwrap();
            let own = [trials(&space, 0.0, 1.0)[0].clone()];
            let (history, shift) = warm.before(&own);
            assert_eq!((history.len(), shift, history[30].number), (31, 30, 30));
            let gp = AnySampler::Gp(Gp::default());
            let warmed = Warmed { start: &warm, sampler: &gp };
            let params = warmed.suggest(&space, History::new(Direction::Minimize, &own), 1, 1);
            let lr = params["lr"].as_f64().unwrap().log10();
            assert!((lr + 2.0).abs() < 0.3, "{kind:?} tries lr = 10^{lr}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_a_reason() {
        let here = space(1.0);
        let past = trials(&here, 0.0, 1.0);
        let refused = |parents: &[Parent<'_>]| {
            let start = WarmStart::new(WarmStartKind::Identical, &here, Direction::Minimize, "loss", parents);
            start.unwrap_err().to_string()
        };
        let fit = parent(&here, &past);
        assert_eq!(refused(&[]), "a warm start takes 1 to 5 parents, not 0");
        assert_eq!(refused(&vec![fit.clone(); 6]), "a warm start takes 1 to 5 parents, not 6");
        assert_eq!(
            refused(&[Parent { finished: false, ..fit.clone() }]),
            "parent first: it still runs; a parent must be over"
        );
        assert!(refused(&[Parent { parents: 1, ..fit.clone() }]).contains("warm starts do not chain"));
        assert!(refused(&[Parent { objective: "map", ..fit.clone() }]).contains("its objective is map"));
        let fewer = Space::new(vec![Parameter::new("lr", Domain::log(1e-4, 1.0))]).unwrap();
        assert!(refused(&[Parent { space: &fewer, ..fit.clone() }]).contains("it has no n"));
        let other = Space::new(vec![
            Parameter::new("lr", Domain::log(1e-4, 1.0)),
            Parameter::new("n", Domain::linear(1.0, 4.0)),
        ]);
        assert!(
            refused(&[Parent { space: &other.unwrap(), ..fit.clone() }])
                .contains("n is of another type there")
        );
        let wider = space(10.0);
        assert!(
            WarmStart::new(
                WarmStartKind::Identical,
                &here,
                Direction::Minimize,
                "loss",
                &[Parent { space: &wider, ..fit }]
            )
            .is_ok()
        );
    }

    #[test]
    fn at_most_ten_parameters_change_between_searched_and_static() {
        let make = |fixed: i64| {
            let domain = |i| if i < fixed { Domain::Static(1.into()) } else { Domain::int(1, 4) };
            Space::new((0..12).map(|i| Parameter::new(format!("p{i:02}"), domain(i))).collect()).unwrap()
        };
        let (here, ten, eleven) = (make(0), make(10), make(11));
        let start = |from: &Space| {
            WarmStart::new(WarmStartKind::Transfer, &here, Direction::Minimize, "loss", &[parent(from, &[])])
        };
        assert!(start(&ten).is_ok());
        assert!(start(&eleven).unwrap_err().to_string().contains("11 parameters changed"));
    }
}
