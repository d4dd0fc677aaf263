use crate::accumulate::{mean_precision, needed};
use crate::grid::{Grid, bits};
use crate::matching::Matcher;
use crate::{AreaRange, CocoParams, Evaluator};

/// What one matching pass found out, kept for further questions: curves, the best threshold, error
/// bars, slices of images, calibration. Each is answered without matching anything again.
#[derive(Clone, Debug)]
pub struct Matched {
    pub(crate) iou_thresholds: Vec<f64>,
    pub(crate) recall_thresholds: Vec<f64>,
    pub(crate) images: usize,
    pub(crate) classes: Vec<ClassMatched>,
}

/// One class of [`Matched`]: its detections, best score first.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClassMatched {
    pub(crate) scores: Vec<f64>,
    pub(crate) images: Vec<u32>,
    /// Bit `t`: right at IoU threshold `t`.
    pub(crate) right: Vec<u64>,
    /// Bit `t`: counts for nothing at IoU threshold `t`.
    pub(crate) skipped: Vec<u64>,
    /// IoU with the ground truth matched at the first threshold; 0 where there is none.
    pub(crate) ious: Vec<f64>,
    /// The image of each ground truth that counts.
    pub(crate) objects: Vec<u32>,
}

impl Evaluator {
    /// Matches all images once, objects outside `area` ignored as COCO does, and keeps the outcome.
    ///
    /// The most detections per image and class are the evaluator's greatest `max_dets`. Only the first
    /// 64 IoU thresholds are kept.
    pub fn matched(&self, area: &AreaRange) -> Matched {
        let params = CocoParams {
            areas: vec![area.clone()],
            iou_thresholds: self.params.iou_thresholds.iter().copied().take(64).collect(),
            ..self.params.clone()
        };
        let by_class = self.store.truths_by_class();
        let mut matcher = Matcher::default();
        let grids = Grid::all(&params);
        let mut classes = vec![ClassMatched::default(); self.store.classes];
        if let Some(grid) = grids.first() {
            for (class, out) in classes.iter_mut().enumerate() {
                matcher.sort(&self.store, class);
                matcher.load(&self.store, grid, by_class.indices(class));
                matcher.pass(grid, params.max_dets[2], |seen| {
                    out.scores.push(seen.score);
                    out.images.push(seen.image);
                    out.right.push(seen.outcome.right);
                    out.skipped.push(seen.outcome.skipped);
                    out.ious.push(seen.outcome.first_iou);
                });
                let truths = by_class.indices(class).iter().map(|&t| &self.store.truths[t as usize]);
                out.objects =
                    truths.filter(|t| !t.ignore && area.contains(t.area)).map(|t| t.image).collect();
            }
        }
        Matched {
            iou_thresholds: params.iou_thresholds,
            recall_thresholds: params.recall_thresholds,
            images: self.store.images,
            classes,
        }
    }
}

impl Matched {
    /// How many images there are.
    pub fn images(&self) -> usize {
        self.images
    }

    /// The IoU thresholds, as the evaluator had them.
    pub fn iou_thresholds(&self) -> &[f64] {
        &self.iou_thresholds
    }

    /// The index of an IoU threshold, if it is one of them.
    pub fn threshold(&self, iou: f64) -> Option<usize> {
        self.iou_thresholds.iter().position(|&t| t == iou)
    }

    /// Average precision over all thresholds and classes, each image counted as often as `weights` says.
    ///
    /// A slice of the images is weights of 0 and 1. Weights of 1 give the report's `ap` again;
    /// images without a weight count once. Weights give what adding the image again and again would,
    /// but for detections of one image and one score. `None` where no ground truth counts.
    pub fn ap(&self, weights: &[u32]) -> Option<f64> {
        self.ap_at(0..self.iou_thresholds.len(), weights, &mut Scratch::default())
    }

    /// Average precision over all thresholds of the images that `wanted` picks by number.
    pub fn slice(&self, wanted: impl Fn(usize) -> bool) -> Option<f64> {
        self.ap(&(0..self.images).map(|image| u32::from(wanted(image))).collect::<Vec<_>>())
    }

    /// Average precision of each class over all thresholds, images weighted.
    pub fn class_aps(&self, weights: &[u32]) -> Vec<Option<f64>> {
        let scratch = &mut Scratch::default();
        let thresholds = 0..self.iou_thresholds.len();
        self.classes.iter().map(|class| self.class_ap(class, thresholds.clone(), weights, scratch)).collect()
    }

    pub(crate) fn ap_at(
        &self,
        thresholds: std::ops::Range<usize>,
        weights: &[u32],
        scratch: &mut Scratch,
    ) -> Option<f64> {
        let aps = self.classes.iter().filter_map(|c| self.class_ap(c, thresholds.clone(), weights, scratch));
        let (sum, count) = aps.fold((0.0, 0usize), |(sum, count), ap| (sum + ap, count + 1));
        (count > 0).then(|| sum / count as f64)
    }

    /// The accumulation of `accumulate::Tally`, each detection as often as its image.
    fn class_ap(
        &self,
        class: &ClassMatched,
        thresholds: std::ops::Range<usize>,
        weights: &[u32],
        scratch: &mut Scratch,
    ) -> Option<f64> {
        let weight = |image: u32| weights.get(image as usize).copied().unwrap_or(1);
        let counted: u32 = class.objects.iter().map(|&image| weight(image)).sum();
        if counted == 0 || thresholds.is_empty() {
            return None;
        }
        let count = self.iou_thresholds.len();
        if thresholds.end > count {
            return None;
        }
        let all = if count == 64 { u64::MAX } else { (1 << count) - 1 };
        scratch.totals.resize(count, Vec::new());
        scratch.totals.iter_mut().for_each(Vec::clear);
        scratch.skipped.clear();
        scratch.skipped.resize(count, 0);
        let mut seen = 0;
        for ((&image, &right), &skipped) in class.images.iter().zip(&class.right).zip(&class.skipped) {
            let weight = weight(image);
            if weight == 0 || skipped == all {
                continue;
            }
            seen += weight;
            bits(skipped).for_each(|t| scratch.skipped[t] += weight);
            for t in bits(right) {
                // the copies of an image come one behind the other
                let before = seen - weight - scratch.skipped[t];
                scratch.totals[t].extend((1..=weight).map(|copy| before + copy));
            }
        }
        let needed = needed(&self.recall_thresholds, counted);
        let precision = |t: usize| mean_precision(&scratch.totals[t], &needed);
        let len = thresholds.len() as f64;
        Some(thresholds.map(precision).sum::<f64>() / len)
    }
}

/// Buffers of repeated accumulation.
#[derive(Default)]
pub(crate) struct Scratch {
    totals: Vec<Vec<u32>>,
    skipped: Vec<u32>,
}
