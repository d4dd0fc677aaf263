use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::layers::{Activation, Conv2dConfig, ConvBlock, ConvBlockConfig, NormConfig, Padding};
use scarf_backbones::{FeatureMap, Level, Pyramid};
use serde::{Deserialize, Serialize};

use super::{InitNeck, Neck};
use crate::ConfigError;

/// SSD's extra layers: the backbone's levels, and coarser ones grown from the last, each by a
/// 1x1 convolution to half its channels and a 3x3 one of stride 2 (TensorFlow's form: SAME
/// padding, ReLU6). SSDLite's (Sandler et al., 2018, section 6.2) does the 3x3 channel by channel,
/// and a 1x1 one after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SsdExtrasConfig {
    /// Channels of each extra level.
    pub channels: Vec<usize>,
    /// What follows each convolution.
    pub norm: NormConfig,
    /// SSDLite's form.
    pub lite: bool,
}

impl Default for SsdExtrasConfig {
    fn default() -> Self {
        Self { channels: vec![512, 256, 256, 128], norm: NormConfig::BATCH, lite: false }
    }
}

impl InitNeck for SsdExtrasConfig {
    type Neck = SsdExtras;

    fn init(
        &self,
        levels: &[Level],
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Result<SsdExtras, ConfigError> {
        let mut all = levels.to_vec();
        let mut extras = Vec::with_capacity(self.channels.len());
        for &channels in &self.channels {
            let from = *all.last().ok_or(ConfigError::Range {
                key: "backbone",
                given: "without levels".into(),
                needed: "the extra layers grow from at least one",
            })?;
            if channels < 2 {
                return Err(ConfigError::Range {
                    key: "neck.ssd_extras.channels",
                    given: channels.to_string(),
                    needed: "at least 2 channels a level are needed",
                });
            }
            let block = |conv| ConvBlockConfig::new(conv, self.norm, Activation::Relu6);
            let half = channels / 2;
            let coarser = |conv: Conv2dConfig| conv.with_stride(2).with_padding(Padding::Same);
            let squeeze = block(Conv2dConfig::new(from.channels, half, 1)).init(device, rng);
            let (dw, expand) = if self.lite {
                let dw = block(coarser(Conv2dConfig::depthwise(half))).init(device, rng);
                (Some(dw), Conv2dConfig::new(half, channels, 1))
            } else {
                (None, coarser(Conv2dConfig::new(half, channels, 3)))
            };
            extras.push(Extra { squeeze, dw, expand: block(expand).init(device, rng) });
            all.push(Level { channels, stride: from.stride * 2 });
        }
        Ok(SsdExtras { extras, backbone: levels.iter().map(|l| (l.channels, l.stride)).collect() })
    }
}

/// Made by [`SsdExtrasConfig`].
#[derive(Module, Debug)]
pub struct SsdExtras {
    /// From fine to coarse.
    pub extras: Vec<Extra>,
    #[module(skip)]
    backbone: Vec<(usize, usize)>,
}

/// One extra level.
#[derive(Module, Debug)]
pub struct Extra {
    /// 1x1, to half the channels.
    pub squeeze: ConvBlock,
    /// SSDLite: 3x3 of stride 2, each channel alone.
    pub dw: Option<ConvBlock>,
    /// 3x3 of stride 2; 1x1 in SSDLite.
    pub expand: ConvBlock,
}

impl Extra {
    fn forward<M: FeatureMap>(&self, x: M) -> M {
        let x = self.squeeze.forward(x);
        self.expand.forward(match &self.dw {
            Some(dw) => dw.forward(x),
            None => x,
        })
    }
}

impl Neck for SsdExtras {
    fn levels(&self) -> Vec<Level> {
        let mut levels: Vec<Level> =
            self.backbone.iter().map(|&(channels, stride)| Level { channels, stride }).collect();
        for extra in &self.extras {
            let stride = levels.last().map_or(1, |level| level.stride) * 2;
            levels.push(Level { channels: extra.expand.channels(), stride });
        }
        levels
    }

    fn forward<M: FeatureMap>(&self, features: Pyramid<M>) -> Pyramid<M> {
        let mut maps = features.0;
        for extra in &self.extras {
            let last = maps.last().expect("a backbone has at least one level").clone();
            maps.push(extra.forward(last));
        }
        Pyramid(maps)
    }
}
