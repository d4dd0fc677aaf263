//! Batch normalisation.

use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::{Device, Tensor};
use scarf_kernels::{Activation, batch_norm_train, scale_shift};
use serde::{Deserialize, Serialize};

use super::init::constant;

/// What stands between a convolution and its activation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NormConfig {
    /// Nothing: the convolution has a bias instead. Batch normalisation folded into the weights
    /// ([`Weights::fold_norms`](crate::Weights::fold_norms)) has this form.
    None,
    /// Batch normalisation that is trained.
    Batch {
        /// Added to the variance under the root, in 0..=1.
        epsilon: f64,
        /// How much of the running statistics each batch replaces, in 0..=1 (PyTorch's convention).
        momentum: f64,
    },
    /// Batch normalisation by its running statistics, of which nothing is ever trained.
    Frozen {
        /// Added to the variance under the root, in 0..=1.
        epsilon: f64,
    },
}

impl NormConfig {
    /// PyTorch's defaults: epsilon 1e-5, momentum 0.1.
    pub const BATCH: Self = Self::Batch { epsilon: 1e-5, momentum: 0.1 };

    /// What is wrong with the numbers, if anything.
    pub fn check(&self) -> Result<(), String> {
        let epsilon = self.epsilon().unwrap_or(0.0);
        if !(0.0..=1.0).contains(&epsilon) {
            return Err(format!("epsilon {epsilon} is not in 0..=1"));
        }
        match *self {
            Self::Batch { momentum, .. } if !(0.0..=1.0).contains(&momentum) => {
                Err(format!("momentum {momentum} is not in 0..=1"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a convolution before it needs a bias of its own.
    pub fn wants_bias(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The epsilon, where there is a normalisation.
    pub fn epsilon(&self) -> Option<f64> {
        match *self {
            Self::None => None,
            Self::Batch { epsilon, .. } | Self::Frozen { epsilon } => Some(epsilon),
        }
    }

    /// The layer for `channels` channels: scale 1, shift 0, mean 0, variance 1.
    pub fn init(&self, channels: usize, device: &Device) -> Option<BatchNorm> {
        let (epsilon, momentum) = match *self {
            Self::None => return None,
            Self::Batch { epsilon, momentum } => (epsilon, momentum),
            Self::Frozen { epsilon } => (epsilon, 0.0),
        };
        let norm = BatchNorm {
            weight: constant(1.0, channels, device),
            bias: constant(0.0, channels, device),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
            training: Param::from_bool(true),
            epsilon,
            momentum,
        };
        Some(if matches!(self, Self::Frozen { .. }) { norm.freeze() } else { norm })
    }
}

/// Batch normalisation over batch, rows and columns (Ioffe and Szegedy 2015).
///
/// On a device with autodiff it normalises by the batch and moves its running statistics towards
/// it (the variance unbiased, as PyTorch's); elsewhere, and once frozen by [`Module::freeze`] or
/// [`freeze`](crate::freeze), it is a fixed scale and shift. Clones share their running
/// statistics until [`Module::valid`] or [`Module::train`] takes a copy.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// The scale of each channel, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// The shift of each channel, `[channels]`.
    pub bias: Param<Tensor<1>>,
    /// The mean that inference subtracts, `[channels]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// The variance that inference divides by, `[channels]`.
    pub running_var: RunningState<Tensor<1>>,
    /// Whether a batch's own statistics are used on a device with autodiff.
    pub training: Param<Flag>,
    /// Added to the variance under the root.
    pub epsilon: f64,
    /// How much of the running statistics each batch replaces.
    pub momentum: f64,
}

impl BatchNorm {
    /// Whether `x` would be normalised by its own statistics.
    pub fn trains_on(&self, x: &Tensor<4>) -> bool {
        x.device().is_autodiff() && self.training.is_enabled()
    }

    /// The fixed form: `scale` and `shift` of each channel, both `[channels]`, from the running
    /// statistics.
    pub fn fixed(&self) -> (Tensor<1>, Tensor<1>) {
        let (mean, variance) = (self.running_mean.value_sync(), self.running_var.value_sync());
        let scale = self.weight.val() / (variance + self.epsilon).sqrt();
        let shift = self.bias.val() - mean * scale.clone();
        (scale, shift)
    }

    /// `activation(norm(x))`, of `[batch, channels, height, width]`.
    pub fn forward(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        if self.trains_on(&x) {
            return self.forward_train(x, activation);
        }
        let (scale, shift) = self.fixed();
        scale_shift(x, scale, shift, activation)
    }

    fn forward_train(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        let [batch, _, height, width] = x.dims();
        let count = (batch * height * width) as f64;
        let (weight, bias) = (self.weight.val(), self.bias.val());
        let normed = batch_norm_train(x, weight, bias, self.epsilon, activation);
        self.advance(&self.running_mean, normed.mean);
        self.advance(&self.running_var, normed.variance * (count / (count - 1.0).max(1.0)));
        normed.output
    }

    fn advance(&self, running: &RunningState<Tensor<1>>, batch: Tensor<1>) {
        let kept = running.value_sync() * (1.0 - self.momentum);
        running.update((kept + batch * self.momentum).detach());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().try_into_vec().unwrap()
    }

    fn close(actual: &[f32], expected: &[f32]) {
        assert_eq!(actual.len(), expected.len());
        let worst = actual.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{actual:?} is not {expected:?}");
    }

    #[test]
    fn a_batch_moves_the_statistics_as_in_pytorch() {
        let device = Device::default().autodiff();
        let norm = NormConfig::Batch { epsilon: 1e-5, momentum: 0.1 }.init(1, &device).unwrap();
        let x = Tensor::<4>::from_floats([[[[1.0, 2.0], [3.0, 6.0]]]], &device);
        // Mean 3, variance 3.5 (biased), 14/3 (unbiased).
        let y = norm.forward(x, Activation::Relu);
        close(&values(y), &[0.0, 0.0, 0.0, 3.0 / 3.500_01f32.sqrt()]);
        close(&values(norm.running_mean.value_sync()), &[0.3]);
        close(&values(norm.running_var.value_sync()), &[0.9 + 0.1 * 14.0 / 3.0]);
    }

    #[test]
    fn frozen_statistics_stay_and_need_no_gradient() {
        let device = Device::default().autodiff();
        let norm = NormConfig::Frozen { epsilon: 1e-5 }.init(2, &device).unwrap();
        let x = Tensor::<4>::ones([3, 2, 2, 2], &device) * 5.0;
        let y = norm.forward(x, Activation::None);
        close(&values(y), &[5.0 / 1.000_01f32.sqrt(); 24]);
        close(&values(norm.running_mean.value_sync()), &[0.0, 0.0]);
        assert!(!norm.weight.is_require_grad() && !norm.train().bias.is_require_grad());
    }
}
