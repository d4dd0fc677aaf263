use crate::{BBox, Detection};

/// Greedy non-maximum suppression: indices of the boxes that stay, best score first.
///
/// A box goes when its IoU with a better one that stays exceeds `threshold`. Equal scores keep
/// the order given (torchvision's `ops.nms` leaves that order open).
pub fn nms(boxes: &[BBox<f32>], scores: &[f32], threshold: f32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut kept: Vec<usize> = Vec::new();
    for candidate in order {
        if kept.iter().all(|&k| boxes[k].iou(&boxes[candidate]) <= threshold) {
            kept.push(candidate);
        }
    }
    kept
}

/// [`nms`] within each class: the detections that stay, best score first.
pub fn class_wise_nms(detections: &[Detection], threshold: f32) -> Vec<Detection> {
    let mut sorted = detections.to_vec();
    sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for candidate in sorted {
        let suppressed = kept
            .iter()
            .any(|k| k.class == candidate.class && k.bbox.iou(&candidate.bbox) > threshold);
        if !suppressed {
            kept.push(candidate);
        }
    }
    kept
}
