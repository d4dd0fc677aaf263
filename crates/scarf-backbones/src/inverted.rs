//! What MobileNet v2 and v3 are made of: inverted residuals (Sandler et al. 2018), with squeeze and excitation in the
//! latter, from a first convolution to a last one.

use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::backbone::{ConfigError, Level, Pyramid};
use crate::feature_map::FeatureMap;
use crate::layers::{Activation, Conv2d, Conv2dConfig, ConvBlock, ConvBlockConfig, NormConfig, Padding};

/// A place in a [`MobileNetV2`](crate::MobileNetV2), or in a [`MobileNetV3`](crate::MobileNetV3), that a level can be
/// taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tap {
    /// After the expansion in a block from 2 on (to 17; 15 in v3), before its depthwise convolution.
    Expansion(usize),
    /// After a block from 0 on (to 18; 16 in v3).
    Block(usize),
}

impl Tap {
    fn block(self) -> usize {
        match self {
            Self::Expansion(block) | Self::Block(block) => block,
        }
    }

    fn position(self) -> usize {
        2 * self.block() + usize::from(matches!(self, Self::Block(_)))
    }

    fn exists(self, last: usize) -> bool {
        match self {
            Self::Expansion(block) => (2..last).contains(&block),
            Self::Block(block) => block <= last,
        }
    }
}

/// Refuses outputs that do not exist in a network of blocks up to `last`, or are out of order.
pub(crate) fn check_taps(network: &'static str, outputs: &[Tap], last: usize) -> Result<(), ConfigError> {
    let ordered = outputs.windows(2).all(|pair| pair[0].position() < pair[1].position());
    if outputs.is_empty() || !ordered || !outputs.iter().all(|tap| tap.exists(last)) {
        let problem = format!(
            "{outputs:?} is not an increasing, non-empty list of blocks 0..={last} and expansions 2..={}",
            last - 1
        );
        return Err(ConfigError::new(network, "outputs", problem));
    }
    Ok(())
}

/// One block: the first and the last are convolutions, and have no more than `kernel`, `stride` and their ends.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) input: usize,
    pub(crate) kernel: usize,
    pub(crate) hidden: usize,
    pub(crate) output: usize,
    pub(crate) squeeze: bool,
    pub(crate) activation: Activation,
    pub(crate) stride: usize,
}

/// How the convolutions of all blocks are made.
#[derive(Clone, Copy)]
pub(crate) struct Make<'a> {
    /// Their own where left out.
    pub(crate) padding: Option<Padding>,
    pub(crate) norm: NormConfig,
    pub(crate) device: &'a Device,
}

impl Make<'_> {
    /// The blocks up to the last output, and the outputs' levels.
    pub(crate) fn features(
        &self,
        shapes: &[Shape],
        outputs: &[Tap],
        rng: &mut ChaCha8Rng,
    ) -> (Vec<Feature>, Vec<Level>) {
        let built = outputs.last().map_or(0, |tap| tap.block());
        let mut features = Vec::with_capacity(built + 1);
        let (mut levels, mut total) = (Vec::new(), 1);
        for (index, shape) in shapes.iter().enumerate().take(built + 1) {
            if outputs.contains(&Tap::Expansion(index)) {
                levels.push(Level { channels: shape.hidden, stride: total });
            }
            total *= shape.stride;
            if outputs.contains(&Tap::Block(index)) {
                levels.push(Level { channels: shape.output, stride: total });
            }
            features.push(if index == 0 || index + 1 == shapes.len() {
                let conv = Conv2dConfig::new(shape.input, shape.output, shape.kernel);
                Feature::Conv(self.block(conv.with_stride(shape.stride), shape.activation, rng))
            } else {
                self.inverted(shape, outputs.last() == Some(&Tap::Expansion(index)), rng)
            });
        }
        (features, levels)
    }

    /// A block, or its expansion alone where nothing after that is needed.
    fn inverted(&self, shape: &Shape, ends: bool, rng: &mut ChaCha8Rng) -> Feature {
        let &Shape { input, kernel, hidden, output, squeeze, activation, stride } = shape;
        let expand =
            (hidden != input).then(|| self.block(Conv2dConfig::new(input, hidden, 1), activation, rng));
        if ends && let Some(expand) = expand {
            return Feature::Expansion(Expansion { expand });
        }
        let dw = Conv2dConfig { groups: hidden, ..Conv2dConfig::new(hidden, hidden, kernel) };
        let dw = self.block(dw.with_stride(stride), activation, rng);
        let project = self.block(Conv2dConfig::new(hidden, output, 1), Activation::None, rng);
        let se = squeeze.then(|| SqueezeExcite::init(hidden, self.device, rng));
        Feature::Inverted(Inverted { expand, dw, se, project, residual: stride == 1 && input == output })
    }

    fn block(&self, conv: Conv2dConfig, activation: Activation, rng: &mut ChaCha8Rng) -> ConvBlock {
        let padding = self.padding.unwrap_or(conv.padding);
        ConvBlockConfig::new(conv.with_padding(padding), self.norm, activation).init(self.device, rng)
    }
}

