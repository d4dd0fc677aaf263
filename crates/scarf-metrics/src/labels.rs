use scarf_core::{Annotation, BBox, Detection};

/// An object that is on an image, as evaluation sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroundTruth {
    /// Where, xyxy in pixels.
    pub bbox: BBox<f64>,
    /// Which class, from 0.
    pub class: usize,
    /// The area in square pixels that decides its area range (COCO's `area`, often not that of the box).
    pub area: f64,
    /// A region of many objects (COCO's `iscrowd`): it takes any number of detections and counts for none.
    pub crowd: bool,
    /// Neither missing it nor finding it counts. A crowd is always ignored.
    pub ignore: bool,
    /// VOC's `difficult`: VOC's protocols leave it out, COCO's knows no such flag.
    pub difficult: bool,
}

impl GroundTruth {
    /// An ordinary object, its area that of its box.
    pub fn new(bbox: BBox<f64>, class: usize) -> Self {
        Self { bbox, class, area: bbox.area(), crowd: false, ignore: false, difficult: false }
    }
}

impl From<&Annotation> for GroundTruth {
    fn from(a: &Annotation) -> Self {
        let (bbox, class, area) = (a.bbox, a.class, a.area);
        Self { bbox, class, area, crowd: a.crowd, ignore: false, difficult: a.difficult }
    }
}

/// An object that a model claims to have found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Where, xyxy in pixels.
    pub bbox: BBox<f64>,
    /// Which class, from 0.
    pub class: usize,
    /// How sure the model is; only the order matters to AP.
    pub score: f64,
}

impl From<&Detection> for Prediction {
    fn from(d: &Detection) -> Self {
        Self { bbox: d.bbox.to_f64(), class: d.class, score: d.score.into() }
    }
}
