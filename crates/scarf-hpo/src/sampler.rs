//! How trials are chosen, and stopped.

use crate::named::named;
use crate::{
    Asha, CmaEs, Gp, Grid, History, Hyperband, MedianRule, Params, Patience, Random, Sobol, Space, Tpe, Trial,
};

/// Chooses the hyperparameters of the next trial.
///
/// Without state: equal arguments give equal suggestions, on any machine with the same float arithmetic.
pub trait Sampler {
    /// The hyperparameters of trial `number` of the search with `seed`, always within `space`. `history` holds
    /// the trials so far, in any order; those pending or running are there, so that parallel workers spread out.
    /// Trials of it that are not from `space` are passed over.
    fn suggest(&self, space: &Space, history: History<'_>, seed: u64, number: u64) -> Params;
}

/// Says when a trial does not promise.
pub trait Pruner {
    /// Whether to stop `trial` after its last intermediate value, given the other trials of `history` (which may
    /// hold this one too).
    fn prune(&self, trial: &Trial, history: History<'_>) -> bool;
}

named! {
    /// A sampler as study files name it: `"tpe"`, or `{ tpe = { startup = 20 } }` with its options.
    AnySampler: Sampler, "a sampler",
    "random" Random "Independent draws.",
    "sobol" Sobol "A low-discrepancy sequence.",
    "grid" Grid "Every combination.",
    "tpe" Tpe "The tree-structured Parzen estimator.",
    "gp" Gp "Bayesian optimization with a Gaussian process.",
    "cma_es" CmaEs "Evolution by covariance matrix adaptation.",
}

/// TPE, which is good everywhere and costs nothing.
impl Default for AnySampler {
    fn default() -> Self {
        AnySampler::Tpe(Tpe::default())
    }
}

impl AnySampler {
    /// How many different trials it has for a space: a grid its combinations, after which it begins anew
    /// ([`Grid::size`]); `None` for the others, which have no end.
    pub fn combinations(&self, space: &Space) -> Option<u64> {
        match self {
            AnySampler::Grid(grid) => Some(grid.size(space)),
            _ => None,
        }
    }
}

impl Sampler for AnySampler {
    fn suggest(&self, space: &Space, history: History<'_>, seed: u64, number: u64) -> Params {
        self.inner().suggest(space, history, seed, number)
    }
}

named! {
    /// A pruner as study files name it: `"median"`, or `{ asha = { reduction = 4 } }` with its options.
    AnyPruner: Pruner, "a pruner",
    "median" MedianRule "Stops what is worse than the median.",
    "asha" Asha "Asynchronous successive halving.",
    "hyperband" Hyperband "Successive halving in several brackets.",
    "patience" Patience "Stops what no longer improves.",
}

impl Pruner for AnyPruner {
    fn prune(&self, trial: &Trial, history: History<'_>) -> bool {
        self.inner().prune(trial, history)
    }
}
