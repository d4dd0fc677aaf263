use scarf_core::Detection;
use scarf_metrics::{CocoParams, CocoReport, EvalError, Evaluator, GroundTruth, Prediction};

use crate::batch::Samples;

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
