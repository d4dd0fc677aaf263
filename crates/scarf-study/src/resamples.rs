//! What stands for a run's detections when they are gone: its AP on draws of the images they were made on.

use crate::Error;
use crate::analysis::{Part, detections, matched, thresholds, truth};
use crate::files::{read_if_there, write_atomic};
use crate::result::NUMBERS;
use crate::settings::hash;
use scarf_metrics::Resampled;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// How often images are drawn anew.
pub(crate) const RESAMPLES: usize = 1000;
/// The seed of those draws: the same images for every run.
pub(crate) const DRAWS: u64 = 0;

/// `resamples/test.json` or `resamples/val.json` in a run's folder. Such files make runs comparable whose detections
/// were made months or machines apart.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// The hash of what is on the images.
    truth: String,
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

/// A run on draws of images.
#[derive(Debug)]
pub(crate) struct Drawn {
    /// The hash of what is on the images: only runs that have it in common can be compared.
    pub(crate) truth: String,
    pub(crate) ap: Resampled,
}

impl Kept {
    fn get(&self, metric: usize) -> Option<Drawn> {
        let Draws { value, resamples } = self.metrics.get(NUMBERS[metric])?;
        let resamples = Some(resamples.clone()).filter(|all| (all.len(), self.seed) == (RESAMPLES, DRAWS))?;
        let ap = Resampled { value: *value, images: self.images, seed: self.seed, resamples };
        Some(Drawn { truth: self.truth.clone(), ap })
    }
}

/// What one of COCO's average precisions, by its place among the 12, is on each draw of a part's images: as the run's
/// folder has it, otherwise from its detections, and kept there. `None` without either, or where there is nothing to
/// score.
pub(crate) fn drawn(folder: &Path, part: Part, metric: usize) -> Result<Option<Drawn>, Error> {
    let path = folder.join("resamples").join(format!("{}.json", part.name()));
    let parsed = |text: String| {
        let parse =
            |error: serde_json::Error| Error::Parse { path: path.clone(), message: error.to_string() };
        serde_json::from_str::<Kept>(&text).map_err(parse)
    };
    let kept = read_if_there(&path)?.map(parsed).transpose()?;
    if let Some(drawn) = kept.as_ref().and_then(|kept| kept.get(metric)) {
        return Ok(Some(drawn));
    }
    let (Some(set), Some(text)) = (detections(folder, part)?, read_if_there(&truth(folder, part))?) else {
        return Ok(None);
    };
    let truth = hash(&text);
    let matched = matched(&set.evaluator, metric);
    let ap = thresholds(&matched, metric).and_then(|at| matched.resampled(at, RESAMPLES, DRAWS));
    let Some(ap) = ap else { return Ok(None) };
    let same = kept.filter(|kept| kept.truth == truth && kept.seed == ap.seed);
    let mut metrics = same.map(|kept| kept.metrics).unwrap_or_default();
    metrics.insert(NUMBERS[metric].into(), Draws { value: ap.value, resamples: ap.resamples.clone() });
    let drawn = Drawn { truth, ap };
    let kept = Kept { truth: drawn.truth.clone(), images: drawn.ap.images, seed: drawn.ap.seed, metrics };
    let text = serde_json::to_string(&kept).expect("numbers and text");
    write_atomic(&path, format!("{text}\n").as_bytes())?;
    Ok(Some(drawn))
}
