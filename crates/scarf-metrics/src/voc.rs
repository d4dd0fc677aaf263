use crate::Evaluator;
use crate::matching::Matcher;
use crate::store::{Found, Truth};

/// How Pascal VOC averages precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocMean {
    /// The mean of the precision at recalls 0, .1, ... 1 (VOC 2007).
    ElevenPoints,
    /// The area under the whole curve, made monotonous (VOC 2010 to 2012).
    AllPoints,
}

/// What a box with corners 10 and 19 covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelRule {
    /// Corners are pixels and belong to the box: it is 10 pixels wide (the devkit's `+1`).
    Inclusive,
    /// Corners are coordinates: it is 9 wide, as everywhere else in this crate.
    Continuous,
}

/// What VOC evaluation is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VocParams {
    /// IoU from which a detection is right, .5 in every year.
    pub iou: f64,
    /// How precision is averaged.
    pub mean: VocMean,
    /// Whether boxes include their last pixel.
    pub pixels: PixelRule,
}

impl VocParams {
    /// VOC 2007: eleven points, and the devkit's +1.
    pub const fn voc07() -> Self {
        Self { iou: 0.5, mean: VocMean::ElevenPoints, pixels: PixelRule::Inclusive }
    }

    /// VOC 2010 to 2012: all points, and the devkit's +1.
    pub const fn voc12() -> Self {
        Self { iou: 0.5, mean: VocMean::AllPoints, pixels: PixelRule::Inclusive }
    }
}

/// VOC's mean average precision and that of each class, in `0..=1`.
#[derive(Clone, Debug, PartialEq)]
pub struct VocReport {
    /// The mean over the classes that have an object; `None` where none has.
    pub map: Option<f64>,
    /// The classes, in order.
    pub per_class: Vec<VocClass>,
}

/// One class by VOC's protocol.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VocClass {
    /// Objects that are not difficult.
    pub objects: usize,
    /// Average precision; `None` without objects.
    pub ap: Option<f64>,
    /// The share of objects that any detection found; `None` without objects.
    pub recall: Option<f64>,
}

impl Evaluator {
    /// Evaluation as Pascal VOC's devkit does it (`VOCevaldet.m`).
    ///
    /// Detections go best score first, those of equal score in the order they were added. Each goes
    /// to the object that it overlaps most (of equals the first): right where that is free, wrong where
    /// it is taken, left out where the object is difficult (or ignored, or a crowd). There is no limit
    /// to the detections of an image.
    pub fn voc(&self, params: VocParams) -> VocReport {
        let by_class = self.store.truths_by_class();
        let mut matcher = Matcher::default();
        let per_class: Vec<VocClass> = (0..self.store.classes)
            .map(|class| {
                let truths = by_class.indices(class).iter().map(|&t| &self.store.truths[t as usize]);
                matcher.sort(&self.store, class);
                class_of(truths, matcher.sorted(), self.store.images, params)
            })
            .collect();
        let scored: Vec<f64> = per_class.iter().filter_map(|class| class.ap).collect();
        let map = (!scored.is_empty()).then(|| scored.iter().sum::<f64>() / scored.len() as f64);
        VocReport { map, per_class }
    }
}

fn class_of<'a>(
    truths: impl Iterator<Item = &'a Truth>,
    found: impl Iterator<Item = &'a Found>,
    images: usize,
    params: VocParams,
) -> VocClass {
    let mut of_image: Vec<Vec<(&Truth, bool)>> = vec![Vec::new(); images];
    let mut objects = 0;
    for truth in truths {
        objects += usize::from(!left_out(truth));
        of_image[truth.image as usize].push((truth, false));
    }
    let (mut right, mut wrong) = (0usize, 0usize);
    let mut curve = Vec::new(); // (recall, precision) after each detection that counts
    for f in found {
        let mut best: Option<(f64, &mut (&Truth, bool))> = None;
        for candidate in &mut of_image[f.image as usize] {
            let iou = overlap(&f.xywh, &candidate.0.xywh, params.pixels);
            if best.as_ref().is_none_or(|b| iou > b.0) {
                best = Some((iou, candidate));
            }
        }
        match best {
            Some((iou, (truth, _))) if iou >= params.iou && left_out(truth) => continue,
            Some((iou, (_, taken))) if iou >= params.iou && !*taken => {
                *taken = true;
                right += 1;
            }
            _ => wrong += 1,
        }
        curve.push((right as f64 / objects as f64, right as f64 / (right + wrong) as f64));
    }
    let scored = objects > 0;
    let ap = || match params.mean {
        VocMean::ElevenPoints => eleven_points(&curve),
        VocMean::AllPoints => all_points(&curve),
    };
    VocClass { objects, ap: scored.then(ap), recall: scored.then(|| right as f64 / objects as f64) }
}

