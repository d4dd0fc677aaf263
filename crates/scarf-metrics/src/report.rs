use std::fmt;

use crate::CocoParams;
use crate::accumulate::{Answer, ClassAnswers};

/// COCO's twelve numbers, each in `0..=1`, and those of every class.
///
/// `None` stands where nothing can be scored (no object of that size, say); pycocotools prints
/// such a number as -1, and so does [`Display`](fmt::Display). Classes without ground truth are
/// left out of every mean.
#[derive(Clone, Debug, PartialEq)]
pub struct CocoReport {
    /// Average precision: mean over IoU thresholds and classes.
    pub ap: Option<f64>,
    /// Average precision at IoU .5.
    pub ap50: Option<f64>,
    /// Average precision at IoU .75.
    pub ap75: Option<f64>,
    /// Average precision of small objects (the second area range).
    pub ap_small: Option<f64>,
    /// Average precision of medium objects (the third area range).
    pub ap_medium: Option<f64>,
    /// Average precision of large objects (the fourth area range).
    pub ap_large: Option<f64>,
    /// Average recall with 1 detection per image and class (the least of `max_dets`).
    pub ar1: Option<f64>,
    /// Average recall with 10 (the middle one).
    pub ar10: Option<f64>,
    /// Average recall with 100 (the greatest).
    pub ar100: Option<f64>,
    /// Average recall of small objects.
    pub ar_small: Option<f64>,
    /// Average recall of medium objects.
    pub ar_medium: Option<f64>,
    /// Average recall of large objects.
    pub ar_large: Option<f64>,
    /// The same for each class, in the order of classes.
    pub per_class: Vec<ClassReport>,
    params: CocoParams,
}

/// One class's numbers, as [`CocoReport`]'s.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassReport {
    /// Ground truths of the class, crowds and ignored ones among them.
    pub objects: usize,
    /// Detections of the class, those beyond `max_dets` among them.
    pub detections: usize,
    /// Average precision.
    pub ap: Option<f64>,
    /// Average precision at IoU .5.
    pub ap50: Option<f64>,
    /// Average precision at IoU .75.
    pub ap75: Option<f64>,
    /// Average precision of small objects.
    pub ap_small: Option<f64>,
    /// Average precision of medium objects.
    pub ap_medium: Option<f64>,
    /// Average precision of large objects.
    pub ap_large: Option<f64>,
    /// Average recall with 1 detection per image.
    pub ar1: Option<f64>,
    /// Average recall with 10.
    pub ar10: Option<f64>,
    /// Average recall with 100.
    pub ar100: Option<f64>,
    /// Average recall of small objects.
    pub ar_small: Option<f64>,
    /// Average recall of medium objects.
    pub ar_medium: Option<f64>,
    /// Average recall of large objects.
    pub ar_large: Option<f64>,
    /// Average precision at each IoU threshold, over all areas (the first area range).
    pub ap_by_iou: Vec<Option<f64>>,
}

impl CocoReport {
    pub(crate) fn of(params: &CocoParams, classes: &[ClassAnswers]) -> Self {
        let [ap, ap50, ap75, ap_small, ap_medium, ap_large, ar1, ar10, ar100, ar_small, ar_medium, ar_large] =
            twelve(params, classes);
        let per_class = classes.iter().map(|class| ClassReport::of(params, class)).collect();
        Self {
            ap,
            ap50,
            ap75,
            ap_small,
            ap_medium,
            ap_large,
            ar1,
            ar10,
            ar100,
            ar_small,
            ar_medium,
            ar_large,
            per_class,
            params: params.clone(),
        }
    }

    /// The twelve numbers in pycocotools' order (its `stats`, where -1 stands for `None`).
    pub fn stats(&self) -> [Option<f64>; 12] {
        [
            self.ap,
            self.ap50,
            self.ap75,
            self.ap_small,
            self.ap_medium,
            self.ap_large,
            self.ar1,
            self.ar10,
            self.ar100,
            self.ar_small,
            self.ar_medium,
            self.ar_large,
        ]
    }

    /// The parameters that the numbers answer.
    pub fn params(&self) -> &CocoParams {
        &self.params
    }
}

