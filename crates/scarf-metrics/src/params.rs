/// A range of object areas, both bounds inclusive.
#[derive(Clone, Debug, PartialEq)]
pub struct AreaRange {
    /// What it is called in reports.
    pub name: String,
    /// The least area in square pixels.
    pub min: f64,
    /// The greatest area in square pixels.
    pub max: f64,
}

impl AreaRange {
    /// The range from `min` to `max` square pixels, both inclusive.
    pub fn new(name: impl Into<String>, min: f64, max: f64) -> Self {
        Self { name: name.into(), min, max }
    }

    /// Whether an area lies within.
    pub fn contains(&self, area: f64) -> bool {
        !(area < self.min || area > self.max)
    }
}

/// What COCO evaluation is asked (pycocotools' `Params`); the default is COCO's own for boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct CocoParams {
    /// IoU from which a detection may match, in `0..=1`: .5, .55, ... .95.
    pub iou_thresholds: Vec<f64>,
    /// Recall at which precision is read, in `0..=1`: 0, .01, ... 1.
    pub recall_thresholds: Vec<f64>,
    /// Detections kept per image and class: 1, 10, 100. Average precision goes by the greatest.
    pub max_dets: [usize; 3],
    /// Area ranges: all, small, medium, large. The first is the one of `ap` and `ar`.
    pub areas: Vec<AreaRange>,
}

impl Default for CocoParams {
    fn default() -> Self {
        let side = |s: f64| s * s;
        Self {
            iou_thresholds: linspace(0.5, 0.95, 10),
            recall_thresholds: linspace(0.0, 1.0, 101),
            max_dets: [1, 10, 100],
            areas: vec![
                AreaRange::new("all", 0.0, side(1e5)),
                AreaRange::new("small", 0.0, side(32.0)),
                AreaRange::new("medium", side(32.0), side(96.0)),
                AreaRange::new("large", side(96.0), side(1e5)),
            ],
        }
    }
}

/// `count` numbers from `start` to `stop`, bit for bit those of `numpy.linspace`.
///
/// Adding up a step instead gives .6000000000000001 for .6, and with it another AP.
pub fn linspace(start: f64, stop: f64, count: usize) -> Vec<f64> {
    let step = (stop - start) / count.saturating_sub(1).max(1) as f64;
    let mut values: Vec<f64> = (0..count).map(|i| i as f64 * step + start).collect();
    if count > 1 {
        values[count - 1] = stop;
    }
    values
}
