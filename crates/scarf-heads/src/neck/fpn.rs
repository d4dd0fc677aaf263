use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::layers::{Activation, Conv2d, Conv2dConfig, Initializer, MaxPool2d};
use scarf_backbones::{FeatureMap, Level, Pyramid};
use serde::{Deserialize, Serialize};

use super::{InitNeck, Neck};
use crate::ConfigError;

/// What gives the level after the last: every second cell of it.
const SECOND: MaxPool2d = MaxPool2d { kernel: 1, stride: 2, padding: 0, ceil: false };

/// A feature pyramid network (Lin et al. 2017; torchvision's `FeaturePyramidNetwork`): each level gets
/// what the coarser ones know, and all get the same number of channels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FpnConfig {
    /// Of every level; at least 1.
    pub channels: usize,
    /// Whether one more level follows the last, every second cell of it (torchvision's
    /// `LastLevelMaxPool`).
    pub pool: bool,
}

impl Default for FpnConfig {
    /// torchvision's for Faster R-CNN.
    fn default() -> Self {
        Self { channels: 256, pool: true }
    }
}

impl InitNeck for FpnConfig {
    type Neck = Fpn;

    fn init(&self, levels: &[Level], device: &Device, rng: &mut ChaCha8Rng) -> Result<Fpn, ConfigError> {
        if self.channels == 0 {
            return Err(ConfigError::Range {
                key: "neck.fpn.channels",
                given: "0".into(),
                needed: "at least 1 channel is needed",
            });
        }
        let mut conv = |input, kernel| {
            Conv2dConfig::new(input, self.channels, kernel)
                .with_bias(true)
                .with_initializer(Initializer::KaimingUniform { slope: 1.0 })
                .init(device, rng)
        };
        let inner = levels.iter().map(|level| conv(level.channels, 1)).collect();
        let layer = levels.iter().map(|_| conv(self.channels, 3)).collect();
        let strides = levels.iter().map(|level| level.stride).collect();
        Ok(Fpn { inner, layer, strides, channels: self.channels, pool: self.pool })
    }
}

/// Made by [`FpnConfig`].
#[derive(Module, Debug)]
pub struct Fpn {
    /// 1x1, from each of the backbone's levels, finest first.
    pub inner: Vec<Conv2d>,
    /// 3x3, after the levels are added up.
    pub layer: Vec<Conv2d>,
    strides: Vec<usize>,
    channels: usize,
    pool: bool,
}

impl Neck for Fpn {
    fn levels(&self) -> Vec<Level> {
        let pool = self.strides.last().filter(|_| self.pool).map(|stride| stride * 2);
        let strides = self.strides.iter().copied().chain(pool);
        strides.map(|stride| Level { channels: self.channels, stride }).collect()
    }

    fn forward<M: FeatureMap>(&self, features: Pyramid<M>) -> Pyramid<M> {
        let mut maps = Vec::with_capacity(features.0.len() + 1);
        let mut coarser: Option<M> = None;
        for ((map, inner), layer) in features.0.into_iter().zip(&self.inner).zip(&self.layer).rev() {
            let mut sum = inner.forward(map, Activation::None);
            if let Some(coarser) = coarser {
                let [_, _, rows, columns] = sum.dims();
                sum = sum.plus(coarser.resize_nearest([rows, columns]), Activation::None);
            }
            maps.push(layer.forward(sum.clone(), Activation::None));
            coarser = Some(sum);
        }
        maps.reverse();
        if let Some(last) = maps.last().filter(|_| self.pool).cloned() {
            maps.push(last.max_pool(SECOND));
        }
        Pyramid(maps)
    }
}
