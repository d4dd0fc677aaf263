//! What stands for a run's detections when they are gone: its AP on draws of the images they were made on.

use crate::Error;
use crate::analysis::{Part, detections, matched, thresholds};
use crate::files::{read_if_there, write_atomic};
use crate::result::NUMBERS;
use scarf_metrics::Resampled;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// How often images are drawn anew.
pub(crate) const RESAMPLES: usize = 1000;
/// The seed of those draws: the same images for every run.
pub(crate) const DRAWS: u64 = 0;

/// `resamples/test.json` or `resamples/val.json` in a run's folder. Such files make runs comparable whose detections
/// were made years or machines apart.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    images: usize,
    /// The seed of the draws.
    seed: u64,
    /// COCO's average precisions by name, as `ap50`.
    metrics: BTreeMap<String, Draws>,
}

/// One of COCO's average precisions, in 0 to 1.
#[derive(Debug, Serialize, Deserialize)]
struct Draws {
    value: f64,
    /// `null` where a draw has no object.
    resamples: Vec<Option<f64>>,
}

/// What one of COCO's average precisions, by its place among the 12, is on each draw of a part's images: as the run's
/// folder has it, otherwise from its detections, and kept there. `None` without either, or where there is nothing to
/// score.
pub(crate) fn resampled(folder: &Path, part: Part, metric: usize) -> Result<Option<Resampled>, Error> {
    let path = folder.join("resamples").join(format!("{}.json", part.name()));
    let kept = match read_if_there(&path)? {
        Some(text) => Some(
            serde_json::from_str::<Kept>(&text)
                .map_err(|error| Error::Parse { path: path.clone(), message: error.to_string() })?,
        ),
        None => None,
    };
    if let Some(Kept { images, seed, metrics }) = &kept
        && let Some(Draws { value, resamples }) = metrics.get(NUMBERS[metric])
    {
        let (value, resamples) = (*value, resamples.clone());
        return Ok(Some(Resampled { value, images: *images, seed: *seed, resamples }));
    }
    let Some(set) = detections(folder, part)? else { return Ok(None) };
    let matched = matched(&set.evaluator, metric);
    let drawn = thresholds(&matched, metric).and_then(|at| matched.resampled(at, RESAMPLES, DRAWS));
    if let Some(Resampled { value, images, seed, resamples }) = drawn.clone() {
        let mut metrics = kept.map(|kept| kept.metrics).unwrap_or_default();
        metrics.insert(NUMBERS[metric].into(), Draws { value, resamples });
        let text = serde_json::to_string(&Kept { images, seed, metrics }).expect("numbers and text");
        write_atomic(&path, format!("{text}\n").as_bytes())?;
    }
    Ok(drawn)
}
