//! A closer look at one run: what its detections say beyond COCO's 12 numbers.

use crate::Error;
use crate::files::{read_if_there, write_atomic};
use crate::resamples::{DRAWS, RESAMPLES};
use scarf_metrics::json::CocoSet;
use scarf_metrics::{CocoParams, ErrorKind, Evaluator, Matched};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Counts up when the numbers come to mean something else: older files are made again.
const VERSION: u32 = 2;
/// Bins of scores for calibration.
const BINS: usize = 10;

/// What the detections of a run on the test images say beyond COCO's 12 numbers; `analysis.json` in its folder, made
/// from `predictions/test.coco.json` and `predictions/test.truth.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    version: u32,
    /// Test images.
    pub images: usize,
    /// 95 % intervals of AP, AP50 and AP75, low and high: by a bias-corrected bootstrap over the images.
    pub intervals: [Option<(f64, f64)>; 3],
    /// Each class, in the data set's order.
    pub classes: Vec<ClassAnalysis>,
    /// Kinds of error (TIDE, Bolya et al. 2020), in the paper's order.
    pub errors: Vec<ErrorShare>,
    /// Detection expected calibration error at IoU .5, in 0 to 1 (Küppers et al. 2020, by confidence alone), over all
    /// detections.
    pub d_ece: Option<f64>,
    /// Optimal localisation-recall-precision error, in 0 to 1, less is better (Oksuz et al. 2018): mean over classes.
    pub olrp: Option<f64>,
}

/// One class of an [`Analysis`]; scores in 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassAnalysis {
    /// The class.
    pub class: String,
    /// Objects on the test images.
    pub objects: usize,
    /// Average precision over IoU .50:.95.
    pub ap: Option<f64>,
    /// At IoU .50.
    pub ap50: Option<f64>,
    /// Over IoU .50:.95, of small, medium and large objects.
    pub by_size: [Option<f64>; 3],
    /// Optimal LRP error.
    pub olrp: Option<f64>,
}

/// A kind of error of an [`Analysis`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorShare {
    /// `class`, `location`, `both`, `duplicate`, `background` or `missed`.
    pub kind: String,
    /// How many there are.
    pub count: usize,
    /// How much AP50 rises where these alone are mended.
    pub ap50_gain: f64,
}

impl Analysis {
    /// The analysis that lies in a run's folder; `None` where there is none of today's version.
    pub fn read(folder: &Path) -> Option<Self> {
        let text = read_if_there(&folder.join("analysis.json")).ok()??;
        serde_json::from_str(&text).ok().filter(|analysis: &Self| analysis.version == VERSION)
    }

    /// Makes it from the detections in a run's folder, and leaves it there; `None` where there are none.
    ///
    /// # Errors
    /// Where the detections cannot be read, or the file not be written.
    pub(crate) fn make(folder: &Path) -> Result<Option<Self>, Error> {
        let Some(set) = detections(folder, Part::Test)? else { return Ok(None) };
        let analysis = Self::of(&set);
        let text = serde_json::to_string_pretty(&analysis).expect("numbers and text") + "\n";
        write_atomic(&folder.join("analysis.json"), text.as_bytes())?;
        Ok(Some(analysis))
    }

    fn of(set: &CocoSet) -> Self {
        let evaluator = &set.evaluator;
        let matched = matched(evaluator, 0);
        let report = evaluator.evaluate();
        let interval = |metric: usize| {
            let drawn = matched.resampled(thresholds(&matched, metric)?, RESAMPLES, DRAWS)?;
            let interval = drawn.interval();
            Some((interval.low, interval.high))
        };
        let classes = set.categories.iter().zip(&report.per_class).enumerate();
        let classes: Vec<ClassAnalysis> = classes
            .map(|(index, (category, class))| ClassAnalysis {
                class: category.name.clone(),
                objects: class.objects,
                ap: class.ap,
                ap50: class.ap50,
                by_size: [class.ap_small, class.ap_medium, class.ap_large],
                olrp: matched.olrp(index).map(|lrp| lrp.olrp),
            })
            .collect();
        let errors = evaluator.tide().errors.into_iter();
        let errors =
            errors.map(|(kind, count, gain)| ErrorShare { kind: name(kind).into(), count, ap50_gain: gain });
        Self {
            version: VERSION,
            images: evaluator.images(),
            intervals: [0, 1, 2].map(interval),
            errors: errors.collect(),
            d_ece: matched.calibration(0, BINS, 0.0).map(|calibration| calibration.d_ece),
            olrp: mean(classes.iter().filter_map(|class| class.olrp)),
            classes,
        }
    }
}

fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Class => "class",
        ErrorKind::Location => "location",
        ErrorKind::Both => "both",
        ErrorKind::Duplicate => "duplicate",
        ErrorKind::Background => "background",
        ErrorKind::Missed => "missed",
    }
}

/// Images that runs are scored on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// By which things are chosen.
    Val,
    /// By which approaches are compared.
    #[default]
    Test,
}

impl Part {
    pub(crate) fn is_test(&self) -> bool {
        *self == Part::Test
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::Val => "val",
            Part::Test => "test",
        }
    }
}

/// What a run detected on a part of the images, and what is there; `None` where it left no such files.
pub(crate) fn detections(folder: &Path, part: Part) -> Result<Option<CocoSet>, Error> {
    let found = folder.join("predictions").join(format!("{}.coco.json", part.name()));
    let truth = truth(folder, part);
    if !truth.is_file() || !found.is_file() {
        return Ok(None);
    }
    CocoSet::load(&truth, &found, CocoParams::default(), 1)
        .map(Some)
        .map_err(|error| Error::Detections(error.to_string()))
}

/// The file of what is on a part's images.
pub(crate) fn truth(folder: &Path, part: Part) -> PathBuf {
    folder.join("predictions").join(format!("{}.truth.json", part.name()))
}

/// The outcome of matching, ready to be asked for one of COCO's average precisions by its place among the 12.
pub(crate) fn matched(evaluator: &Evaluator, metric: usize) -> Matched {
    let area = if metric < 3 { 0 } else { metric - 2 };
    evaluator.matched(&evaluator.params().areas[area])
}

/// The IoU thresholds, by index, that this one of COCO's average precisions is a mean over.
pub(crate) fn thresholds(matched: &Matched, metric: usize) -> Option<std::ops::Range<usize>> {
    let one = |iou: f64| matched.threshold(iou).map(|at| at..at + 1);
    match metric {
        1 => one(0.5),
        2 => one(0.75),
        _ => Some(0..matched.iou_thresholds().len()),
    }
}

pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}
