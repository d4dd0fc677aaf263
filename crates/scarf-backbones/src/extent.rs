//! Networks without numbers.

use burn::module::Param;
use burn::tensor::Tensor;

use crate::feature_map::FeatureMap;
use crate::layers::{Activation, BatchNorm, Conv2d, ConvBlock, ConvTranspose2d, MaxPool2d};

/// `[batch, channels, rows, columns]` of a map and nothing else: what flows through a network that is
/// asked for the sizes of its maps. A kernel that does not fit leaves 0 rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent(pub [usize; 4]);

impl FeatureMap for Extent {
    fn dims(&self) -> [usize; 4] {
        self.0
    }

    fn conv(self, layer: &Conv2d, _activation: Activation) -> Self {
        let [batch, _, rows, columns] = self.0;
        let [output, _, kernel_rows, kernel_columns] = layer.weight.dims();
        let geometry = layer.geometry([rows, columns]);
        let along = |axis, size, kernel| geometry.output_len(axis, size, kernel).unwrap_or(0);
        Self([batch, output, along(0, rows, kernel_rows), along(1, columns, kernel_columns)])
    }

    fn conv_block(self, layer: &ConvBlock) -> Self {
        self.conv(&layer.conv, layer.activation)
    }

    fn conv_transpose(self, layer: &ConvTranspose2d) -> Self {
        let [batch, _, rows, columns] = self.0;
        Self([batch, layer.weight.dims()[1], 2 * rows, 2 * columns])
    }

    fn norm(self, _layer: &BatchNorm, _activation: Activation) -> Self {
        self
    }

    fn max_pool(self, pool: MaxPool2d) -> Self {
        let [batch, channels, rows, columns] = self.0;
        Self([batch, channels, pool.output_len(rows), pool.output_len(columns)])
    }

    fn mean_pixel(self) -> Self {
        let [batch, channels, ..] = self.0;
        Self([batch, channels, 1, 1])
    }

    fn plus(self, _other: Self, _activation: Activation) -> Self {
        self
    }

    fn times(self, _gate: Self) -> Self {
        self
    }

    fn activate(self, _activation: Activation) -> Self {
        self
    }

    fn unit_length(self, _scale: &Param<Tensor<1>>) -> Self {
        self
    }

    fn resize_nearest(self, size: [usize; 2]) -> Self {
        let [batch, channels, ..] = self.0;
        Self([batch, channels, size[0], size[1]])
    }

    fn crop(self, [rows, columns]: [usize; 2]) -> Self {
        let [batch, channels, ..] = self.0;
        Self([batch, channels, rows, columns])
    }

    fn cat_channels(maps: Vec<Self>) -> Self {
        let channels = maps.iter().map(|map| map.0[1]).sum();
        maps.first()
            .map_or(Self([0; 4]), |&Self([batch, _, rows, columns])| Self([batch, channels, rows, columns]))
    }
}
