use crate::{BBox, Detection, kept::Kept};

/// Greedy non-maximum suppression: indices of the boxes that stay, best score first.
///
/// A box goes when its IoU with a better one that stays exceeds `threshold`. Equal scores keep the
/// order given, and NaN is the highest score. The list is that of torchvision's `ops.nms` to the
/// last index: IoU is computed in `f32` and compared in `f64`, so pass the threshold as `f64` where
/// it must be the same number (`.3_f32` is more than `.3`). Boxes that are empty, inside out or not
/// finite meet no other.
///
/// Boxes beyond the shorter of the two slices are not looked at.
pub fn nms(boxes: &[BBox<f32>], scores: &[f32], threshold: impl Into<f64>) -> Vec<usize> {
    let mut kept = Vec::new();
    nms_into(boxes, scores, threshold, &mut kept);
    kept
}

/// [`nms`] into a list of the caller's, which is cleared first.
pub fn nms_into(boxes: &[BBox<f32>], scores: &[f32], threshold: impl Into<f64>, kept: &mut Vec<usize>) {
    kept.clear();
    let order = best_first(boxes.iter().zip(scores).map(|(_, &score)| score));
    suppress(&order, |index| boxes[index], threshold.into(), |index| kept.push(index));
}

/// [`nms`] within each class: the detections that stay, best score first.
pub fn class_wise_nms(detections: &[Detection], threshold: impl Into<f64>) -> Vec<Detection> {
    let threshold = threshold.into();
    let order = best_first(detections.iter().map(|d| d.score));
    let mut by_class = order.clone();
    by_class.sort_by_key(|&index| detections[index as usize].class);
    let mut stays = vec![false; detections.len()];
    for class in by_class.chunk_by(|&a, &b| detections[a as usize].class == detections[b as usize].class) {
        suppress(class, |index| detections[index].bbox, threshold, |index| stays[index] = true);
    }
    order.into_iter().map(|index| index as usize).filter(|&i| stays[i]).map(|i| detections[i]).collect()
}

/// Shows `keep` the indices that stay, of `order`, best first.
fn suppress(order: &[u32], bbox: impl Fn(usize) -> BBox<f32>, threshold: f64, mut keep: impl FnMut(usize)) {
    let mut kept = Kept::new(order.iter().map(|&index| bbox(index as usize)), threshold);
    for &index in order {
        if kept.admits(bbox(index as usize)) {
            keep(index as usize);
        }
    }
}

/// Indices from the highest score to the lowest; equal ones (0 and -0 among them) in the order given.
fn best_first(scores: impl Iterator<Item = f32>) -> Vec<u32> {
    let key = |score: f32| {
        let bits = (score + 0.0).to_bits();
        let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        if score.is_nan() { 0 } else { !ascending }
    };
    let mut keys: Vec<u64> =
        scores.zip(0u64..).map(|(score, index)| u64::from(key(score)) << 32 | index).collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| key as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// torchvision's loop, with its double threshold.
    fn slow(boxes: &[BBox<f32>], scores: &[f32], threshold: f64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..boxes.len()).collect();
        order.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).unwrap());
        let area = |b: &BBox<f32>| (b.x2 - b.x1) * (b.y2 - b.y1);
        let mut kept: Vec<usize> = Vec::new();
        for candidate in order {
            let c = &boxes[candidate];
            let free = |&k: &usize| {
                let k = &boxes[k];
                let shared =
                    (k.x2.min(c.x2) - k.x1.max(c.x1)).max(0.0) * (k.y2.min(c.y2) - k.y1.max(c.y1)).max(0.0);
                let iou = shared / (area(k) + area(c) - shared);
                f64::from(iou) <= threshold || iou.is_nan()
            };
            if kept.iter().all(free) {
                kept.push(candidate);
            }
        }
        kept
    }

    fn any_box() -> impl Strategy<Value = BBox<f32>> {
        let fine = (0f32..200.0, 0f32..200.0, -2f32..60.0, 0.01f32..60.0);
        let coarse = (0..20i8, 0..20i8, 0..6i8, 1..6i8).prop_map(|(x, y, w, h)| {
            (f32::from(x) * 10.0, f32::from(y) * 10.0, f32::from(w) * 10.0, f32::from(h) * 10.0)
        });
        let odd = prop_oneof![
            Just((0.0, 0.0, f32::INFINITY, 5.0)),
            Just((-1e30, -1e30, 1e30, 1e30)),
            Just((5.0, 5.0, 1e-20, 1e-20)),
            Just((3e6, 3e6, 0.5, 3.0)),
        ];
        prop_oneof![10 => fine, 10 => coarse, 1 => odd].prop_map(|(x, y, w, h)| BBox::from_xywh(x, y, w, h))
    }

    proptest! {
        #[test]
        fn the_kept_list_is_the_slow_one(
            rows in prop::collection::vec((any_box(), 0..20u8), 0..200),
            threshold in prop_oneof![Just(0.0), Just(1.0), Just(1.0 / 3.0), Just(0.5), Just(0.7), 0.0..1.0f64, Just(-0.5)],
        ) {
            let (boxes, scores): (Vec<_>, Vec<_>) = rows.into_iter().map(|(b, s)| (b, f32::from(s) / 20.0)).unzip();
            prop_assert_eq!(nms(&boxes, &scores, threshold), slow(&boxes, &scores, threshold));
        }

        #[test]
        fn classes_do_not_meet(rows in prop::collection::vec((any_box(), 0..3usize, 0..20u8), 0..60)) {
            let detections: Vec<Detection> = rows
                .into_iter()
                .map(|(bbox, class, score)| Detection { bbox, class, score: f32::from(score) })
                .collect();
            let together = class_wise_nms(&detections, 0.5);
            prop_assert!(together.windows(2).all(|w| w[0].score >= w[1].score));
            for class in 0..3 {
                let own: Vec<Detection> = detections.iter().filter(|d| d.class == class).copied().collect();
                let (boxes, scores): (Vec<_>, Vec<_>) = own.iter().map(|d| (d.bbox, d.score)).unzip();
                let alone: Vec<Detection> = nms(&boxes, &scores, 0.5).into_iter().map(|i| own[i]).collect();
                let of_class: Vec<Detection> = together.iter().filter(|d| d.class == class).copied().collect();
                prop_assert_eq!(of_class, alone);
            }
        }
    }

    #[test]
    fn order_of_scores() {
        let order = best_first([0.5, -0.0, f32::NAN, 0.0, -1.0, 0.5, f32::INFINITY].into_iter());
        assert_eq!(order, [2, 6, 0, 5, 1, 3, 4]);
    }
}
