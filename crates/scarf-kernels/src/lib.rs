//! Convolution for detectors, on burn's backends: burn's own operations unless a faster kernel
//! of this crate fits the device.

use burn::tensor::Tensor;
use burn::tensor::module::conv2d as burn_conv2d;
use burn::tensor::ops::ConvOptions;

/// What follows a convolution or a normalisation in the same pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
}

/// The geometry of a two-dimensional convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Rows and columns between two outputs.
    pub stride: [usize; 2],
    /// Zeros around the input: `[[top, bottom], [left, right]]`.
    pub padding: [[usize; 2]; 2],
    /// Rows and columns between two taps of the kernel.
    pub dilation: [usize; 2],
    /// Channel groups; as many as channels makes it depthwise.
    pub groups: usize,
}

/// `activation(conv(x, weight) + bias)`.
///
/// `x` is `[batch, in, height, width]`, `weight` `[out, in / groups, kernel height, kernel width]`,
/// `bias` `[out]`; the result `[batch, out, height', width']` with PyTorch's floor rule.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    geometry: ConvGeometry,
    activation: Activation,
) -> Tensor<4> {
    let [[top, bottom], [left, right]] = geometry.padding;
    let (x, padding) = if top == bottom && left == right {
        (x, [top, left])
    } else {
        (x.pad((left, right, top, bottom), burn::tensor::ops::PadMode::Constant(0.0)), [0, 0])
    };
    let options = ConvOptions::new(geometry.stride, padding, geometry.dilation, geometry.groups);
    activate(burn_conv2d(x, weight, bias, options), activation)
}

/// The activation alone, elementwise.
pub fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::None => x,
        Activation::Relu => burn::tensor::activation::relu(x),
        Activation::Relu6 => x.clamp(0.0, 6.0),
    }
}
