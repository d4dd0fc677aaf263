//! The terms that losses are made of.

use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Int, Tensor, TensorData};

/// Half the square over `beta` below it, the distance less half of `beta` above, elementwise
/// (Girshick 2015).
pub(super) fn smooth_l1<const D: usize>(difference: Tensor<D>, beta: f32) -> Tensor<D> {
    let distance = difference.abs();
    let near = distance.clone().clamp_max(beta);
    // near²/(2 beta) + (distance - near): one expression for both sides, so no branch enters the graph
    (near.clone() * near.clone()).mul_scalar(0.5 / beta) + (distance - near)
}

/// The cross entropy of each logit with 0 or 1.
pub(super) fn binary_cross_entropy(logits: Tensor<1>, labels: Tensor<1>) -> Tensor<1> {
    // -log(1 - sigmoid(x)) is -log(sigmoid(x)) + x.
    log_sigmoid(logits.clone()).neg() + logits * (labels.neg() + 1.0)
}

/// The rows of these numbers, in their order.
pub(super) fn rows(indices: &[usize], like: &Tensor<2>) -> Tensor<1, Int> {
    let indices: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
    let count = indices.len();
    Tensor::from_data(TensorData::new(indices, [count]), &like.device())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_two_sides_of_beta() {
        let x = Tensor::<1>::from_floats([0.0, 0.5, -1.0, 3.0], &Device::default());
        let y: Vec<f32> = smooth_l1(x, 2.0).into_data().try_into_vec().unwrap();
        assert_eq!(y, [0.0, 0.0625, 0.25, 2.0]);
    }

    #[test]
    fn the_entropy_of_sure_and_unsure_logits() {
        let device = Device::default();
        let logits = Tensor::<1>::from_floats([0.0, 2.0, 2.0, -40.0, -40.0], &device);
        let labels = Tensor::<1>::from_floats([1.0, 1.0, 0.0, 0.0, 1.0], &device);
        let y: Vec<f32> = binary_cross_entropy(logits, labels).into_data().try_into_vec().unwrap();
        let expected =
            [2.0f32.ln(), (1.0 + (-2.0f32).exp()).ln(), 2.0 + (1.0 + (-2.0f32).exp()).ln(), 0.0, 40.0];
        for (y, expected) in y.iter().zip(expected) {
            assert!((y - expected).abs() < 1e-5, "{y} {expected}");
        }
    }
}
