//! Training of detectors: batches, the loop, schedules, checkpoints, and the evaluation of a model.
//!
//! Architecture invariant: nothing here knows of studies, searches or the command line; whoever
//! wants to prune or draw watches through [`Observer`].
//!
//! A trained model at work, in a program of one's own:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use burn::tensor::Device;
//! use scarf_train::Predictor;
//!
//! let (predictor, card) = Predictor::open("best.safetensors", Device::default())?;
//! let picture = scarf_data::images::decode("plate.jpg".as_ref())?;
//! for found in predictor.predict(&[&picture]).remove(0) {
//!     println!("{} {:.2} {:?}", card.classes.names()[found.class], found.score, found.bbox);
//! }
//! # Ok(())
//! # }
//! ```

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
pub mod model;
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
pub use freeze::{FreezeConfig, trained};
pub use loss_scale::LossScale;
pub use optimizer::OptimizerConfig;
pub use predictor::Predictor;
pub use resident::Resident;
pub use schedule::ScheduleConfig;
