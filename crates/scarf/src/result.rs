//! What a run leaves behind for its study: `result.json` and `predictions/test.json`.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use scarf_core::{Classes, Detection};
use scarf_metrics::{CocoReport, STAT_NAMES};
use scarf_train::Samples;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Pictures that a run shows, spread evenly over the images of the part.
const PICTURES: usize = 18;
/// Detections that a picture shows at most.
const SHOWN: usize = 30;

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

/// Some images of a part with what is on them and what was found, for people to look at.
pub(crate) fn pictures(samples: Samples<'_>, detections: &[Vec<Detection>]) -> Result<Value> {
    let classes = &samples.set.classes;
    let step = (samples.indices.len() / PICTURES).max(1);
    let images: Result<Vec<Value>> = samples
        .indices
        .iter()
        .zip(detections)
        .step_by(step)
        .take(PICTURES)
        .map(|(&index, detections)| {
            let sample = &samples.set.samples[index];
            let bytes = fs::read(&sample.image).with_context(|| sample.image.display().to_string())?;
            let truth: Vec<Value> = sample
                .annotations
                .iter()
                .map(|a| json!({"class": classes.name(a.class), "box": a.bbox.to_array()}))
                .collect();
            let found: Vec<Value> = detections
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
        })
        .collect();
    Ok(json!({"classes": classes.names(), "images": images?}))
}

/// Writes JSON, whole or not at all.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    write_whole(path, &bytes)
}

/// Writes a file, whole or not at all, and the folders above it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(|| folder.display().to_string())?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .with_context(|| path.display().to_string())?;
    file.persist(path).with_context(|| path.display().to_string())?;
    Ok(())
}
