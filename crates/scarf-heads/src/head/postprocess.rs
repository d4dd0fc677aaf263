use scarf_core::{BBox, Detection, Size, class_wise_nms};
use serde::{Deserialize, Serialize};

use super::frame;
use crate::{ConfigError, error};

/// From scores on anchors to a list of detections; the defaults are those of torchvision's SSD.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Postprocess {
    /// Scores up to this one are dropped, in `0..1`.
    pub score: f32,
    /// The best candidates kept before suppression: for each class, or of all (see `pooled`).
    pub candidates: usize,
    /// Candidates are the best of all classes together, as in GluonCV.
    pub pooled: bool,
    /// Of an anchor the best class alone is a candidate (of equal ones the first), as in MXNet's `MultiBoxDetection`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub best_class: bool,
    /// Boxes are cut at the image's edge before suppression; GluonCV's are not at all.
    pub clip: bool,
    /// IoU above which the lesser of two boxes of a class goes.
    pub iou: f32,
    /// Detections kept on an image.
    pub detections: usize,
}

impl Default for Postprocess {
    fn default() -> Self {
        Self {
            score: 0.01,
            candidates: 400,
            pooled: false,
            best_class: false,
            clip: true,
            iou: 0.45,
            detections: 200,
        }
    }
}

impl Postprocess {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        error::score("head.ssd.postprocess.score", self.score)?;
        error::iou("head.ssd.postprocess.iou", self.iou)?;
        error::count("head.ssd.postprocess.candidates", self.candidates)?;
        error::count("head.ssd.postprocess.detections", self.detections)
    }

    /// The detections of one image, best first. `scores` is `[anchors, classes]` row by row, without background;
    /// `boxes` one an anchor.
    pub fn run(&self, scores: &[f32], classes: usize, boxes: &[BBox<f32>], image: Size) -> Vec<Detection> {
        let mut above = vec![Vec::new(); classes];
        for (anchor, row) in scores.chunks_exact(classes.max(1)).enumerate() {
            let scores = if self.best_class { row } else { &[] };
            let mut best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for (above, &score) in above.iter_mut().zip(row) {
                if score > self.score && (!self.best_class || score == best) {
                    above.push((anchor, score));
                    // Of equal ones the first.
                    best = f32::INFINITY;
                }
            }
        }
        self.keep(above, |anchor| boxes[anchor], image)
    }

    /// The same of each class's anchors whose scores are above the least, in any order.
    pub(super) fn keep(
        &self,
        above: Vec<Vec<(usize, f32)>>,
        bbox: impl Fn(usize) -> BBox<f32>,
        image: Size,
    ) -> Vec<Detection> {
        let frame = frame(image);
        let mut found = Vec::new();
        for (class, mut best) in above.into_iter().enumerate() {
            best_first(&mut best, self.candidates);
            found.extend(best.into_iter().filter_map(|(anchor, score)| {
                let bbox = if self.clip { bbox(anchor).clip(&frame) } else { bbox(anchor) };
                bbox.is_valid().then_some(Detection { bbox, class, score })
            }));
        }
        if self.pooled {
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
            found.truncate(self.candidates);
        }
        let mut kept = class_wise_nms(&found, self.iou);
        kept.truncate(self.detections);
        kept
    }
}

/// Keeps the `count` highest scores, each with its index, highest first; of equal ones the lower index first.
pub(super) fn best_first(scored: &mut Vec<(usize, f32)>, count: usize) {
    let order = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if (1..scored.len()).contains(&count) {
        scored.select_nth_unstable_by(count - 1, order);
    }
    scored.truncate(count);
    scored.sort_unstable_by(order);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_weak_the_doubled_and_the_outside() {
        let boxes = [
            BBox::new(-5.0, 0.0, 20.0, 20.0),
            BBox::new(0.0, 0.0, 19.0, 20.0),
            BBox::new(40.0, 40.0, 60.0, 60.0),
            BBox::new(200.0, 0.0, 220.0, 20.0),
        ];
        let scores = [0.9, 0.2, 0.8, 0.005, 0.0, 0.7, 0.99, 0.0];
        let found = Postprocess::default().run(&scores, 2, &boxes, Size::new(100, 100));
        let brief: Vec<_> = found.iter().map(|d| (d.class, d.score, d.bbox.x1)).collect();
        assert_eq!(brief, [(0, 0.9, 0.0), (1, 0.7, 40.0), (1, 0.2, 0.0)]);
    }

    /// As `MultiBoxDetection`: (.1, .5, .4) with the background before is one detection.
    #[test]
    fn the_best_class_of_an_anchor_alone() {
        let boxes = [BBox::new(0.0, 0.0, 20.0, 20.0), BBox::new(40.0, 40.0, 60.0, 60.0)];
        let settings = Postprocess { best_class: true, ..Postprocess::default() };
        let brief = |scores: &[f32]| -> Vec<_> {
            let found = settings.run(scores, 2, &boxes, Size::new(100, 100));
            found.iter().map(|d| (d.class, d.score, d.bbox.x1)).collect()
        };
        assert_eq!(brief(&[0.5, 0.4, 0.1, 0.6]), [(1, 0.6, 40.0), (0, 0.5, 0.0)]);
        assert_eq!(
            brief(&[0.4, 0.4, 0.0, 0.005]),
            [(0, 0.4, 0.0)],
            "of equal ones the first, of faint ones none"
        );
    }
}
