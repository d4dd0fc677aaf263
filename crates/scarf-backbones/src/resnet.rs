//! ResNet (He et al. 2015), with the stride in either place.

use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_weights::{Allow, Rename, Weights, WeightsError};
use serde::{Deserialize, Serialize};

use crate::backbone::{
    Backbone, ConfigError, Level, Normalization, Pyramid, check_norm, check_outputs, gluon_norms,
};
use crate::feature_map::FeatureMap;
use crate::layers::{Activation, Conv2dConfig, ConvBlock, ConvBlockConfig, NormConfig};
use crate::residual::{POOL, Plan, STEM, Shape, pyramid};
use crate::weights::ModuleWeights;

const NAME: &str = "resnet";
/// Where a bottleneck of stride 2 strides, and which published weights are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResNetVariant {
    /// In the first 1x1 convolution: the paper, Caffe, Keras, GluonCV's `resnet50_v1`.
    #[default]
    #[serde(rename = "v1")]
    V1,
    /// In the 3x3 convolution: torchvision, GluonCV's `resnet50_v1b`.
    #[serde(rename = "v1.5")]
    V1_5,
}

/// The recipe of a [`ResNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNetConfig {
    /// 18 or 34 (two 3x3 convolutions a block), 50 or 101 (bottlenecks).
    pub depth: usize,
    /// Where bottlenecks stride; the blocks of 18 and 34 have one place only.
    pub variant: ResNetVariant,
    /// The stages 1..=4 (strides 4, 8, 16 and 32) whose outputs are levels, increasing; those past
    /// the last are not built.
    pub outputs: Vec<usize>,
    /// What follows each convolution.
    pub norm: NormConfig,
}

impl Default for ResNetConfig {
    /// ResNet-50 v1 with the maps of SSD (stages 3 and 4), batch normalisation with epsilon 1e-5.
    fn default() -> Self {
        Self { depth: 50, variant: ResNetVariant::V1, outputs: vec![3, 4], norm: NormConfig::BATCH }
    }
}

