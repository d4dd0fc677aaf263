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

mod archive;
mod element;
mod error;
mod file;
mod fold;
mod mxnet;
mod pytorch;
mod report;
mod safetensors;
mod stored;
mod tensorflow;
mod weights;
mod zip;

pub use archive::unpack;
pub use element::Element;
pub use error::WeightsError;
pub use file::{Format, Listed, Listing};
pub use report::{Allow, LoadReport, Misshapen};
pub use safetensors::Precision;
pub use weights::{Array, Rename, Weights};
