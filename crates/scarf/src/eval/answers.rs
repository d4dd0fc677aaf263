//! What evaluation answers, once for people and once for machines.

use std::fmt::Write;

use anyhow::Result;
use scarf_metrics::{BestThreshold, CocoReport, ErrorKind, Interval, Matched, PixelRule, VocMean, VocParams};
use serde_json::{Map, Value, json};

use super::labels::Labels;
use crate::result::named;

/// IoU .5, the first threshold: what thresholds and calibration go by.
const HALF: usize = 0;
/// Bins of scores for calibration.
const BINS: usize = 10;
/// Seed of the resamples: the same numbers each time.
const SEED: u64 = 0;

/// Text and JSON of the same answers.
#[derive(Default)]
pub(super) struct Answers {
    text: String,
    json: Map<String, Value>,
}

impl Answers {
    pub(super) fn append(&mut self, mut more: Self) {
        self.text += &more.text;
        self.json.append(&mut more.json);
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_json(self) -> Value {
        Value::Object(self.json)
    }

    fn tell(&mut self, key: &str, value: Value) {
        self.json.insert(key.to_owned(), value);
    }
}

/// COCO's twelve numbers.
pub(super) fn coco(labels: &Labels, threads: usize, per_class: bool) -> Answers {
    let report = labels.evaluator.evaluate_on(threads);
    let mut answers = Answers { text: report.to_string(), ..Answers::default() };
    answers.tell("protocol", json!("coco"));
    answers.json.append(&mut named(report.stats()));
    answers.tell("images", json!(labels.evaluator.images()));
    if per_class {
        class_table(&mut answers, labels, &report);
    }
    answers
}

fn class_table(answers: &mut Answers, labels: &Labels, report: &CocoReport) {
    let wide = widest(labels);
    _ = writeln!(
        answers.text,
        "\n{:<wide$}  objects  detections     AP   AP50   AP75  small medium  large  AR100",
        "class"
    );
    let mut rows = Vec::new();
    for (name, class) in labels.classes.iter().zip(&report.per_class) {
        let cells =
            [class.ap, class.ap50, class.ap75, class.ap_small, class.ap_medium, class.ap_large, class.ar100];
        _ = write!(answers.text, "{name:<wide$}  {:>7}  {:>10}", class.objects, class.detections);
        cells.iter().for_each(|&cell| _ = write!(answers.text, " {}", number(cell)));
        answers.text.push('\n');
        let mut row = named(class.stats());
        row.insert("class".into(), json!(name));
        row.insert("objects".into(), json!(class.objects));
        row.insert("detections".into(), json!(class.detections));
        row.insert("ap_by_iou".into(), json!(class.ap_by_iou));
        rows.push(row);
    }
    answers.tell("per_class", json!(rows));
}

/// VOC's mean average precision.
pub(super) fn voc(labels: &Labels, params: VocParams, per_class: bool) -> Answers {
    let report = labels.evaluator.voc(params);
    let (name, mean) = match params.mean {
        VocMean::ElevenPoints => ("voc07", "VOC 2007, eleven points"),
        VocMean::AllPoints => ("voc12", "VOC 2012, all points"),
    };
    let inclusive = params.pixels == PixelRule::Inclusive;
    let pixels = if inclusive { "the last pixel counted (+1)" } else { "continuous coordinates" };
    let mut answers = Answers::default();
    _ = writeln!(answers.text, "mAP {} at IoU {:.2} ({mean}; {pixels})", number(report.map), params.iou);
    answers.tell("protocol", json!(name));
    answers.tell("pixels", json!(if inclusive { "inclusive" } else { "continuous" }));
    answers.tell("map", json!(report.map));
    answers.tell("images", json!(labels.evaluator.images()));
    if per_class {
        let wide = widest(labels);
        _ = writeln!(answers.text, "\n{:<wide$}  objects     AP  recall", "class");
        let mut rows = Vec::new();
        for (name, class) in labels.classes.iter().zip(&report.per_class) {
            let (ap, recall) = (number(class.ap), number(class.recall));
            _ = writeln!(answers.text, "{name:<wide$}  {:>7} {ap}  {recall}", class.objects);
            rows.push(
                json!({"class": name, "objects": class.objects, "ap": class.ap, "recall": class.recall}),
            );
        }
        answers.tell("per_class", json!(rows));
    }
    answers
}

/// An interval for AP, and where it is lost.
pub(super) fn more(labels: &Labels, resamples: usize) -> Answers {
    let matched = labels.evaluator.matched(&labels.evaluator.params().areas[0]);
    let mut answers = Answers::default();
    if let Some(interval) = matched.bootstrap(resamples, SEED) {
        _ = writeln!(
            answers.text,
            "\nAP {:.3}, 95 % of {} resamples from {:.3} to {:.3}",
            interval.value, interval.resamples, interval.low, interval.high
        );
        answers.tell("ap_interval", interval_json(&interval));
    }
    if let Some(calibration) = matched.calibration(HALF, BINS, 0.0) {
        let error = calibration.d_ece;
        _ = writeln!(
            answers.text,
            "scores are off the share that is right by {error:.3} on average (D-ECE, IoU .5)"
        );
        let bins = calibration
            .bins
            .iter()
            .map(|bin| json!({"detections": bin.count, "score": bin.score, "precision": bin.precision}));
        answers.tell("d_ece", json!(error));
        answers.tell("calibration", bins.collect());
    }
    thresholds(&mut answers, labels, &matched);
    errors(&mut answers, labels);
    answers
}

/// The score of each class from which on its detections are best kept.
fn thresholds(answers: &mut Answers, labels: &Labels, matched: &Matched) {
    let wide = widest(labels);
    _ = writeln!(
        answers.text,
        "\n{:<wide$}  best score     F1  precision  recall   oLRP   (IoU .5; keep what scores at least the best)",
        "class"
    );
    let mut rows = Vec::new();
    for (class, name) in labels.classes.iter().enumerate() {
        let best = matched.curve(class, HALF).and_then(|curve| curve.best());
        let lrp = matched.olrp(class);
        let of = |pick: fn(&BestThreshold) -> f64| best.as_ref().map(pick);
        let (score, f1) = (of(|b| b.score), of(|b| b.f1));
        let (precision, recall) = (of(|b| b.precision), of(|b| b.recall));
        let olrp = lrp.as_ref().map(|lrp| lrp.olrp);
        _ = writeln!(
            answers.text,
            "{name:<wide$}  {:>10} {}      {}   {}  {}",
            number(score),
            number(f1),
            number(precision),
            number(recall),
            number(olrp)
        );
        rows.push(json!({"class": name, "score": score, "f1": f1, "precision": precision, "recall": recall,
                         "olrp": olrp, "olrp_score": lrp.and_then(|lrp| lrp.score)}));
    }
    answers.tell("thresholds", json!(rows));
}

/// TIDE's kinds of error.
fn errors(answers: &mut Answers, labels: &Labels) {
    let report = labels.evaluator.tide();
    _ = writeln!(answers.text, "\nerror (TIDE, IoU .5)   how many   AP50 without it");
    let mut rows = Map::new();
    for (kind, count, gain) in report.errors {
        let (name, what) = match kind {
            ErrorKind::Class => ("class", "wrong class"),
            ErrorKind::Location => ("location", "wrong place"),
            ErrorKind::Both => ("both", "wrong class and place"),
            ErrorKind::Duplicate => ("duplicate", "found before"),
            ErrorKind::Background => ("background", "nothing there"),
            ErrorKind::Missed => ("missed", "missed"),
        };
        _ = writeln!(answers.text, "{what:<22} {count:>8}   +{gain:.3}");
        rows.insert(name.into(), json!({"count": count, "ap50_gain": gain}));
    }
    answers.tell("errors", Value::Object(rows));
}

/// Whether these are better than others, and how surely.
pub(super) fn comparison(labels: &Labels, other: &Labels, resamples: usize) -> Result<Answers> {
    let of = |labels: &Labels| labels.evaluator.matched(&labels.evaluator.params().areas[0]);
    let mut answers = Answers::default();
    match of(other).compare(&of(labels), resamples, SEED)? {
        Some(comparison) => {
            _ = writeln!(answers.text, "\nAP against the others: {comparison}");
            answers.tell(
                "comparison",
                json!({"difference": interval_json(&comparison.difference), "p_value": comparison.p_value,
                       "significant": comparison.significant()}),
            );
        }
        None => answers.text += "\nthere is nothing to compare: no object counts\n",
    }
    Ok(answers)
}

fn interval_json(interval: &Interval) -> Value {
    json!({"value": interval.value, "low": interval.low, "high": interval.high, "resamples": interval.resamples})
}

/// Three decimals in six columns, a dash where there is nothing to score.
fn number(value: Option<f64>) -> String {
    value.map_or("     -".into(), |value| format!("{value:>6.3}"))
}

fn widest(labels: &Labels) -> usize {
    labels.classes.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5)
}
