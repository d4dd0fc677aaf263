//! The blocks of MobileNet v2 and v3: inverted residuals (Sandler et al. 2018), with squeeze and excitation in the
//! latter.

use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;

use crate::backbone::Pyramid;
use crate::feature_map::FeatureMap;
use crate::layers::{Activation, Conv2d, Conv2dConfig, ConvBlock};
use crate::mobilenet_v2::{Tap, round_to_eights};

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
    pub(crate) expand: ConvBlock,
}

/// Inverted residual: wider inside than at its ends, of which the last is linear.
#[derive(Module, Debug)]
pub(crate) struct Inverted {
    pub(crate) expand: Option<ConvBlock>,
    pub(crate) dw: ConvBlock,
    pub(crate) se: Option<SqueezeExcite>,
    pub(crate) project: ConvBlock,
    pub(crate) residual: bool,
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
    pub(crate) fn init(channels: usize, device: &Device, rng: &mut ChaCha8Rng) -> Self {
        let narrow = round_to_eights((channels / 4) as f64);
        let mut conv = |input, output| Conv2dConfig::new(input, output, 1).with_bias(true).init(device, rng);
        Self { fc1: conv(channels, narrow), fc2: conv(narrow, channels) }
    }

    fn forward<M: FeatureMap>(&self, x: M) -> M {
        let squeezed = self.fc1.forward(x.clone().mean_pixel(), Activation::Relu);
        x.times(self.fc2.forward(squeezed, Activation::HardSigmoid))
    }
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
