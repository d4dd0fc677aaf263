//! A fully connected layer.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;

use super::init::Initializer;

/// `x weight' + bias`, its weight laid out as PyTorch's.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// From `input` to `output` numbers, weights and then biases drawn from `rng` as PyTorch draws
    /// them: evenly within `±1 / sqrt(input)`.
    pub fn new(input: usize, output: usize, device: &Device, rng: &mut ChaCha8Rng) -> Self {
        let evenly = Initializer::KaimingUniform { slope: 5.0f64.sqrt() };
        let weight = evenly.sample(output * input, input, output, rng);
        let bias = evenly.sample(output, input, output, rng);
        Self {
            weight: Param::from_data(TensorData::new(weight, [output, input]), device),
            bias: Param::from_data(TensorData::new(bias, [output]), device),
        }
    }

    /// From `[rows, in]` to `[rows, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        scarf_kernels::linear(x, self.weight.val(), self.bias.val())
    }
}
