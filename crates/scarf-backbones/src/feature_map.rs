//! The arithmetic of networks, apart from what carries it out.

use burn::module::Param;
use burn::tensor::Tensor;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use scarf_kernels::{Activation, activate, add, single};

use crate::layers::{BatchNorm, Conv2d, ConvBlock, ConvTranspose2d, MaxPool2d};

/// What flows through a network: `[batch, channels, rows, columns]` numbers.
///
/// A network's `forward` is written once, over this trait, and read in more ways than one: a tensor
/// computes it, another implementation may record it.
pub trait FeatureMap: Clone {
    /// `[batch, channels, rows, columns]`.
    fn dims(&self) -> [usize; 4];

    /// A convolution, then an activation.
    fn conv(self, layer: &Conv2d, activation: Activation) -> Self;

    /// A convolution with what follows it.
    fn conv_block(self, layer: &ConvBlock) -> Self;

    /// A convolution with what follows it, and another of the result.
    fn conv_blocks(self, first: &ConvBlock, second: &ConvBlock) -> Self {
        self.conv_block(first).conv_block(second)
    }

    /// A transposed convolution.
    fn conv_transpose(self, layer: &ConvTranspose2d) -> Self;

    /// A normalisation, then an activation.
    fn norm(self, layer: &BatchNorm, activation: Activation) -> Self;

    /// The largest of each window, per channel.
    fn max_pool(self, pool: MaxPool2d) -> Self;

    /// The mean over rows and columns: `[batch, channels, 1, 1]`.
    fn mean_pixel(self) -> Self;

    /// Element by element, then an activation.
    fn plus(self, other: Self, activation: Activation) -> Self;

    /// Element by element; of `gate` `[batch, channels, 1, 1]` one number goes for all rows and columns.
    fn times(self, gate: Self) -> Self;

    /// Element by element.
    fn activate(self, activation: Activation) -> Self;

    /// Each pixel's channels scaled to length 1, then by `scale` `[channels]` (ParseNet's, as SSD has it).
    fn unit_length(self, scale: &Param<Tensor<1>>) -> Self;

    /// To this many rows and columns, each the nearest one's copy (`floor(i * from / to)`).
    fn resize_nearest(self, size: [usize; 2]) -> Self;

    /// The first rows and columns, as many as there are in `size`.
    fn crop(self, size: [usize; 2]) -> Self;

    /// The channels of the first, then those of the next, and so on.
    fn cat_channels(maps: Vec<Self>) -> Self;
}

impl FeatureMap for Tensor<4> {
    fn dims(&self) -> [usize; 4] {
        Tensor::dims(self)
    }

    fn conv(self, layer: &Conv2d, activation: Activation) -> Self {
        layer.compute(self, activation)
    }

    fn conv_block(self, layer: &ConvBlock) -> Self {
        layer.compute(self)
    }

    fn conv_blocks(self, first: &ConvBlock, second: &ConvBlock) -> Self {
        first.compute_with(second, self)
    }

    fn conv_transpose(self, layer: &ConvTranspose2d) -> Self {
        layer.compute(self)
    }

    fn norm(self, layer: &BatchNorm, activation: Activation) -> Self {
        layer.forward(self, activation)
    }

    fn max_pool(self, pool: MaxPool2d) -> Self {
        pool.compute(self)
    }

    fn mean_pixel(self) -> Self {
        let dtype = self.dtype();
        single(self).mean_dim(3).mean_dim(2).cast(dtype)
    }

    fn plus(self, other: Self, activation: Activation) -> Self {
        add(self, other, activation)
    }

    fn times(self, gate: Self) -> Self {
        self * gate
    }

    fn activate(self, activation: Activation) -> Self {
        activate(self, activation)
    }

    fn unit_length(self, scale: &Param<Tensor<1>>) -> Self {
        let dtype = self.dtype();
        let x = single(self);
        // Under the root, so that the gradient at a pixel of zeros is finite.
        let length = (x.clone().square().sum_dim(1) + 1e-10).sqrt();
        let channels = scale.dims()[0];
        (x / length * scale.val().reshape([1, channels, 1, 1])).cast(dtype)
    }

    fn resize_nearest(self, size: [usize; 2]) -> Self {
        let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size);
        // Its gradient finds the cells by arithmetic in the maps' precision, in which there are none between 256 and 258.
        let dtype = self.dtype();
        interpolate(single(self), options).cast(dtype)
    }

    fn crop(self, [rows, columns]: [usize; 2]) -> Self {
        let [batch, channels, _, _] = self.dims();
        self.slice([0..batch, 0..channels, 0..rows, 0..columns])
    }

    fn cat_channels(maps: Vec<Self>) -> Self {
        Tensor::cat(maps, 1)
    }
}
