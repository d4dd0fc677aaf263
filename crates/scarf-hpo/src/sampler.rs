//! How trials are chosen, and stopped.

use crate::{History, Params, Random, Space, Trial};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

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

/// A sampler as study files name it: `"random"`, or `{ random = {} }` with its options.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AnySampler {
    /// Independent draws.
    Random(Random),
}

impl Default for AnySampler {
    fn default() -> Self {
        AnySampler::Random(Random::default())
    }
}

impl AnySampler {
    fn inner(&self) -> &dyn Sampler {
        match self {
            AnySampler::Random(sampler) => sampler,
        }
    }
}

impl Sampler for AnySampler {
    fn suggest(&self, space: &Space, history: History<'_>, seed: u64, number: u64) -> Params {
        self.inner().suggest(space, history, seed, number)
    }
}

/// The same with its options written out.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Random(Random),
}

impl From<Written> for AnySampler {
    fn from(written: Written) -> Self {
        match written {
            Written::Random(sampler) => AnySampler::Random(sampler),
        }
    }
}

const NAMES: &[&str] = &["random"];

impl<'de> Deserialize<'de> for AnySampler {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = AnySampler;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a sampler: one of {}, or a table {{ name = {{ options }} }}", NAMES.join(", "))
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<AnySampler, E> {
                match name {
                    "random" => Ok(AnySampler::Random(Random::default())),
                    _ => Err(E::unknown_variant(name, NAMES)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AnySampler, A::Error> {
                Written::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Into::into)
            }
        }
        deserializer.deserialize_any(NameOrTable)
    }
}
