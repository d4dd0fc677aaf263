//! Convolution, normalisation and activation as one.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use scarf_kernels::{Activation, ScaledConv, conv2d_scaled, conv2d_scaled_pair};

use super::conv::{Conv2d, Conv2dConfig};
use super::norm::{BatchNorm, NormConfig};
use crate::feature_map::FeatureMap;

/// The recipe of a [`ConvBlock`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvBlockConfig {
    /// The convolution; whether it has a bias is for `norm` to say.
    pub conv: Conv2dConfig,
    /// The normalisation.
    pub norm: NormConfig,
    /// The activation.
    pub activation: Activation,
}

impl ConvBlockConfig {
    /// `conv -> norm -> activation`.
    pub fn new(conv: Conv2dConfig, norm: NormConfig, activation: Activation) -> Self {
        Self { conv, norm, activation }
    }

    /// The layers, their weights drawn from `rng`.
    pub fn init(&self, device: &Device, rng: &mut ChaCha8Rng) -> ConvBlock {
        ConvBlock {
            conv: self.conv.with_bias(self.norm.wants_bias()).init(device, rng),
            norm: self.norm.init(self.conv.output, device),
            activation: self.activation,
        }
    }
}

/// `activation(norm(conv(x)))`; made by [`ConvBlockConfig::init`].
#[derive(Module, Debug)]
pub struct ConvBlock {
    /// The convolution: with a bias where there is no normalisation.
    pub conv: Conv2d,
    /// The normalisation, if any.
    pub norm: Option<BatchNorm>,
    /// The activation.
    #[module(skip)]
    pub activation: Activation,
}

impl ConvBlock {
    /// From `[batch, in, height, width]` to `[batch, out, height', width']`.
    pub fn forward<M: FeatureMap>(&self, x: M) -> M {
        x.conv_block(self)
    }

    /// With a normalisation by fixed statistics the whole block is one pass over the pixels.
    pub(crate) fn compute(&self, x: Tensor<4>) -> Tensor<4> {
        let Some(norm) = &self.norm else {
            return self.conv.compute(x, self.activation);
        };
        if norm.trains_on(&x) {
            return norm.forward(self.conv.compute(x, Activation::None), self.activation);
        }
        let [_, _, height, width] = x.dims();
        conv2d_scaled(x, self.scaled([height, width]))
    }

    /// This block and then `next`: out of training the kernels get to see them together.
    pub(crate) fn compute_with(&self, next: &Self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        if !x.device().is_autodiff()
            && let Some(between) = self.conv.output_size([height, width])
        {
            return conv2d_scaled_pair(x, self.scaled([height, width]), next.scaled(between));
        }
        next.compute(self.compute(x))
    }

    /// The block out of training, for pixels of so many rows and columns.
    fn scaled(&self, size: [usize; 2]) -> ScaledConv {
        let (scale, shift) = match &self.norm {
            Some(norm) => self.fixed(norm),
            None => {
                let (channels, device) = ([self.channels()], self.conv.weight.device());
                let bias = self.conv.bias.as_ref().map(Param::val);
                (Tensor::ones(channels, &device), bias.unwrap_or_else(|| Tensor::zeros(channels, &device)))
            }
        };
        let (geometry, activation) = (self.conv.geometry(size), self.activation);
        ScaledConv { weight: self.conv.weight.val(), scale, shift, geometry, activation }
    }

    /// The norm by running statistics as a scale and a shift, the convolution's bias taken in.
    fn fixed(&self, norm: &BatchNorm) -> (Tensor<1>, Tensor<1>) {
        let (scale, shift) = norm.fixed();
        let shift = match &self.conv.bias {
            Some(bias) => shift + bias.val() * scale.clone(),
            None => shift,
        };
        (scale, shift)
    }

    /// The block out of training as one convolution: its kernel `[out, in / groups, kernel, kernel]` and
    /// its bias `[out]`, the normalisation by running statistics multiplied in.
    pub fn folded(&self) -> (Tensor<4>, Option<Tensor<1>>) {
        let Some(norm) = &self.norm else {
            return (self.conv.weight.val(), self.conv.bias.as_ref().map(Param::val));
        };
        let (scale, shift) = self.fixed(norm);
        let channels = scale.dims()[0];
        (self.conv.weight.val() * scale.reshape([channels, 1, 1, 1]), Some(shift))
    }

    /// Channels of the output.
    pub fn channels(&self) -> usize {
        self.conv.weight.dims()[0]
    }
}
