use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::layers::{
    Activation, BatchNorm, Conv2dConfig, ConvBlock, ConvTranspose2d, Initializer, MaxPool2d, NormConfig,
};
use scarf_backbones::{FeatureMap, Level, Pyramid};
use serde::{Deserialize, Serialize};

use super::{InitNeck, Neck};
use crate::{ConfigError, error};

/// Half as many rows and columns. A cut last window counts, so that the sizes fit those of stride 2.
const HALVE: MaxPool2d = MaxPool2d { kernel: 2, stride: 2, padding: 0, ceil: true };

/// The multilevel feature fusion network of DDN (He et al. 2020; the `MFN` of
/// `sagemaker-defect-detection`): the four stages of a ResNet, brought to the size of the third and
/// put side by side as one map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MfnConfig {
    /// What follows each convolution.
    pub norm: NormConfig,
}

impl Default for MfnConfig {
    fn default() -> Self {
        Self { norm: NormConfig::BATCH }
    }
}

impl InitNeck for MfnConfig {
    type Neck = Mfn;

    fn init(&self, levels: &[Level], device: &Device, rng: &mut ChaCha8Rng) -> Result<Mfn, ConfigError> {
        error::norm("neck.mfn.norm", &self.norm)?;
        let halve = levels.windows(2).all(|pair| pair[1].stride == 2 * pair[0].stride);
        let (&[second, third, fourth, fifth], true) = (levels, halve) else {
            return Err(ConfigError::Range {
                key: "neck.mfn",
                given: format!("on strides {:?}", levels.iter().map(|l| l.stride).collect::<Vec<_>>()),
                needed: "four levels that each halve the one before are needed: all four stages of a ResNet",
            });
        };
        // Every branch brings as many channels as the second stage of the network doubled.
        let each = 2 * second.channels;
        let mut block = |input, output, kernel, stride| {
            // With a bias, though a normalisation follows: the original's parameters, to the last.
            let conv = Conv2dConfig::new(input, output, kernel)
                .with_stride(stride)
                .with_bias(true)
                .with_initializer(Initializer::XavierNormal);
            let (conv, norm) = (conv.init(device, rng), self.norm.init(output, device));
            ConvBlock { conv, norm, activation: Activation::Relu }
        };
        let b2 = vec![
            block(second.channels, second.channels, 3, 2),
            block(second.channels, second.channels, 3, 2),
            block(second.channels, each, 1, 1),
        ];
        let b4 = block(fourth.channels, each, 1, 1);
        let narrow = block(fifth.channels, each, 1, 1);
        let up = ConvTranspose2d::new(fifth.channels, fifth.channels, device, rng);
        let b5 = Rise { up, norm: self.norm.init(fifth.channels, device), narrow };
        let level = (3 * each + third.channels, fourth.stride);
        Ok(Mfn { b2, b4, b5, level })
    }
}

/// Made by [`MfnConfig`].
#[derive(Module, Debug)]
pub struct Mfn {
    /// From the first stage: two 3x3 of stride 2, and a 1x1.
    pub b2: Vec<ConvBlock>,
    /// From the third stage: 1x1.
    pub b4: ConvBlock,
    /// From the fourth stage.
    pub b5: Rise,
    #[module(skip)]
    level: (usize, usize),
}

/// Twice the rows and columns, then fewer channels.
#[derive(Module, Debug)]
pub struct Rise {
    /// 3x3 of stride 2, transposed.
    pub up: ConvTranspose2d,
    /// What follows it.
    pub norm: Option<BatchNorm>,
    /// 1x1.
    pub narrow: ConvBlock,
}

impl Rise {
    fn forward<M: FeatureMap>(&self, x: M, size: [usize; 2]) -> M {
        let mut x = self.up.forward(x);
        if let Some(norm) = &self.norm {
            x = x.norm(norm, Activation::Relu);
        } else {
            x = x.activate(Activation::Relu);
        }
        self.narrow.forward(x.crop(size))
    }
}

impl Neck for Mfn {
    fn levels(&self) -> Vec<Level> {
        vec![Level { channels: self.level.0, stride: self.level.1 }]
    }

    fn forward<M: FeatureMap>(&self, features: Pyramid<M>) -> Pyramid<M> {
        let maps: [M; 4] = features.0.try_into().unwrap_or_else(|_| unreachable!("made for four levels"));
        let [second, third, fourth, fifth] = maps;
        let [_, _, rows, columns] = fourth.dims();
        let b2 = self.b2.iter().fold(second, |x, block| block.forward(x));
        let (b3, b4) = (third.max_pool(HALVE), self.b4.forward(fourth));
        let b5 = self.b5.forward(fifth, [rows, columns]);
        Pyramid(vec![M::cat_channels(vec![b2, b3, b4, b5])])
    }
}