fn left_out(truth: &Truth) -> bool {
    truth.difficult || truth.ignore
}

fn overlap(a: &[f64; 4], b: &[f64; 4], pixels: PixelRule) -> f64 {
    let more = if pixels == PixelRule::Inclusive { 1.0 } else { 0.0 };
    let side = |k: usize| (a[k] + a[k + 2]).min(b[k] + b[k + 2]) - a[k].max(b[k]) + more;
    let (wide, high) = (side(0), side(1));
    if wide <= 0.0 || high <= 0.0 {
        return 0.0;
    }
    let area = |c: &[f64; 4]| (c[2] + more) * (c[3] + more);
    wide * high / (area(a) + area(b) - wide * high)
}

/// `voc_ap` with `use_07_metric`: recalls are multiples of .1 as `numpy.arange` makes them.
fn eleven_points(curve: &[(f64, f64)]) -> f64 {
    let best = |recall: f64| curve.iter().filter(|p| p.0 >= recall).map(|p| p.1).fold(0.0, f64::max);
    (0..11).map(|k| best(f64::from(k) * 0.1) / 11.0).sum()
}

/// The area under the precision that is reached at each recall or beyond.
fn all_points(curve: &[(f64, f64)]) -> f64 {
    let (mut area, mut best, mut right_of) = (0.0, 0.0f64, curve.last().map_or(0.0, |p| p.0));
    for &(recall, precision) in curve.iter().rev() {
        area += (right_of - recall) * best;
        (best, right_of) = (best.max(precision), recall);
    }
    area + right_of * best
}

#[cfg(test)]
mod tests {
    use scarf_core::BBox;

    use super::*;
    use crate::{CocoParams, GroundTruth, Prediction};

    fn found(x: f64, score: f64) -> Prediction {
        Prediction { bbox: BBox::new(x, 0.0, x + 9.0, 9.0), class: 0, score }
    }

    fn truth(x: f64) -> GroundTruth {
        GroundTruth::new(BBox::new(x, 0.0, x + 9.0, 9.0), 0)
    }

    #[test]
    fn worked_by_hand() {
        // right, wrong (a duplicate), left out (difficult), right: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3
        let mut evaluator = Evaluator::new(2, CocoParams::default());
        let truths = [truth(0.0), truth(20.0), truth(40.0), GroundTruth { difficult: true, ..truth(60.0) }];
        let claims = [found(0.0, 0.9), found(1.0, 0.8), found(60.0, 0.7), found(20.0, 0.6)];
        evaluator.add_image(&truths, &claims).unwrap();
        let (old, new) = (evaluator.voc(VocParams::voc07()), evaluator.voc(VocParams::voc12()));
        assert_eq!((old.per_class[0].objects, old.per_class[0].recall), (3, Some(2.0 / 3.0)));
        // 0 to .3 reach precision 1, .4 to .6 reach 2/3
        assert!((old.map.unwrap() - (4.0 + 3.0 * 2.0 / 3.0) / 11.0).abs() < 1e-12);
        assert!((new.map.unwrap() - (1.0 / 3.0 + 2.0 / 9.0)).abs() < 1e-12);
        assert_eq!(new.per_class[1].ap, None);
    }

    #[test]
    fn the_last_pixel_decides() {
        // 10 x 10 pixels moved by 10/3: 6 2/3 of 13 1/3 columns are shared, IoU .5; without the +1 it is less
        let mut evaluator = Evaluator::new(1, CocoParams::default());
        evaluator.add_image(&[truth(0.0)], &[found(3.25, 0.5)]).unwrap();
        let continuous = VocParams { pixels: PixelRule::Continuous, ..VocParams::voc12() };
        assert_eq!(evaluator.voc(VocParams::voc12()).map, Some(1.0));
        assert_eq!(evaluator.voc(continuous).map, Some(0.0));
    }
}
