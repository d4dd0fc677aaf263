use serde::{Deserialize, Serialize};

use crate::BBox;

/// One object that a person marked on an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Annotation {
    /// Where, xyxy in pixels of the image.
    pub bbox: BBox<f64>,
    /// Which class, from 0.
    pub class: usize,
    /// The area in square pixels that evaluation by size goes by (COCO's `area`).
    pub area: f64,
    /// A region of many objects (COCO's `iscrowd`).
    pub crowd: bool,
    /// Hard to recognise (VOC's `difficult`): VOC scoring leaves it out, COCO scoring knows no such flag.
    pub difficult: bool,
    /// Not all of the object is inside the box (VOC's `truncated`).
    pub truncated: bool,
}

impl Annotation {
    /// An ordinary object, its area that of its box.
    pub fn new(bbox: BBox<f64>, class: usize) -> Self {
        Self { bbox, class, area: bbox.area(), crowd: false, difficult: false, truncated: false }
    }
}

/// One object that a model found on an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Where, xyxy in pixels of the image.
    pub bbox: BBox<f32>,
    /// Which class, from 0.
    pub class: usize,
    /// How sure the model is, in `0..=1`.
    pub score: f32,
}
