//! What a run leaves behind for its study: `result.json` and `predictions/test.json`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use scarf_core::{Classes, Detection, Size};
use scarf_data::Sample;
use scarf_metrics::{
    CocoParams, CocoReport, ConfusionParams, EvalError, Evaluator, GroundTruth, PairingRule, Prediction,
    STAT_NAMES,
};
use scarf_study::write_atomic;
use scarf_train::Samples;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Pictures that a run shows, spread evenly over the images of the part.
const PICTURES: usize = 18;
/// Detections that a picture shows at most.
const SHOWN: usize = 30;
/// Pictures of failures at most.
const FAILURES: usize = 6;
/// Pixels of a picture's longer side at most: a page with files as they come from a camera would be of 100 MB and more.
const SIDE: u32 = 800;
/// The quality of pictures that are made smaller.
const QUALITY: u8 = 85;
/// A failure is an object without, or a detection of nothing with, a score above this; pages begin by showing those.
const SURE: f64 = 0.3;

/// The twelve numbers of a report's or a class's `stats`, by name, as JSON.
pub(crate) fn named(stats: [Option<f64>; 12]) -> Map<String, Value> {
    STAT_NAMES.iter().zip(stats).map(|(&name, value)| (name.to_owned(), json!(value))).collect()
}

/// The numbers of one part, and those of each class.
pub(crate) fn scores(report: &CocoReport, classes: &Classes) -> Value {
    let mut scores = named(report.stats());
    let per_class = report.per_class.iter().zip(classes.names()).map(
        |(class, name)| json!({"class": name, "ap": class.ap, "ap50": class.ap50, "objects": class.objects}),
    );
    scores.insert("per_class".into(), per_class.collect());
    Value::Object(scores)
}

/// Some images of a part with what is on them and what was found, for people to look at; and those with the most
/// mistakes.
pub(crate) fn pictures(samples: Samples<'_>, detections: &[Vec<Detection>]) -> Result<Value> {
    let step = (samples.indices.len() / PICTURES).max(1);
    let spread = (0..samples.indices.len()).step_by(step).take(PICTURES);
    let images: Result<Vec<Value>> = spread.map(|at| picture(samples, detections, at)).collect();
    let failures: Result<Vec<Value>> = failures(samples, detections)?
        .into_iter()
        .map(|(at, mistakes)| {
            let mut picture = picture(samples, detections, at)?;
            picture["missed"] = json!(mistakes.missed);
            picture["wrong"] = json!(mistakes.wrong);
            Ok(picture)
        })
        .collect();
    Ok(json!({"classes": samples.set.classes.names(), "images": images?, "failures": failures?}))
}

/// One image by its place in the part.
fn picture(samples: Samples<'_>, detections: &[Vec<Detection>], at: usize) -> Result<Value> {
    let classes = &samples.set.classes;
    let sample = &samples.set.samples[samples.indices[at]];
    let bytes = shown(sample, samples.images.get(samples.indices[at]))?;
    let truth: Vec<Value> = sample
        .annotations
        .iter()
        .map(|a| json!({"class": classes.name(a.class), "box": a.bbox.to_array()}))
        .collect();
    let found: Vec<Value> = detections[at]
        .iter()
        .take(SHOWN)
        .map(|d| json!({"class": classes.name(d.class), "score": d.score, "box": d.bbox.to_array()}))
        .collect();
    Ok(json!({
        "name": sample.name,
        "width": sample.size.width,
        "height": sample.size.height,
        "jpeg": BASE64_STANDARD.encode(bytes),
        "ground_truth": truth,
        "detections": found,
    }))
}

/// A file to be looked at: that of the sample where it is small and a browser shows it, otherwise a JPEG of its image. Boxes
/// are in pixels of the image all the same, whose size is told beside.
fn shown(sample: &Sample, image: &RgbImage) -> Result<Vec<u8>> {
    let Size { width, height } = sample.size;
    let longer = width.max(height);
    if longer <= SIDE {
        let bytes = fs::read(&sample.image).with_context(|| sample.image.display().to_string())?;
        if matches!(image::guess_format(&bytes), Ok(ImageFormat::Jpeg | ImageFormat::Png)) {
            return Ok(bytes);
        }
    }
    let share = f64::from(SIDE.min(longer)) / f64::from(longer);
    let side = |pixels: u32| ((f64::from(pixels) * share).round() as u32).max(1);
    let small = scarf_data::images::resize(image, Size::new(side(width), side(height)));
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .encode_image(&small)
        .with_context(|| sample.image.display().to_string())?;
    Ok(bytes)
}

