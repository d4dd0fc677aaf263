//! ResNet v2 (He et al. 2016, "Identity mappings"), whose blocks normalise before they convolve: the
//! network of the SSD in MXNet's examples, and Gluon's `resnet50_v2`.

use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_weights::{Allow, Rename, Weights, WeightsError};
use serde::{Deserialize, Serialize};

use crate::backbone::{
    Backbone, ConfigError, Level, Normalization, Pyramid, check_norm, check_outputs, gluon_norms,
};
use crate::feature_map::FeatureMap;
use crate::layers::{
    Activation, BatchNorm, Conv2d, Conv2dConfig, ConvBlock, ConvBlockConfig, NormConfig, Padding,
};
use crate::residual::{POOL, Plan, STEM, Shape, pyramid};

const NAME: &str = "resnet_v2";

/// The recipe of a [`ResNetV2`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNetV2Config {
    /// 18 or 34 (two 3x3 convolutions a block), 50 or 101 (bottlenecks, which stride in the 3x3).
    pub depth: usize,
    /// The stages 1..=4 (strides 4, 8, 16 and 32) whose sums are levels, increasing; those past the
    /// last are not built. A sum has not been normalised, and has numbers below 0.
    pub outputs: Vec<usize>,
    /// The normalisation before each convolution; it cannot be left out.
    pub norm: NormConfig,
}

impl Default for ResNetV2Config {
    /// ResNet-50 with the maps of SSD (stages 3 and 4), batch normalisation with epsilon 2e-5.
    fn default() -> Self {
        let norm = NormConfig::Batch { epsilon: 2e-5, momentum: 0.1 };
        Self { depth: 50, outputs: vec![3, 4], norm }
    }
}

impl ResNetV2Config {
    /// Refuses an unknown depth, outputs that are no stages, and networks without a norm.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        Plan::of(NAME, self.depth)?;
        if self.norm.wants_bias() {
            let problem =
                "none: a norm before a convolution cannot be folded into one; batch or frozen is needed";
            return Err(ConfigError::new(NAME, "norm", problem));
        }
        check_norm(NAME, &self.norm)?;
        check_outputs(NAME, "outputs", &self.outputs, 1, 4)
    }

    /// The network, its weights drawn from `rng`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn init(&self, device: &Device, rng: &mut ChaCha8Rng) -> Result<ResNetV2, ConfigError> {
        self.check()?;
        let plan = Plan::of(NAME, self.depth)?;
        let mut data_norm = self.norm(3, device);
        data_norm.weight = data_norm.weight.set_require_grad(false);
        let stem = Conv2dConfig::new(3, STEM, 7).with_stride(2);
        let stem = ConvBlockConfig::new(stem, self.norm, Activation::Relu).init(device, rng);
        let (stages, levels) =
            plan.stages(&self.outputs, |shape| self.block(shape, plan.bottleneck, device, rng));
        Ok(ResNetV2 { data_norm, stem, stages, outputs: self.outputs.clone(), levels })
    }

    fn norm(&self, channels: usize, device: &Device) -> BatchNorm {
        self.norm.init(channels, device).expect("`check` has refused networks without a norm")
    }

    fn block(&self, shape: Shape, bottleneck: bool, device: &Device, rng: &mut ChaCha8Rng) -> Block {
        let Shape { input, width, output, stride } = shape;
        let conv =
            |input, output, kernel, stride| Conv2dConfig::new(input, output, kernel).with_stride(stride);
        let mut block = |conv| ConvBlockConfig::new(conv, self.norm, Activation::Relu).init(device, rng);
        let (conv1, conv2, last) = if bottleneck {
            let conv1 = block(conv(input, width, 1, 1));
            (conv1, Some(block(conv(width, width, 3, stride))), conv(width, output, 1, 1))
        } else {
            (block(conv(input, width, 3, stride)), None, conv(width, output, 3, 1))
        };
        let shortcut = (input != output || stride != 1)
            .then(|| conv(input, output, 1, stride).with_padding(Padding::Symmetric(0)).init(device, rng));
        Block { norm: self.norm(input, device), conv1, conv2, last: last.init(device, rng), shortcut }
    }

    /// Pixels less the mean of ImageNet, as in MXNet's examples: the network's first norm scales them.
    pub fn normalization(&self) -> Normalization {
        Normalization { mean: [123.0, 117.0, 104.0], std: [1.0; 3] }
    }

    /// `weights` of a file with the names of MXNet's symbol (`stage1_unit1_bn1_gamma`) or of Gluon's
    /// `resnet50_v2` (`features.5.0.bn1.gamma`) under those of a [`ResNetV2`] of this recipe.
    ///
    /// # Errors
    /// If two would get one name, or the file is of a network with more blocks.
    pub fn adapt(&self, mut weights: Weights) -> Result<Weights, WeightsError> {
        // Never trained: 1, whatever the file says.
        for name in ["bn_data_gamma", "features.0.gamma"] {
            if let Some(mut scale) = weights.remove(name) {
                scale.values.fill(1.0);
                weights.insert(name, scale);
            }
        }
        let mut renames = vec![
            Rename::new(r"^bn_data_", "data_norm.norm.")?,
            Rename::new(r"^conv0_", "stem.conv.")?,
            Rename::new(r"^bn0_", "stem.norm.")?,
            Rename::new(r"^(stage\d_unit\d+)_(bn\d|conv\d|sc)_", "$1.$2.")?,
            Rename::new(r"\.moving_(mean|var)$", ".running_$1")?,
            Rename::new(r"^features\.0\.", "data_norm.norm.")?,
            Rename::new(r"^features\.1\.", "stem.conv.")?,
            Rename::new(r"^features\.2\.", "stem.norm.")?,
        ];
        let Plan { blocks, bottleneck } = Plan::find(self.depth).unwrap_or_default();
        for (stage, count) in blocks.into_iter().enumerate() {
            let gluon = format!(r"^features\.{}\.(\d+)\.", stage + 5);
            renames.push(Rename::new(&gluon, &format!("stages.{stage}.$1."))?);
            for unit in 0..count {
                let mxnet = format!(r"^stage{}_unit{}\.", stage + 1, unit + 1);
                renames.push(Rename::new(&mxnet, &format!("stages.{stage}.{unit}."))?);
            }
        }
        let last = if bottleneck { 3 } else { 2 };
        for (theirs, ours) in [
            ("bn1", "norm.norm"),
            ("bn2", "conv1.norm"),
            ("bn3", "conv2.norm"),
            (format!("conv{last}").as_str(), "last"),
            ("conv1", "conv1.conv"),
            ("conv2", "conv2.conv"),
            ("(?:sc|downsample)", "shortcut"),
        ] {
            renames.push(Rename::new(
                &format!(r"^(stages\.\d\.\d+)\.{theirs}\.(\w+)$"),
                &format!("$1.{ours}.$2"),
            )?);
        }
        renames.extend(gluon_norms()?);
        // These norms stand alone, not in a block.
        renames.push(Rename::new(r"^(data_norm|stages\.\d\.\d+\.norm)\.norm\.", "$1.")?);
        let weights = weights.rename(&renames)?;
        Plan { blocks, bottleneck }.check(&weights)?;
        Ok(weights)
    }

    /// Nothing of a published file is dispensable.
    pub(crate) fn allow(&self) -> Result<Allow, WeightsError> {
        Allow::default().unexpected("")
    }
}

