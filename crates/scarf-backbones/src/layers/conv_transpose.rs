//! Transposed convolution.

use burn::module::{Module, Param};
use burn::tensor::ops::ConvTransposeOptions;
use burn::tensor::{Device, Tensor, TensorData, module::conv_transpose2d};
use rand_chacha::ChaCha8Rng;
use scarf_kernels::{like, single};

use super::init::{Initializer, constant};
use crate::feature_map::FeatureMap;

/// A 3x3 transposed convolution that doubles rows and columns (stride 2, padding 1, one more row and
/// column at the end), with a bias.
#[derive(Module, Debug)]
pub struct ConvTranspose2d {
    /// `[in, out, 3, 3]`.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl ConvTranspose2d {
    /// The layer, its weights drawn from `rng` as PyTorch draws them, the biases 0.
    pub fn new(input: usize, output: usize, device: &Device, rng: &mut ChaCha8Rng) -> Self {
        let evenly = Initializer::KaimingUniform { slope: 5.0f64.sqrt() };
        let weight = evenly.sample(input * output * 9, output * 9, input * 9, rng);
        Self {
            weight: Param::from_data(TensorData::new(weight, [input, output, 3, 3]), device),
            bias: constant(0.0, output, device),
        }
    }

    /// From `[batch, in, rows, columns]` to `[batch, out, 2 rows, 2 columns]`.
    pub fn forward<M: FeatureMap>(&self, x: M) -> M {
        x.conv_transpose(self)
    }

    pub(crate) fn compute(&self, x: Tensor<4>) -> Tensor<4> {
        let options = ConvTransposeOptions::new([2, 2], [1, 1], [1, 1], [1, 1], 1);
        // A GPU may sum thousands of channels in the maps' precision.
        let dtype = x.dtype();
        let x = single(x);
        let (weight, bias) = (like(self.weight.val(), &x), like(self.bias.val(), &x));
        conv_transpose2d(x, weight, Some(bias), options).cast(dtype)
    }
}