/// What went wrong on an image.
#[derive(Clone, Copy)]
struct Mistakes {
    /// Objects that nothing was found of.
    missed: usize,
    /// Detections of nothing, and of objects of another class.
    wrong: usize,
}

/// The images with the most mistakes, by their places in the part, the worst first.
fn failures(
    samples: Samples<'_>,
    detections: &[Vec<Detection>],
) -> Result<Vec<(usize, Mistakes)>, EvalError> {
    let mistakes = (0..samples.indices.len()).map(|at| Ok((at, mistakes(samples, detections, at)?)));
    let mut all = mistakes.collect::<Result<Vec<_>, EvalError>>()?;
    all.retain(|(_, each)| each.missed + each.wrong > 0);
    all.sort_by_key(|(at, each)| (std::cmp::Reverse(each.missed + each.wrong), *at));
    all.truncate(FAILURES);
    Ok(all)
}

/// Pairs what was found on an image with what is there, at IoU .5.
fn mistakes(samples: Samples<'_>, detections: &[Vec<Detection>], at: usize) -> Result<Mistakes, EvalError> {
    let classes = samples.set.classes.len();
    let annotations = &samples.set.samples[samples.indices[at]].annotations;
    let truth: Vec<GroundTruth> = annotations.iter().map(GroundTruth::from).collect();
    let found: Vec<Prediction> = detections[at].iter().map(Prediction::from).collect();
    let mut evaluator = Evaluator::new(classes, CocoParams::default());
    evaluator.add_image(&truth, &found)?;
    let params = ConfusionParams { score: SURE, iou: 0.5, rule: PairingRule::BestScoreFirst };
    let confusion = evaluator.confusion(params);
    let truths = || (0..classes).map(Some).chain([None]);
    let wrong = (0..classes).flat_map(|found| truths().map(move |truth| (Some(found), truth)));
    Ok(Mistakes {
        missed: (0..classes).map(|truth| confusion.count(None, Some(truth))).sum(),
        wrong: wrong
            .filter(|(found, truth)| found != truth)
            .map(|(found, truth)| confusion.count(found, truth))
            .sum(),
    })
}

/// How fast a trained model goes through a part (reading and resizing of decoded images included), and the most
/// memory that this process has had, training included; where the system tells it (Linux).
pub(crate) fn speed(images: usize, batch: usize, seconds: f64) -> Value {
    json!({"images_per_second": images as f64 / seconds, "batch": batch, "peak_memory_bytes": peak_memory()})
}

/// Bytes, on Linux.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Writes JSON, whole or not at all.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(write_atomic(path, &bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pictures_stay_as_they_are_and_others_become_small() {
        let folder = tempfile::tempdir().unwrap();
        let shown = |name: &str, width: u32, height: u32| {
            let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 90]));
            let path = folder.path().join(name);
            image.save(&path).unwrap();
            let size = Size::new(width, height);
            let sample = Sample { name: name.into(), image: path.clone(), size, annotations: vec![] };
            let bytes = super::shown(&sample, &image).unwrap();
            let read = image::load_from_memory(&bytes).unwrap();
            (
                bytes == fs::read(path).unwrap(),
                image::guess_format(&bytes).unwrap(),
                read.width(),
                read.height(),
            )
        };
        use ImageFormat::{Jpeg, Png};
        assert_eq!(shown("a.png", 800, 30), (true, Png, 800, 30));
        assert_eq!(shown("a.jpg", 30, 40), (true, Jpeg, 30, 40));
        assert_eq!(shown("b.png", 1600, 33), (false, Jpeg, 800, 17));
        assert_eq!(shown("b.jpg", 1, 2400), (false, Jpeg, 1, 800));
        // No browser shows this one, however small it is.
        assert_eq!(shown("a.tif", 30, 40), (false, Jpeg, 30, 40));
        assert_eq!(shown("a.bmp", 30, 40), (false, Jpeg, 30, 40));
    }
}