/// A ResNet v2 without its last norm and classifier; made by [`ResNetV2Config::init`].
#[derive(Module, Debug)]
pub struct ResNetV2 {
    /// Of pixels; its scale stays 1.
    data_norm: BatchNorm,
    stem: ConvBlock,
    stages: Vec<Vec<Block>>,
    outputs: Vec<usize>,
    #[module(skip)]
    levels: Vec<Level>,
}

/// A residual block: each convolution behind a norm and a ReLU, the first of which the shortcut shares.
#[derive(Module, Debug)]
struct Block {
    norm: BatchNorm,
    conv1: ConvBlock,
    conv2: Option<ConvBlock>,
    last: Conv2d,
    shortcut: Option<Conv2d>,
}

impl Block {
    fn forward<M: FeatureMap>(&self, x: M) -> M {
        let active = x.clone().norm(&self.norm, Activation::Relu);
        let x = match &self.shortcut {
            Some(shortcut) => shortcut.forward(active.clone(), Activation::None),
            None => x,
        };
        let mut y = self.conv1.forward(active);
        if let Some(conv2) = &self.conv2 {
            y = conv2.forward(y);
        }
        self.last.forward(y, Activation::None).plus(x, Activation::None)
    }
}

impl Backbone for ResNetV2 {
    fn levels(&self) -> Vec<Level> {
        self.levels.clone()
    }

    fn forward<M: FeatureMap>(&self, images: M) -> Pyramid<M> {
        let x = self.stem.forward(images.norm(&self.data_norm, Activation::None)).max_pool(POOL);
        pyramid(x, &self.stages, &self.outputs, Block::forward)
    }

    /// The norm of pixels and the stem, then the four stages.
    fn stages(&self) -> Vec<String> {
        let stages = (0..self.stages.len()).map(|stage| format!(r"^stages\.{stage}\."));
        std::iter::once(r"^(data_norm|stem)\.".to_owned()).chain(stages).collect()
    }
}
