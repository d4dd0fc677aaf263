use scarf_core::BBox;

/// SSD's matcher (torchvision's `SSDMatcher`): for each anchor the object it answers for.
///
/// An anchor takes the object that it overlaps most if their IoU is at least `threshold`; and each
/// object takes the anchor that overlaps it most, whatever the IoU. Where two objects want the
/// same anchor the later one has it. `None` is background. Ties go to the earlier anchor or object.
pub fn match_anchors(anchors: &[BBox<f32>], objects: &[BBox<f32>], threshold: f32) -> Vec<Option<usize>> {
    let mut matched = vec![None; anchors.len()];
    let mut best_of_anchor = vec![0.0f32; anchors.len()];
    let mut forced = Vec::with_capacity(objects.len());
    for (index, object) in objects.iter().enumerate() {
        let mut best = (0, f32::NEG_INFINITY);
        for (at, anchor) in anchors.iter().enumerate() {
            let iou = anchor.iou(object);
            if iou > best.1 {
                best = (at, iou);
            }
            if iou >= threshold && iou > best_of_anchor[at] {
                best_of_anchor[at] = iou;
                matched[at] = Some(index);
            }
        }
        forced.push(best.0);
    }
    for (index, at) in forced.into_iter().enumerate() {
        if let Some(slot) = matched.get_mut(at) {
            *slot = Some(index);
        }
    }
    matched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_the_forced_and_the_later() {
        let anchors = [
            BBox::new(0.0, 0.0, 10.0, 10.0),
            BBox::new(0.0, 0.0, 10.0, 6.0),
            BBox::new(50.0, 50.0, 60.0, 60.0),
            BBox::new(80.0, 80.0, 90.0, 90.0),
        ];
        let whole = BBox::new(0.0, 0.0, 10.0, 10.0);
        let sliver = BBox::new(58.0, 58.0, 70.0, 70.0); // IoU .017 with the third: forced
        assert_eq!(match_anchors(&anchors, &[whole, sliver], 0.5), [Some(0), Some(0), Some(1), None]);
        let later = BBox::new(0.0, 0.0, 10.0, 9.9);
        assert_eq!(match_anchors(&anchors, &[whole, later], 0.5), [Some(1), Some(1), None, None]);
        assert_eq!(match_anchors(&anchors, &[], 0.5), [None; 4]);
        assert!(match_anchors(&[], &[whole], 0.5).is_empty());
    }
}
