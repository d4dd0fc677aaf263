//! Detection data sets on disk: Pascal VOC and COCO in and out, YOLO in, NEU-DET as published, splits
//! (the study's own, bit for bit), decoded images, box-aware augmentation and synthetic steel.
//!
//! Boxes are [`scarf_core::BBox<f64>`], xyxy in pixels of the image as stored. An image without
//! objects is a sample like any other. Everything random takes a seed or a ChaCha8 generator and
//! gives the same result on every machine.
//!
//! ```no_run
//! use scarf_core::Classes;
//! use scarf_data::{OnBad, split, voc};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layout = voc::VocLayout { images: "set/JPEGImages".into(), annotations: "set/Annotations".into() };
//! let (set, left_out) = voc::load(&layout, &Classes::new(["scratch", "dent"])?, OnBad::Skip)?;
//! let parts = split::stratified(&set, [0.7, 0.1, 0.2], 0)?;
//! println!("{} images to learn from, {} files left out", parts.train.len(), left_out.len());
//! # Ok(())
//! # }
//! ```

pub mod augment;
pub mod catalog;
pub mod coco;
mod dataset;
mod error;
mod files;
pub mod images;
pub mod split;
pub mod stats;
pub mod synth;

pub mod voc;
pub mod yolo;

pub use dataset::{DataSet, OnBad, Sample, Skipped};
pub use error::{DataError, Place, Problem};
pub use images::ImageCache;
pub use split::Split;
pub use stats::Stats;
