use burn::tensor::Device;
use scarf_backbones::Backbone;
use scarf_core::{Detection, Size};
use scarf_heads::{Detector, Head, Neck};
use scarf_metrics::{CocoParams, CocoReport, EvalError, Evaluator, GroundTruth, Prediction};

use crate::batch::{Batch, Recipe, Samples, for_each_batch};

/// What a detector finds on each of the samples, in their order: best score first, in pixels of the
/// image as it lies on disk.
pub fn detect<B: Backbone, N: Neck, H: Head>(
    detector: &Detector<B, N, H>,
    samples: Samples<'_>,
    size: Size,
    batch: usize,
    device: &Device,
) -> Vec<Vec<Detection>> {
    let mut found = Vec::with_capacity(samples.indices.len());
    let recipe = Recipe { size, batch, augment: &[] };
    let done: Result<(), std::convert::Infallible> =
        for_each_batch(samples, recipe, samples.indices, 0, 0, |batch| {
            found.extend(on_disk(detector.detect(batch.images(device)), samples, &batch));
            Ok(())
        });
    let Ok(()) = done;
    found
}

/// What was found on a batch, in pixels of the images as they lie on disk.
pub(crate) fn on_disk(
    found: Vec<Vec<Detection>>,
    samples: Samples<'_>,
    batch: &Batch,
) -> impl Iterator<Item = Vec<Detection>> {
    found.into_iter().zip(&batch.indices).map(move |(detections, &index)| {
        let (from, to) = (batch.size, samples.set.samples[index].size);
        let (sx, sy) = (to.width as f32 / from.width as f32, to.height as f32 / from.height as f32);
        detections.into_iter().map(|d| Detection { bbox: d.bbox.scale(sx, sy), ..d }).collect()
    })
}

/// COCO's numbers of these detections, one list a sample.
///
/// # Errors
/// Where a label or a detection is none that can be scored.
pub fn score(samples: Samples<'_>, detections: &[Vec<Detection>]) -> Result<CocoReport, EvalError> {
    let mut evaluator = Evaluator::new(samples.set.classes.len(), CocoParams::default());
    for (&index, detections) in samples.indices.iter().zip(detections) {
        let truth: Vec<GroundTruth> =
            samples.set.samples[index].annotations.iter().map(GroundTruth::from).collect();
        let found: Vec<Prediction> = detections.iter().map(Prediction::from).collect();
        evaluator.add_image(&truth, &found)?;
    }
    Ok(evaluator.evaluate())
}
