//! The vocabulary of detection on plain data: boxes, sizes, classes, annotations and detections,
//! with IoU and non-maximum suppression.
//!
//! Boxes are xyxy in pixels: `x1 < x2`, `y1 < y2`, the origin at the top left corner of the image,
//! and a box covers the continuous interval (its width is `x2 - x1`, without the +1 of Pascal VOC).
//! Models use `BBox<f32>`, evaluation `BBox<f64>`.

mod bbox;
mod classes;
mod fusion;
mod iou;
mod kept;
mod labels;
mod nms;
mod soft_nms;
mod stream;

pub use bbox::{BBox, Scalar, Size};
pub use classes::{Classes, ClassesError};
pub use fusion::weighted_boxes_fusion;
pub use iou::{WrongLength, pairwise_iou};
pub use labels::{Annotation, Detection};
pub use nms::{class_wise_nms, nms, nms_into};
pub use soft_nms::{Decay, soft_nms};