/// The first and last block, one of the others, or the beginning of one.
#[expect(clippy::large_enum_variant, reason = "nearly every one is the large one")]
#[derive(Module, Debug)]
pub(crate) enum Feature {
    Conv(ConvBlock),
    Inverted(Inverted),
    Expansion(Expansion),
}

/// The part of an [`Inverted`] that the last level needs.
#[derive(Module, Debug)]
pub(crate) struct Expansion {
    expand: ConvBlock,
}

/// Inverted residual: wider inside than at its ends, of which the last is linear.
#[derive(Module, Debug)]
pub(crate) struct Inverted {
    expand: Option<ConvBlock>,
    dw: ConvBlock,
    se: Option<SqueezeExcite>,
    project: ConvBlock,
    residual: bool,
}

impl Inverted {
    fn forward<M: FeatureMap>(&self, x: M) -> M {
        let y = match &self.expand {
            Some(expand) => x.clone().conv_blocks(expand, &self.dw),
            None => self.dw.forward(x.clone()),
        };
        self.narrow(x, y)
    }

    /// What was expanded, and the block's output.
    fn tapped<M: FeatureMap>(&self, x: M) -> (M, M) {
        let expanded = match &self.expand {
            Some(expand) => expand.forward(x.clone()),
            None => x.clone(),
        };
        let y = self.dw.forward(expanded.clone());
        (expanded, self.narrow(x, y))
    }

    /// The rest of the block, after its depthwise convolution.
    fn narrow<M: FeatureMap>(&self, x: M, mut y: M) -> M {
        if let Some(se) = &self.se {
            y = se.forward(y);
        }
        let y = self.project.forward(y);
        if self.residual { x.plus(y, Activation::None) } else { y }
    }
}

/// Channels scaled by what all pixels say together (Hu et al. 2018), with a hard sigmoid.
#[derive(Module, Debug)]
pub(crate) struct SqueezeExcite {
    fc1: Conv2d,
    fc2: Conv2d,
}

impl SqueezeExcite {
    fn init(channels: usize, device: &Device, rng: &mut ChaCha8Rng) -> Self {
        let narrow = round_to_eights((channels / 4) as f64);
        let mut conv = |input, output| Conv2dConfig::new(input, output, 1).with_bias(true).init(device, rng);
        Self { fc1: conv(channels, narrow), fc2: conv(narrow, channels) }
    }

    fn forward<M: FeatureMap>(&self, x: M) -> M {
        let squeezed = self.fc1.forward(x.clone().mean_pixel(), Activation::Relu);
        x.times(self.fc2.forward(squeezed, Activation::HardSigmoid))
    }
}

/// The nearest multiple of 8, at least 8, and never less than nine tenths of `channels`.
pub(crate) fn round_to_eights(channels: f64) -> usize {
    let rounded = (((channels + 4.0) / 8.0) as usize * 8).max(8);
    if (rounded as f64) < 0.9 * channels { rounded + 8 } else { rounded }
}

/// What flows out of the taps, block after block.
pub(crate) fn pyramid<M: FeatureMap>(features: &[Feature], outputs: &[Tap], images: M) -> Pyramid<M> {
    let mut x = images;
    let mut maps = Vec::with_capacity(outputs.len());
    for (index, feature) in features.iter().enumerate() {
        x = match feature {
            Feature::Conv(block) => block.forward(x),
            Feature::Inverted(block) if outputs.contains(&Tap::Expansion(index)) => {
                let (expanded, y) = block.tapped(x);
                maps.push(expanded);
                y
            }
            Feature::Inverted(block) => block.forward(x),
            Feature::Expansion(block) => {
                maps.push(block.expand.forward(x));
                break;
            }
        };
        if outputs.contains(&Tap::Block(index)) {
            maps.push(x.clone());
        }
    }
    Pyramid(maps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_rounded_as_in_the_reference() {
        // torchvision's _make_divisible(v, 8).
        let cases = [(32.0, 32), (11.2, 16), (16.8, 16), (8.4, 8), (112.0, 112), (67.2, 64), (3.0, 8)];
        for (channels, expected) in cases {
            assert_eq!(round_to_eights(channels), expected, "{channels}");
        }
    }
}