impl ClassReport {
    fn of(params: &CocoParams, class: &ClassAnswers) -> Self {
        let [ap, ap50, ap75, ap_small, ap_medium, ap_large, ar1, ar10, ar100, ar_small, ar_medium, ar_large] =
            twelve(params, std::slice::from_ref(class));
        let first = class.table.first().map_or(&[][..], |row| &row[..]);
        Self {
            objects: class.objects,
            detections: class.detections,
            ap,
            ap50,
            ap75,
            ap_small,
            ap_medium,
            ap_large,
            ar1,
            ar10,
            ar100,
            ar_small,
            ar_medium,
            ar_large,
            ap_by_iou: first.iter().map(|a| a.map(|a| a.precision)).collect(),
        }
    }

    /// The twelve numbers in the order of [`CocoReport::stats`].
    pub fn stats(&self) -> [Option<f64>; 12] {
        [
            self.ap,
            self.ap50,
            self.ap75,
            self.ap_small,
            self.ap_medium,
            self.ap_large,
            self.ar1,
            self.ar10,
            self.ar100,
            self.ar_small,
            self.ar_medium,
            self.ar_large,
        ]
    }
}

/// The names of the twelve numbers, in the order of `stats`.
pub const STAT_NAMES: [&str; 12] = [
    "ap",
    "ap50",
    "ap75",
    "ap_small",
    "ap_medium",
    "ap_large",
    "ar1",
    "ar10",
    "ar100",
    "ar_small",
    "ar_medium",
    "ar_large",
];

/// The twelve means over classes (pycocotools' `summarize`).
fn twelve(params: &CocoParams, classes: &[ClassAnswers]) -> [Option<f64>; 12] {
    let at = |iou: f64| params.iou_thresholds.iter().position(|&t| t == iou);
    let precision = |area| mean(classes, area, None, |a| a.precision);
    let precision_at = |iou| at(iou).and_then(|t| mean(classes, 0, Some(t), |a| a.precision));
    let recall = |area, m: usize| mean(classes, area, None, |a| a.recall[m]);
    [
        precision(0),
        precision_at(0.5),
        precision_at(0.75),
        precision(1),
        precision(2),
        precision(3),
        recall(0, 0),
        recall(0, 1),
        recall(0, 2),
        recall(1, 2),
        recall(2, 2),
        recall(3, 2),
    ]
}

fn mean(
    classes: &[ClassAnswers],
    area: usize,
    threshold: Option<usize>,
    pick: impl Fn(&Answer) -> f64,
) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0usize);
    for row in classes.iter().filter_map(|class| class.table.get(area)) {
        let row = threshold.map_or(&row[..], |t| &row[t..=t]);
        for answer in row.iter().flatten() {
            sum += pick(answer);
            count += 1;
        }
    }
    (count > 0).then(|| sum / count as f64)
}

impl fmt::Display for CocoReport {
    /// The twelve lines that pycocotools' `summarize` prints, to the letter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ious = &self.params.iou_thresholds;
        let ends = ious.first().zip(ious.last());
        let range = ends.map_or("-".into(), |(a, b)| format!("{a:.2}:{b:.2}"));
        let area = |i: usize| self.params.areas.get(i).map_or("-", |a| &a.name);
        let [one, ten, most] = self.params.max_dets;
        for (row, value) in self.stats().into_iter().enumerate() {
            let (title, kind) =
                if row < 6 { ("Average Precision", "(AP)") } else { ("Average Recall", "(AR)") };
            let iou = match row {
                1 => "0.50",
                2 => "0.75",
                _ => &range,
            };
            let area = area([0, 0, 0, 1, 2, 3, 0, 0, 0, 1, 2, 3][row]);
            let dets = [most, most, most, most, most, most, one, ten, most, most, most, most][row];
            let value = value.unwrap_or(-1.0);
            writeln!(
                f,
                " {title:<18} {kind} @[ IoU={iou:<9} | area={area:>6} | maxDets={dets:>3} ] = {value:.3}"
            )?;
        }
        Ok(())
    }
}
