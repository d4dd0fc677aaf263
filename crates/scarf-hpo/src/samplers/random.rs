//! Independent draws.

use crate::rng::keyed;
use crate::{History, Params, Sampler, Space};
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// Draws every parameter from its prior, whatever came before (Bergstra and Bengio 2012).
///
/// Each has its own generator, keyed by its name: adding a parameter leaves the others' draws as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Random {}

impl Sampler for Random {
    fn suggest(&self, space: &Space, _: History<'_>, seed: u64, number: u64) -> Params {
        space.build(|param| param.domain.at(keyed(seed, number, &param.name).random()))
    }
}
