//! Training of detectors: batches, the loop, schedules, checkpoints, and the evaluation of a model.
//!
//! Architecture invariant: nothing here knows of studies, searches or the command line; whoever
//! wants to prune or draw watches through [`Observer`].

mod average;
mod batch;
pub mod checkpoint;
mod clip;
mod config;
mod detect;
mod error;
mod evaluate;
mod fit;
mod freeze;
mod loss_scale;
mod optimizer;
mod predictor;
mod resident;
mod schedule;
#[cfg(test)]
mod small;

pub use batch::{Batch, Pixels, Recipe, Samples, for_each_batch, planar, shuffled, targets_of};
pub use config::TrainConfig;
pub use detect::{DetectConfig, Flips, detect};
pub use error::TrainError;
pub use evaluate::score;
pub use fit::{Epoch, Fit, Fitted, Flow, Observer, Step, Validation, fit};
pub use freeze::FreezeConfig;
pub use loss_scale::LossScale;
pub use optimizer::OptimizerConfig;
pub use predictor::Predictor;
pub use resident::Resident;
pub use schedule::ScheduleConfig;
