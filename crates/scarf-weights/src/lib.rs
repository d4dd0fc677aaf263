//! Weights by name: files of them and changes to them.
//!
//! ```no_run
//! # use scarf_weights::*;
//! # fn read() -> Result<(), WeightsError> {
//! let weights = Weights::open("mobilenet_v1_imagenet.safetensors")?
//!     .matching(r"^features\.")?
//!     .rename(&[Rename::new(r"\.bn\.", ".norm.")?])?;
//! weights.save("features.safetensors")
//! # }
//! ```

mod error;
mod fold;
mod report;
mod safetensors;
mod weights;

pub use error::WeightsError;
pub use report::{Allow, LoadReport, Misshapen};
pub use weights::{Array, Rename, Weights};
