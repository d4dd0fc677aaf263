//! Convolution, normalisation and activation as one.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use scarf_kernels::Activation;

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
        let (scale, shift) = self.fixed(norm);
        let [_, _, height, width] = x.dims();
        let geometry = self.conv.geometry([height, width]);
        scarf_kernels::conv2d_scaled(x, self.conv.weight.val(), scale, shift, geometry, self.activation)
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
