//! A detector as a graph: written as an ONNX file, and counted layer by layer.
//!
//! A network's `forward` is generic over [`FeatureMap`](scarf_backbones::FeatureMap); on a [`Traced`]
//! map it computes nothing and records what it would compute. From the one [`Graph`] come the file
//! ([`Graph::to_bytes`]) and the cost ([`Graph::layers`]).
//!
//! Architecture invariant: files and pictures are for others; so is running a graph.

mod boxes;
mod cost;
mod error;
mod export;
mod faster_rcnn;
mod graph;
mod proto;
mod ssd;
mod suppress;
mod traced;

pub use cost::{Cost, Layer};
pub use error::ExportError;
pub use export::{ExportOptions, export};
pub use graph::{Graph, Value};
pub use traced::{Trace, Traced};
