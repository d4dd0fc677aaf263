//! The covariance matrix adaptation evolution strategy.

mod state;

use crate::axis::{Axis, Kind, is_searched};
use crate::math::box_muller;
use crate::rng::keyed;
use crate::samplers::sobol::Sequence;
use crate::{History, Parameter, Params, Sampler, Space, Tpe};
use serde::{Deserialize, Serialize};
use state::State;

/// CMA-ES (Hansen 2016, with active covariance update), for numbers that are always active; choices, conditional
/// parameters and what those hang on are left to the univariate TPE. Its normal draws come from a Sobol sequence, but
/// for those made anew because the point lay outside the space.
///
/// Its state is not kept but replayed: complete trials in the order of their numbers, so many at a time, are the
/// generations. Where several workers ask at once, the first trials of a generation come from the one before; the
/// update is robust to that.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CmaEs {
    /// Trials to a generation, 4 at the least; 0 stands for 4 + floor(2 ln n) with n numbers. Default 0.
    pub population: u64,
    /// The first step size, as a share of each parameter's range. Default 1 / 7.
    pub sigma: f64,
}

const SIGMA: f64 = 1.0 / 7.0;

impl Default for CmaEs {
    fn default() -> Self {
        Self { population: 0, sigma: SIGMA }
    }
}

impl Sampler for CmaEs {
    fn suggest(&self, space: &Space, history: History<'_>, seed: u64, number: u64) -> Params {
        // A number that others hang on is theirs to choose.
        let decides = |name: &str| {
            space.params().iter().any(|each| each.when.as_ref().is_some_and(|when| when.parent == name))
        };
        let free = |param: &&Parameter| param.when.is_none() && is_searched(param) && !decides(&param.name);
        let searched = space.params().iter().filter(free);
        let axes: Vec<Axis> =
            searched.map(Axis::new).filter(|axis| matches!(axis.kind, Kind::Real | Kind::Whole)).collect();
        let others = Tpe::univariate().suggest_only(space, history, seed, number, |param| {
            axes.iter().all(|axis| axis.name != param.name)
        });
        if axes.is_empty() {
            return others;
        }
        let x = self
            .replay(&axes, history)
            .draw(evenly_normal(axes.len(), seed, number), &mut keyed(seed, number, "cma_es"));
        let mut params = others;
        params.extend(axes.iter().zip(x).map(|(axis, x)| (axis.name.to_string(), axis.decode(x))));
        params
    }
}

/// Draw `number` from the standard normal of `n` dimensions, made of a point of a Sobol sequence: a generation is
/// spread more evenly than independent draws are (Teytaud and Gelly 2007).
fn evenly_normal(n: usize, seed: u64, number: u64) -> Vec<f64> {
    let sequence = Sequence::new(seed, number, "cma_es/sobol");
    let pair = |k: usize| box_muller(sequence.at(2 * k), sequence.at(2 * k + 1));
    (0..n.div_ceil(2)).flat_map(pair).take(n).collect()
}

impl CmaEs {
    fn replay(&self, axes: &[Axis<'_>], history: History<'_>) -> State {
        let mut observed: Vec<(u64, f64, Vec<f64>)> = history
            .complete()
            .filter_map(|(trial, loss)| {
                let number =
                    |axis: &Axis<'_>| trial.params.get(axis.name).and_then(|value| axis.encode(value));
                Some((trial.number, loss, axes.iter().map(number).collect::<Option<_>>()?))
            })
            .collect();
        observed.sort_by_key(|(number, ..)| *number);
        let sigma = if self.sigma.is_finite() { self.sigma.clamp(1e-6, 1.0) } else { SIGMA };
        let mut state = State::new(axes.len(), self.population as usize, sigma);
        for generation in observed.chunks_exact(state.population()) {
            let mut ranked: Vec<(f64, &[f64])> =
                generation.iter().map(|(_, loss, x)| (*loss, x.as_slice())).collect();
            ranked.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            state.tell(&ranked.iter().map(|(_, x)| *x).collect::<Vec<_>>());
        }
        state
    }
}
