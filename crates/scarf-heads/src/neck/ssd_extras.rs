use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::layers::{
    Activation, Conv2dConfig, ConvBlock, ConvBlockConfig, Fan, Initializer, NormConfig, Padding,
};
use scarf_backbones::{FeatureMap, Level, Pyramid};
use serde::{Deserialize, Serialize};

use super::{InitNeck, Neck};
use crate::{ConfigError, error};

/// SSD's extra layers: the backbone's levels, and coarser ones grown from the last, each by a
/// 1x1 convolution to fewer channels and one of `steps`. SSDLite's (Sandler et al., 2018, section
/// 6.2) does the latter channel by channel, and a 1x1 one after it.
///
/// The defaults are TensorFlow's form; the fields tell torchvision's, GluonCV's and MXNet's apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SsdExtrasConfig {
    /// Channels of each extra level.
    pub channels: Vec<usize>,
    /// Channels between the two convolutions, one a level; half of the level's where the list is empty.
    pub squeeze: Vec<usize>,
    /// The convolutions that make a level coarser, one a level; the default for each where the list is empty.
    pub steps: Vec<Step>,
    /// What follows each convolution.
    pub norm: NormConfig,
    /// What follows that.
    pub activation: Rectifier,
    /// SSDLite's form.
    pub lite: bool,
    /// Where the initial weights come from.
    pub initializer: Initializer,
}

/// The convolution that makes a level of [`SsdExtrasConfig`] coarser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// Rows and columns of its kernel.
    pub kernel: usize,
    /// Rows and columns between two of its outputs.
    pub stride: usize,
    /// Zeros around its input.
    pub padding: Padding,
}

impl Default for Step {
    fn default() -> Self {
        Self { kernel: 3, stride: 2, padding: Padding::Same }
    }
}

/// What cuts numbers below 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rectifier {
    /// And those above 6.
    #[default]
    Relu6,
    /// Those alone.
    Relu,
}

impl From<Rectifier> for Activation {
    fn from(rectifier: Rectifier) -> Self {
        match rectifier {
            Rectifier::Relu6 => Self::Relu6,
            Rectifier::Relu => Self::Relu,
        }
    }
}

impl Default for SsdExtrasConfig {
    fn default() -> Self {
        Self {
            channels: vec![512, 256, 256, 128],
            squeeze: Vec::new(),
            steps: Vec::new(),
            norm: NormConfig::BATCH,
            activation: Rectifier::Relu6,
            lite: false,
            initializer: Initializer::KaimingNormal { fan: Fan::Out },
        }
    }
}

impl SsdExtrasConfig {
    /// Channels, channels between, and step of each level.
    fn plan(&self) -> Result<Vec<(usize, usize, Step)>, ConfigError> {
        let levels = self.channels.len();
        let lists =
            [("neck.ssd_extras.squeeze", self.squeeze.len()), ("neck.ssd_extras.steps", self.steps.len())];
        if let Some(&(key, given)) = lists.iter().find(|(_, given)| ![0, levels].contains(given)) {
            return Err(ConfigError::Levels { key, given, levels });
        }
        let plan = self.channels.iter().enumerate().map(|(at, &channels)| {
            let between = self.squeeze.get(at).copied().unwrap_or(channels / 2);
            let step = self.steps.get(at).copied().unwrap_or_default();
            let range =
                |key, given: usize, needed| Err(ConfigError::Range { key, given: given.to_string(), needed });
            if channels < 2 {
                return range("neck.ssd_extras.channels", channels, "at least 2 channels a level are needed");
            }
            if between < 1 {
                return range("neck.ssd_extras.squeeze", between, "at least 1 channel is needed");
            }
            if !(1..=15).contains(&step.kernel) {
                return range("neck.ssd_extras.steps.kernel", step.kernel, "1 to 15 rows are needed");
            }
            if !(1..=8).contains(&step.stride) {
                return range("neck.ssd_extras.steps.stride", step.stride, "1 to 8 rows are needed");
            }
            Ok((channels, between, step))
        });
        plan.collect()
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
        error::norm("neck.ssd_extras.norm", &self.norm)?;
        let mut all = levels.to_vec();
        let mut extras = Vec::with_capacity(self.channels.len());
        for (channels, between, step) in self.plan()? {
            let from = *all.last().ok_or(ConfigError::Range {
                key: "backbone",
                given: "without levels".into(),
                needed: "the extra layers grow from at least one",
            })?;
            let mut block = |conv: Conv2dConfig| {
                let conv = conv.with_initializer(self.initializer);
                ConvBlockConfig::new(conv, self.norm, self.activation.into()).init(device, rng)
            };
            let coarser = |conv: Conv2dConfig| conv.with_stride(step.stride).with_padding(step.padding);
            let squeeze = block(Conv2dConfig::new(from.channels, between, 1));
            let (dw, expand) = if self.lite {
                let depthwise =
                    Conv2dConfig { groups: between, ..Conv2dConfig::new(between, between, step.kernel) };
                (Some(block(coarser(depthwise))), Conv2dConfig::new(between, channels, 1))
            } else {
                (None, coarser(Conv2dConfig::new(between, channels, step.kernel)))
            };
            extras.push(Extra { squeeze, dw, expand: block(expand) });
            all.push(Level { channels, stride: from.stride * step.stride });
        }
        Ok(SsdExtras { extras, levels: all })
    }

    fn check_size(&self, levels: &[Level], size: usize) -> Result<(), ConfigError> {
        let stride = levels.last().map_or(1, |level| level.stride);
        let mut cells = size.div_ceil(stride);
        for (_, _, step) in self.plan()? {
            cells = match step.padding {
                Padding::Same => cells.div_ceil(step.stride),
                Padding::Symmetric(zeros) if cells + 2 * zeros >= step.kernel => {
                    (cells + 2 * zeros - step.kernel) / step.stride + 1
                }
                Padding::Symmetric(_) => {
                    return Err(ConfigError::Range {
                        key: "model.size",
                        given: size.to_string(),
                        needed: "an extra layer's kernel does not fit into the map before it: a larger image, \
                                 fewer levels or padding are needed",
                    });
                }
            };
        }
        Ok(())
    }
}

/// Made by [`SsdExtrasConfig`].
#[derive(Module, Debug)]
pub struct SsdExtras {
    /// From fine to coarse.
    pub extras: Vec<Extra>,
    #[module(skip)]
    levels: Vec<Level>,
}

/// One extra level.
#[derive(Module, Debug)]
pub struct Extra {
    /// 1x1, to fewer channels.
    pub squeeze: ConvBlock,
    /// SSDLite: the coarser one, each channel alone.
    pub dw: Option<ConvBlock>,
    /// The coarser one; 1x1 in SSDLite.
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
        self.levels.clone()
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
