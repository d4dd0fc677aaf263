//! Evaluation of detections.
//!
//! One matching pass answers COCO's questions exactly as pycocotools does, in double precision:
//!
//! ```
//! use scarf_core::BBox;
//! use scarf_metrics::{CocoParams, Evaluator, GroundTruth, Prediction};
//!
//! let mut evaluator = Evaluator::new(1, CocoParams::default());
//! let truth = GroundTruth::new(BBox::new(10.0, 10.0, 50.0, 50.0), 0);
//! let found = Prediction { bbox: BBox::new(12.0, 10.0, 50.0, 50.0), class: 0, score: 0.9 };
//! evaluator.add_image(&[truth], &[found]).unwrap();
//! let report = evaluator.evaluate();
//! assert!((report.ap50.unwrap() - 1.0).abs() < 1e-12);
//! assert_eq!(report.ap_small, None); // no small object: pycocotools prints -1
//! ```

mod accumulate;
mod bootstrap;
mod confusion;
mod curves;
mod error;
mod evaluator;
mod grid;
mod images;
#[cfg(feature = "json")]
pub mod json;
mod labels;
mod matched;
mod matching;
mod normal;
mod params;
mod report;
mod shelves;
mod store;
mod threads;
mod tide;
mod voc;

pub use bootstrap::{Comparison, Interval, NotPaired, Resampled, compare_means, compare_to};
pub use confusion::{Confusion, ConfusionParams, PairingRule};
pub use curves::{BestThreshold, Calibration, CalibrationBin, Curve, Lrp};
pub use error::EvalError;
pub use evaluator::Evaluator;
pub use labels::{GroundTruth, Prediction};
pub use matched::Matched;
pub use params::{AreaRange, CocoParams, linspace};
pub use report::{ClassReport, CocoReport, STAT_NAMES};
pub use tide::{ErrorKind, TideReport};
pub use voc::{PixelRule, VocClass, VocMean, VocParams, VocReport};
