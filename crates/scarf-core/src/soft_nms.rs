use crate::BBox;

/// How soft-NMS lowers the score of a box that a better one overlaps with IoU `u`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// By `1 - u` where `u` exceeds the threshold, not at all below it.
    Linear {
        /// IoU in `0..=1`, .3 in the paper.
        threshold: f32,
    },
    /// By `exp(-u^2 / sigma)`, everywhere.
    Gaussian {
        /// Above 0, .5 in the paper.
        sigma: f32,
    },
}

/// Soft non-maximum suppression (Bodla et al. 2017): boxes keep their place in the list and lose score.
///
/// Gives `(index, new score)`, best new score first; of equal ones the first given. Boxes whose score
/// falls below `min_score` go. NaN scores go at once. Takes time with the square of the boxes.
pub fn soft_nms(boxes: &[BBox<f32>], scores: &[f32], decay: Decay, min_score: f32) -> Vec<(usize, f32)> {
    let mut open: Vec<(usize, f32)> = scores.iter().copied().enumerate().take(boxes.len()).collect();
    let mut kept = Vec::new();
    loop {
        open.retain(|row| row.1 >= min_score);
        let best = open.iter().enumerate().reduce(|best, row| if row.1.1 > best.1.1 { row } else { best });
        let Some((at, &(index, score))) = best else {
            return kept;
        };
        kept.push((index, score));
        open.remove(at);
        for row in &mut open {
            row.1 *= factor(boxes[index].iou(&boxes[row.0]), decay);
        }
    }
}

fn factor(iou: f32, decay: Decay) -> f32 {
    match decay {
        Decay::Linear { threshold } if iou > threshold => 1.0 - iou,
        Decay::Linear { .. } => 1.0,
        Decay::Gaussian { sigma } => (-iou * iou / sigma).exp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        // the second shares a third with the first, the third touches neither
        let boxes =
            [BBox::new(0.0, 0.0, 2.0, 1.0), BBox::new(1.0, 0.0, 3.0, 1.0), BBox::new(9.0, 9.0, 10.0, 10.0)];
        let scores = [0.9, 0.8, 0.6];
        let linear = soft_nms(&boxes, &scores, Decay::Linear { threshold: 0.3 }, 0.0);
        assert_eq!(linear.iter().map(|k| k.0).collect::<Vec<_>>(), [0, 2, 1]);
        assert!((linear[2].1 - 0.8 * 2.0 / 3.0).abs() < 1e-6);
        let gaussian = soft_nms(&boxes, &scores, Decay::Gaussian { sigma: 0.5 }, 0.0);
        assert!((gaussian[1].1 - 0.8 * (-2.0f32 / 9.0).exp()).abs() < 1e-6);
        assert_eq!(soft_nms(&boxes, &scores, Decay::Linear { threshold: 0.5 }, 0.0).len(), 3);
        assert_eq!(soft_nms(&boxes, &scores, Decay::Linear { threshold: 0.3 }, 0.55).len(), 2);
        assert_eq!(soft_nms(&boxes, &[f32::NAN; 3], Decay::Gaussian { sigma: 0.5 }, 0.0), []);
    }
}