impl ResNetConfig {
    /// Refuses an unknown depth, and outputs that are no stages.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        Plan::of(NAME, self.depth)?;
        check_norm(NAME, &self.norm)?;
        check_outputs(NAME, "outputs", &self.outputs, 1, 4)
    }

    /// The network, its weights drawn from `rng`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn init(&self, device: &Device, rng: &mut ChaCha8Rng) -> Result<ResNet, ConfigError> {
        self.check()?;
        let plan = Plan::of(NAME, self.depth)?;
        let stem =
            ConvBlockConfig::new(Conv2dConfig::new(3, STEM, 7).with_stride(2), self.norm, Activation::Relu);
        let stem = stem.init(device, rng);
        let (stages, levels) =
            plan.stages(&self.outputs, |shape| self.block(shape, plan.bottleneck, device, rng));
        Ok(ResNet { stem, stages, outputs: self.outputs.clone(), levels })
    }

    fn block(&self, shape: Shape, bottleneck: bool, device: &Device, rng: &mut ChaCha8Rng) -> Block {
        let Shape { input, width, output, stride } = shape;
        let mut conv = |input, output, kernel, stride, activation| {
            let conv = Conv2dConfig::new(input, output, kernel).with_stride(stride);
            ConvBlockConfig::new(conv, self.norm, activation).init(device, rng)
        };
        let (first, second) = match self.variant {
            ResNetVariant::V1_5 if bottleneck => (1, stride),
            _ => (stride, 1),
        };
        let (relu, none) = (Activation::Relu, Activation::None);
        let downsample = input != output || stride != 1;
        Block {
            conv1: conv(input, width, if bottleneck { 1 } else { 3 }, first, relu),
            conv2: conv(width, width, 3, second, if bottleneck { relu } else { none }),
            conv3: bottleneck.then(|| conv(width, output, 1, 1, none)),
            downsample: downsample.then(|| conv(input, output, 1, stride, none)),
        }
    }

    /// As the variant's published weights want it.
    pub fn normalization(&self) -> Normalization {
        match self.variant {
            ResNetVariant::V1 => Normalization::CAFFE,
            ResNetVariant::V1_5 => Normalization::TORCHVISION,
        }
    }

    /// `weights` of a file with torchvision's names, or with Gluon's (`resnetv10_stage1_conv0_weight`),
    /// under those of a [`ResNet`] of this recipe, batch normalisation folded if `norm` asks.
    ///
    /// # Errors
    /// If parts of a block are missing, or the file is of a network with more blocks.
    pub fn adapt(&self, weights: Weights) -> Result<Weights, WeightsError> {
        let mut renames = vec![
            Rename::new(r"^conv1\.", "stem.conv.")?,
            Rename::new(r"^bn1\.", "stem.norm.")?,
            Rename::new(r"^(layer\d\.\d+)\.conv(\d)\.(weight|bias)$", "$1.conv$2.conv.$3")?,
            Rename::new(r"^(layer\d\.\d+)\.bn(\d)\.", "$1.conv$2.norm.")?,
            Rename::new(r"^(layer\d\.\d+\.downsample)\.0\.", "$1.conv.")?,
            Rename::new(r"^(layer\d\.\d+\.downsample)\.1\.", "$1.norm.")?,
        ];
        if weights.names().any(|name| name.starts_with("resnetv1")) {
            renames.extend(self.gluon()?);
        }
        for stage in 0..4 {
            renames.push(Rename::new(&format!(r"^layer{}\.", stage + 1), &format!("stages.{stage}."))?);
        }
        let weights = weights.rename(&renames)?;
        Plan::find(self.depth).unwrap_or_default().check(&weights)?;
        weights.with_norm(&self.norm, 1e-5)
    }

    /// Gluon's names to ours: it counts a stage's convolutions together, the shortcut after the first block's.
    fn gluon(&self) -> Result<Vec<Rename>, WeightsError> {
        let mut renames = vec![
            Rename::new(r"^resnetv1\d+_conv0_", "stem.conv.")?,
            Rename::new(r"^resnetv1\d+_batchnorm0_", "stem.norm.")?,
        ];
        let Plan { blocks, bottleneck } = Plan::find(self.depth).unwrap_or_default();
        for (stage, &count) in blocks.iter().enumerate() {
            let mut layer = 0;
            for block in 0..count {
                let downsample = (block == 0 && (stage > 0 || bottleneck)).then_some("downsample");
                let third = bottleneck.then_some("conv3");
                for part in ["conv1", "conv2"].into_iter().chain(third).chain(downsample) {
                    for (kind, ours) in [("conv", "conv"), ("batchnorm", "norm")] {
                        let theirs = format!(r"^resnetv1\d+_stage{}_{kind}{layer}_", stage + 1);
                        renames
                            .push(Rename::new(&theirs, &format!("stages.{stage}.{block}.{part}.{ours}."))?);
                    }
                    layer += 1;
                }
            }
        }
        renames.extend(gluon_norms()?);
        Ok(renames)
    }

    /// Nothing of a published file is dispensable.
    pub(crate) fn allow(&self) -> Result<Allow, WeightsError> {
        Allow::default().unexpected("")
    }
}

/// A ResNet without its classifier; made by [`ResNetConfig::init`].
#[derive(Module, Debug)]
pub struct ResNet {
    stem: ConvBlock,
    stages: Vec<Vec<Block>>,
    outputs: Vec<usize>,
    #[module(skip)]
    levels: Vec<Level>,
}

/// A residual block: two convolutions, or a bottleneck of three.
#[derive(Module, Debug)]
struct Block {
    conv1: ConvBlock,
    conv2: ConvBlock,
    conv3: Option<ConvBlock>,
    downsample: Option<ConvBlock>,
}

impl Block {
    fn forward<M: FeatureMap>(&self, x: M) -> M {
        let mut y = self.conv2.forward(self.conv1.forward(x.clone()));
        if let Some(conv3) = &self.conv3 {
            y = conv3.forward(y);
        }
        let x = match &self.downsample {
            Some(downsample) => downsample.forward(x),
            None => x,
        };
        x.plus(y, Activation::Relu)
    }
}

impl Backbone for ResNet {
    fn levels(&self) -> Vec<Level> {
        self.levels.clone()
    }

    fn forward<M: FeatureMap>(&self, images: M) -> Pyramid<M> {
        let x = self.stem.forward(images).max_pool(POOL);
        pyramid(x, &self.stages, &self.outputs, Block::forward)
    }

    /// The stem, then the four stages: torchvision's count of layers, from the other end.
    fn stages(&self) -> Vec<String> {
        let stages = (0..self.stages.len()).map(|stage| format!(r"^stages\.{stage}\."));
        std::iter::once(r"^stem\.".to_owned()).chain(stages).collect()
    }
}
