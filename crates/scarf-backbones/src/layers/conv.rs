//! Convolution.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use scarf_kernels::{Activation, ConvGeometry};
use serde::{Deserialize, Serialize};

use super::init::{Fan, Initializer, constant};
use crate::feature_map::FeatureMap;

/// How many zeros stand around a convolution's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Padding {
    /// TensorFlow's SAME: outputs `ceil(size / stride)`, the odd zero at the bottom and right.
    Same,
    /// As many on each of the four sides, as PyTorch counts them.
    Symmetric(usize),
}

impl Padding {
    /// The zeros before and after one axis of `size` inputs.
    fn along(self, size: usize, kernel: usize, stride: usize, dilation: usize) -> [usize; 2] {
        match self {
            Self::Symmetric(zeros) => [zeros, zeros],
            Self::Same => {
                let reach = (size.div_ceil(stride).max(1) - 1) * stride + (kernel - 1) * dilation + 1;
                let total = reach.saturating_sub(size);
                [total / 2, total - total / 2]
            }
        }
    }
}

/// The recipe of a [`Conv2d`] with a square kernel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2dConfig {
    /// Channels of the input; a multiple of `groups`.
    pub input: usize,
    /// Channels of the output; a multiple of `groups`.
    pub output: usize,
    /// Rows and columns of the kernel, at least 1.
    pub kernel: usize,
    /// Rows and columns between two outputs, at least 1.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: Padding,
    /// Rows and columns between two taps, at least 1.
    pub dilation: usize,
    /// Channel groups, at least 1; as many as channels makes it depthwise.
    pub groups: usize,
    /// Whether a number is added to each output channel; it starts at 0.
    pub bias: bool,
    /// Where the initial weights come from.
    pub initializer: Initializer,
}

impl Conv2dConfig {
    /// A `kernel x kernel` convolution that keeps the size of odd kernels' inputs: stride 1,
    /// `kernel / 2` zeros on each side, one group, no bias, Kaiming-normal weights (fan out).
    pub fn new(input: usize, output: usize, kernel: usize) -> Self {
        Self {
            input,
            output,
            kernel,
            stride: 1,
            padding: Padding::Symmetric(kernel / 2),
            dilation: 1,
            groups: 1,
            bias: false,
            initializer: Initializer::KaimingNormal { fan: Fan::Out },
        }
    }

    /// A 3x3 convolution of each channel with itself alone.
    pub fn depthwise(channels: usize) -> Self {
        Self { groups: channels, ..Self::new(channels, channels, 3) }
    }

    /// With this stride.
    pub fn with_stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// With this padding.
    pub fn with_padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// With this dilation; the padding stays as it is.
    pub fn with_dilation(self, dilation: usize) -> Self {
        Self { dilation, ..self }
    }

    /// With or without a bias.
    pub fn with_bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// With initial weights from this distribution.
    pub fn with_initializer(self, initializer: Initializer) -> Self {
        Self { initializer, ..self }
    }

    /// The layer, its weights drawn from `rng`.
    ///
    /// # Panics
    /// If a number breaks its field's range: recipes are written by this project's own models.
    pub fn init(&self, device: &Device, rng: &mut ChaCha8Rng) -> Conv2d {
        assert!(self.kernel > 0 && self.stride > 0 && self.dilation > 0 && self.groups > 0, "{self:?}");
        assert!(
            self.input.is_multiple_of(self.groups) && self.output.is_multiple_of(self.groups),
            "{self:?}"
        );
        let shape = [self.output, self.input / self.groups, self.kernel, self.kernel];
        Conv2d {
            weight: self.initializer.conv_weight(shape, self.groups, device, rng),
            bias: self.bias.then(|| constant(0.0, self.output, device)),
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        }
    }
}

/// A two-dimensional convolution; made by [`Conv2dConfig::init`].
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out, in / groups, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Rows and columns between two outputs.
    pub stride: usize,
    /// Zeros around the input.
    #[module(skip)]
    pub padding: Padding,
    /// Rows and columns between two taps.
    pub dilation: usize,
    /// Channel groups.
    pub groups: usize,
}

impl Conv2d {
    /// `activation(conv(x))`: from `[batch, in, height, width]` to `[batch, out, height', width']`.
    pub fn forward<M: FeatureMap>(&self, x: M, activation: Activation) -> M {
        x.conv(self, activation)
    }

    pub(crate) fn compute(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        let bias = self.bias.as_ref().map(Param::val);
        let [_, _, height, width] = x.dims();
        scarf_kernels::conv2d(x, self.weight.val(), bias, self.geometry([height, width]), activation)
    }

    /// What is done to an input of so many rows and columns.
    pub fn geometry(&self, size: [usize; 2]) -> ConvGeometry {
        let [_, _, kernel_height, kernel_width] = self.weight.dims();
        let along = |size, kernel| self.padding.along(size, kernel, self.stride, self.dilation);
        ConvGeometry {
            stride: [self.stride; 2],
            padding: [along(size[0], kernel_height), along(size[1], kernel_width)],
            dilation: [self.dilation; 2],
            groups: self.groups,
        }
    }

    /// Rows and columns of the output for an input of so many. None where the kernel is larger than the padded input.
    pub(crate) fn output_size(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let (geometry, [_, _, height, width]) = (self.geometry(size), self.weight.dims());
        Some([geometry.output_len(0, size[0], height)?, geometry.output_len(1, size[1], width)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn same_padding_is_tensorflows() {
        // n, k, s -> before, after; worked from tf.nn.conv2d's documentation.
        let cases = [(224, 3, 2, [0, 1]), (225, 3, 2, [1, 1]), (19, 3, 1, [1, 1]), (5, 1, 2, [0, 0])];
        for (size, kernel, stride, expected) in cases {
            assert_eq!(Padding::Same.along(size, kernel, stride, 1), expected, "{size} {kernel} {stride}");
        }
        assert_eq!(Padding::Same.along(10, 3, 1, 6), [6, 6]);
        assert_eq!(Padding::Same.along(1, 3, 2, 1), [1, 1]);
    }

    #[test]
    fn same_padding_gives_the_ceiling_of_size_over_stride() {
        let device = Device::default();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let conv = Conv2dConfig::new(1, 2, 3).with_stride(2).with_padding(Padding::Same);
        let conv = conv.init(&device, &mut rng);
        for size in 1..9usize {
            let y = conv.forward(Tensor::ones([1, 1, size, size + 1], &device), Activation::None);
            assert_eq!(y.dims(), [1, 2, size.div_ceil(2), (size + 1).div_ceil(2)]);
        }
    }

    #[test]
    fn same_padding_puts_the_odd_zero_last() {
        let device = Device::default();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let config = Conv2dConfig::new(1, 1, 3).with_stride(2).with_padding(Padding::Same);
        let conv = config.with_initializer(Initializer::Constant(1.0)).init(&device, &mut rng);
        let x = Tensor::<4>::from_floats(
            [[[[1., 2., 3., 4.], [5., 6., 7., 8.], [9., 10., 11., 12.], [13., 14., 15., 16.]]]],
            &device,
        );
        let y: Vec<f32> = conv.forward(x, Activation::None).into_data().try_into_vec().unwrap();
        // The windows start at 0 and 2: full, cut at the right, cut below, cut at both.
        assert_eq!(y, [54.0, 45.0, 72.0, 54.0]);
    }
}
