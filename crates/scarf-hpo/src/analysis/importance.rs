//! How much of the objective's variation each parameter explains.

use super::forest::{Leaf, tree};
use crate::axis::{Axis, Kind, is_searched};
use crate::math::spread;
use crate::rng::keyed;
use crate::{History, Space};

/// A parameter and its share of the objective's variance over the space, from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// The parameter.
    pub name: String,
    /// Its share; all parameters' add up to 1, unless nothing varies.
    pub share: f64,
}

const TREES: u64 = 64;

/// How much each searched parameter explains alone, the most important first: functional ANOVA over a random forest of
/// 64 trees (Hutter, Hoos and Leyton-Brown 2014), the main effects scaled to add up to 1. Complete trials count;
/// conditional parameters that were not active lie in the middle. Empty with fewer than four trials.
pub fn importance(space: &Space, history: History<'_>, seed: u64) -> Vec<Importance> {
    let axes: Vec<Axis> = space.params().iter().filter(|param| is_searched(param)).map(Axis::new).collect();
    let mut observed: Vec<(u64, f64, Vec<f64>)> = history
        .complete()
        .filter_map(|(trial, loss)| Some((trial.number, loss, place(&axes, &trial.params)?)))
        .collect();
    observed.sort_by_key(|(number, ..)| *number);
    if observed.len() < 4 || axes.is_empty() {
        return Vec::new();
    }
    let losses: Vec<f64> = observed.iter().map(|(_, loss, _)| *loss).collect();
    let (mean, deviation) = spread(&losses);
    let y: Vec<f64> = losses.iter().map(|loss| (loss - mean) / deviation).collect();
    let rows: Vec<Vec<f64>> = observed.into_iter().map(|(.., row)| row).collect();
    let mut shares = vec![0.0; axes.len()];
    for index in 0..TREES {
        let leaves = tree(&rows, &y, &mut keyed(seed, index, "importance"));
        for (axis, share) in shares.iter_mut().enumerate() {
            *share += main_effect(&leaves, axis) / TREES as f64;
        }
    }
    let total: f64 = shares.iter().sum();
    let named = axes.iter().zip(shares).map(|(axis, share)| Importance {
        name: axis.name.into(),
        share: if total > 0.0 { share / total } else { 0.0 },
    });
    let mut named: Vec<Importance> = named.collect();
    named.sort_by(|a, b| b.share.total_cmp(&a.share));
    named
}

/// The share of a tree's variance over the cube that one axis explains alone.
fn main_effect(leaves: &[Leaf], axis: usize) -> f64 {
    let volume = |leaf: &Leaf| leaf.bounds.iter().map(|(low, high)| high - low).product::<f64>();
    let mean: f64 = leaves.iter().map(|leaf| volume(leaf) * leaf.value).sum();
    let variance: f64 = leaves.iter().map(|leaf| volume(leaf) * (leaf.value - mean).powi(2)).sum();
    let mut cuts: Vec<f64> =
        leaves.iter().flat_map(|leaf| [leaf.bounds[axis].0, leaf.bounds[axis].1]).collect();
    cuts.sort_by(f64::total_cmp);
    cuts.dedup();
    let explained: f64 = cuts
        .windows(2)
        .map(|piece| {
            let middle = 0.5 * (piece[0] + piece[1]);
            let there =
                leaves.iter().filter(|leaf| (leaf.bounds[axis].0..leaf.bounds[axis].1).contains(&middle));
            let marginal: f64 = there
                .map(|leaf| volume(leaf) / (leaf.bounds[axis].1 - leaf.bounds[axis].0) * leaf.value)
                .sum();
            (piece[1] - piece[0]) * (marginal - mean).powi(2)
        })
        .sum();
    if variance > 0.0 { explained / variance } else { 0.0 }
}

/// Where a trial lies in the unit cube: choices in the middle of their pieces, what it lacks in the middle of all; `None`
/// where it lies outside.
fn place(axes: &[Axis<'_>], params: &crate::Params) -> Option<Vec<f64>> {
    let along = |axis: &Axis<'_>| match (params.get(axis.name), axis.kind) {
        (None, _) => Some(0.5),
        (Some(value), Kind::Choice(n)) => axis.encode(value).map(|index| (index + 0.5) / n as f64),
        (Some(value), _) => axis.encode(value),
    };
    axes.iter().map(along).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Domain, Parameter, Sampler, Sobol, Trial};

    #[test]
    fn shares_are_those_of_the_variance() {
        // Over [0, 1]^2 x 3 choices: 2 a has variance 1/3, b has 1/12, the choice 2/3 * 0.25 = 1/6; of 7/12 in all.
        let space = Space::new(vec![
            Parameter::new("a", Domain::linear(0.0, 1.0)),
            Parameter::new("b", Domain::linear(0.0, 1.0)),
            Parameter::new("c", Domain::choice([0, 1, 2])),
            Parameter::new("idle", Domain::linear(0.0, 1.0)),
        ])
        .unwrap();
        let trial = |number| {
            let params = Sobol {}.suggest(&space, History::empty(Direction::Minimize), 2, number);
            let x = |name: &str| params[name].as_f64().unwrap();
            let value = 2.0 * x("a") + x("b") + 0.5 * x("c");
            Trial::new(number, params).complete(value)
        };
        let trials: Vec<Trial> = (0..400).map(trial).collect();
        let found = importance(&space, History::new(Direction::Maximize, &trials), 1);
        let names: Vec<&str> = found.iter().map(|each| each.name.as_str()).collect();
        assert_eq!(names, ["a", "c", "b", "idle"]);
        for (share, expected) in
            found.iter().map(|each| each.share).zip([4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0, 0.0])
        {
            approx::assert_abs_diff_eq!(share, expected, epsilon = 0.04);
        }
    }

    #[test]
    fn nothing_is_said_of_too_little() {
        let space = Space::new(vec![Parameter::new("a", Domain::linear(0.0, 1.0))]).unwrap();
        assert!(importance(&space, History::empty(Direction::Minimize), 1).is_empty());
        let params = [("a".to_string(), 0.5.into())];
        let same: Vec<Trial> = (0..9).map(|n| Trial::new(n, params.clone().into()).complete(1.0)).collect();
        let found = importance(&space, History::new(Direction::Minimize, &same), 1);
        assert_eq!(found[0].share, 0.0);
    }
}
