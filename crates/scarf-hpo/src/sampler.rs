//! How trials are chosen, and stopped.

use crate::{Grid, History, Params, Random, Sobol, Space, Tpe, Trial};
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

/// Lists the samplers once: the enum, its names in files and its dispatch follow.
macro_rules! samplers {
    ($($name:literal $variant:ident $doc:literal),+ $(,)?) => {
        /// A sampler as study files name it: `"tpe"`, or `{ tpe = { startup = 20 } }` with its options.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[non_exhaustive]
        pub enum AnySampler {
            $(#[doc = $doc] #[serde(rename = $name)] $variant($variant),)+
        }

        /// The same with its options written out.
        #[derive(Deserialize)]
        enum Written {
            $(#[serde(rename = $name)] $variant($variant),)+
        }

        impl From<Written> for AnySampler {
            fn from(written: Written) -> Self {
                match written {
                    $(Written::$variant(sampler) => AnySampler::$variant(sampler),)+
                }
            }
        }

        $(impl From<$variant> for AnySampler {
            fn from(sampler: $variant) -> Self {
                AnySampler::$variant(sampler)
            }
        })+

        impl AnySampler {
            /// The names of all samplers, as files write them.
            pub const NAMES: &[&str] = &[$($name),+];

            /// The sampler called `name` with its defaults; `None` where there is none.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(AnySampler::$variant($variant::default())),)+
                    _ => None,
                }
            }

            fn inner(&self) -> &dyn Sampler {
                match self {
                    $(AnySampler::$variant(sampler) => sampler,)+
                }
            }
        }
    };
}

samplers! {
    "random" Random "Independent draws.",
    "sobol" Sobol "A low-discrepancy sequence.",
    "grid" Grid "Every combination.",
    "tpe" Tpe "The tree-structured Parzen estimator.",
}

/// TPE, which is good everywhere and costs nothing.
impl Default for AnySampler {
    fn default() -> Self {
        AnySampler::Tpe(Tpe::default())
    }
}

impl Sampler for AnySampler {
    fn suggest(&self, space: &Space, history: History<'_>, seed: u64, number: u64) -> Params {
        self.inner().suggest(space, history, seed, number)
    }
}

impl<'de> Deserialize<'de> for AnySampler {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = AnySampler;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "a sampler: one of {}, or a table {{ name = {{ options }} }}",
                    AnySampler::NAMES.join(", ")
                )
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<AnySampler, E> {
                AnySampler::from_name(name).ok_or_else(|| E::unknown_variant(name, AnySampler::NAMES))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AnySampler, A::Error> {
                Written::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Into::into)
            }
        }
        deserializer.deserialize_any(NameOrTable)
    }
}
