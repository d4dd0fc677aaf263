//! Hyperparameter search by ask and tell.
//!
//! A [`Space`] says what may be chosen, a [`Sampler`] chooses, a [`Pruner`] stops what does not promise,
//! and [`Trial`]s are what was tried. Samplers hold no state: a suggestion depends on the space, the trials
//! so far (running ones too), a seed and the trial's number alone, so that a search that was interrupted, or
//! that several workers share, needs nothing but the list of its trials.
//!
//! Architecture invariant: this crate knows nothing of detectors, of training or of the other crates here.
#![doc = ""]
#![doc = include_str!("../README.md")]

mod analysis;
mod axis;
mod completion;
mod direction;
mod domain;
mod journal;
mod linalg;
mod math;
mod named;
mod optimize;
mod pruners;
mod rng;
mod sampler;
mod samplers;
mod simulate;
mod space;
mod space_serde;
mod trial;
mod value;
mod warm;

pub use analysis::{Correlation, Importance, Plateau, correlations, importance, plateau};
pub use completion::{Completion, Reason, Spent, dollars};
pub use direction::{Direction, History};
pub use domain::{Domain, Scale};
pub use journal::{Ask, Journal, JournalError, KeepAlive, Outcome, Task};
pub use pruners::{Asha, Hyperband, MedianRule, Patience};
pub use sampler::{AnyPruner, AnySampler, Pruner, Sampler};
pub use samplers::{CmaEs, Gp, Grid, Random, Sobol, Tpe};
pub use simulate::{Setting, Simulation, simulate};
pub use space::{Condition, Parameter, Space, SpaceError, SpaceErrors};
pub use trial::{Trial, TrialState};
pub use value::{Params, Value};
pub use warm::{MOST_CHANGES, MOST_PARENTS, Parent, WarmStart, WarmStartError, WarmStartKind, Warmed};
