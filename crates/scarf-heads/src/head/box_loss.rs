//! How far predicted boxes are from objects.

use burn::tensor::{Tensor, TensorData};
use scarf_core::BBox;
use serde::{Deserialize, Serialize};

use super::terms::smooth_l1;
use crate::{BoxCoder, ConfigError};

/// What is small where a box is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BoxLoss {
    /// Smooth L1 of the four offsets from the anchor: each head's own (SSD bends it at 1, Faster R-CNN at 1/9).
    #[default]
    SmoothL1,
    /// `weight * (1 - GIoU)` (Rezatofighi et al., 2019): what the scores of COCO ask for, whatever the size of the box.
    Giou {
        /// Above 0. A box that is off by half has a smooth L1 of about 1 to 4, and a `1 - GIoU` of about .5 to 1.
        weight: f32,
    },
}

/// An anchor or a proposal, and the object that it answers for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) anchor: BBox<f32>,
    pub(super) object: BBox<f32>,
}

impl BoxLoss {
    /// # Errors
    /// Where the weight is not above 0.
    pub(super) fn check(self, key: &'static str) -> Result<(), ConfigError> {
        match self {
            Self::Giou { weight } if !(weight > 0.0 && weight.is_finite()) => {
                let needed = "a weight above 0 is needed";
                Err(ConfigError::Range { key, given: weight.to_string(), needed })
            }
            _ => Ok(()),
        }
    }

    /// The distance of each pair's prediction, all of it of a row: `[pairs, 4]` or `[pairs, 1]`. `deltas` `[pairs, 4]`
    /// by `coder`, at least one; smooth L1 bends at `beta`.
    pub(super) fn distances(
        self,
        deltas: Tensor<2>,
        pairs: &[Pair],
        coder: &BoxCoder,
        beta: f32,
    ) -> Tensor<2> {
        match self {
            Self::SmoothL1 => {
                let wanted = rows(pairs, |pair| coder.encode(&pair.object, &pair.anchor), &deltas);
                smooth_l1(deltas - wanted, beta)
            }
            Self::Giou { weight } => (giou(deltas, pairs, coder).neg() + 1.0).mul_scalar(weight),
        }
    }
}

/// The generalised IoU of each prediction with its object, `[pairs, 1]`, in `-1..=1`.
fn giou(deltas: Tensor<2>, pairs: &[Pair], coder: &BoxCoder) -> Tensor<2> {
    let [wx, wy, ww, wh] = coder.weights;
    // [centre, move of a delta of 1] and [half the size], as `BoxCoder::decode` has them
    let center = rows(pairs, |pair| pair.anchor.center().into(), &deltas);
    let step = rows(pairs, |pair| [pair.anchor.width() / wx, pair.anchor.height() / wy], &deltas);
    let half = rows(pairs, |pair| [pair.anchor.width() / 2.0, pair.anchor.height() / 2.0], &deltas);
    let growth = Tensor::from_data(TensorData::from([[1.0 / ww, 1.0 / wh]]), &deltas.device());
    let center = deltas.clone().narrow(1, 0, 2) * step + center;
    let half = (deltas.clone().narrow(1, 2, 2) * growth).clamp_max(BoxCoder::LARGEST).exp() * half;
    let (low, high) = (center.clone() - half.clone(), center + half.clone());
    let object_low = rows(pairs, |pair| [pair.object.x1, pair.object.y1], &deltas);
    let object_high = rows(pairs, |pair| [pair.object.x2, pair.object.y2], &deltas);
    let object_area = rows(pairs, |pair| [pair.object.area()], &deltas);

    let shared = high.clone().min_pair(object_high.clone()) - low.clone().max_pair(object_low.clone());
    let shared = area(shared.clamp_min(0.0));
    let hull = area(high.max_pair(object_high) - low.min_pair(object_low));
    let either = area(half).mul_scalar(4.0) + object_area - shared.clone();
    // IoU - (hull - either) / hull
    shared / either.clone() + either / hull - 1.0
}

/// Width times height, `[rows, 2]` to `[rows, 1]`.
fn area(sides: Tensor<2>) -> Tensor<2> {
    sides.clone().narrow(1, 0, 1) * sides.narrow(1, 1, 1)
}

/// Some numbers of each pair.
fn rows<const N: usize>(pairs: &[Pair], of: impl Fn(&Pair) -> [f32; N], like: &Tensor<2>) -> Tensor<2> {
    let values: Vec<f32> = pairs.iter().flat_map(of).collect();
    Tensor::from_data(TensorData::new(values, [pairs.len(), N]), &like.device())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use proptest::prelude::*;

    use super::*;

    fn any_box() -> impl Strategy<Value = BBox<f32>> {
        (0.0..90.0f32, 0.0..90.0f32, 4.0..60.0f32, 4.0..60.0f32)
            .prop_map(|(x, y, w, h)| BBox::from_xywh(x, y, w, h))
    }

    /// From the definition, box by box.
    fn slow(a: &BBox<f32>, b: &BBox<f32>) -> f32 {
        let hull = BBox::new(a.x1.min(b.x1), a.y1.min(b.y1), a.x2.max(b.x2), a.y2.max(b.y2));
        let shared = (a.x2.min(b.x2) - a.x1.max(b.x1)).max(0.0) * (a.y2.min(b.y2) - a.y1.max(b.y1)).max(0.0);
        let either = a.area() + b.area() - shared;
        shared / either - (hull.area() - either) / hull.area()
    }

    proptest! {
        #[test]
        fn as_defined(boxes in prop::collection::vec((any_box(), any_box(), any_box()), 1..8)) {
            let device = Device::default();
            let pairs: Vec<_> = boxes.iter().map(|&(anchor, object, _)| Pair { anchor, object }).collect();
            let coder = BoxCoder::SSD;
            let deltas: Vec<f32> = boxes.iter().flat_map(|(anchor, _, said)| coder.encode(said, anchor)).collect();
            let deltas = Tensor::<2>::from_data(TensorData::new(deltas, [boxes.len(), 4]), &device);
            let found: Vec<f32> = giou(deltas, &pairs, &coder).into_data().try_into_vec().unwrap();
            for (found, (_, object, said)) in found.iter().zip(&boxes) {
                prop_assert!((found - slow(said, object)).abs() < 1e-3, "{found} {said:?} {object:?}");
            }
        }
    }

    #[test]
    fn a_box_that_is_right_has_no_loss_and_one_far_off_has_nearly_two() {
        let at = |x| BBox::new(x, 0.0, x + 10.0, 10.0);
        let pairs = [at(0.0), at(1000.0)].map(|object| Pair { anchor: at(0.0), object });
        let deltas = Tensor::<2>::zeros([2, 4], &Device::default());
        let loss = BoxLoss::Giou { weight: 3.0 }.distances(deltas, &pairs, &BoxCoder::UNIT, 1.0);
        let loss: Vec<f32> = loss.into_data().try_into_vec().unwrap();
        assert!(loss[0].abs() < 1e-6 && (loss[1] - 3.0 * (2.0 - 20.0 / 1010.0)).abs() < 1e-4, "{loss:?}");
        assert!(BoxLoss::Giou { weight: 0.0 }.check("head.ssd.box_loss").is_err());
    }
}
