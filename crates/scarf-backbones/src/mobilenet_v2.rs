//! MobileNet v2 (Sandler et al. 2018), in torchvision's form and in TensorFlow's.

use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_weights::{Allow, Rename, Weights, WeightsError};
use serde::{Deserialize, Serialize};

use crate::backbone::{Backbone, ConfigError, Level, Normalization, Pyramid, check_norm};
use crate::feature_map::FeatureMap;
use crate::inverted::{Feature, Make, Shape, Tap, check_taps, pyramid, round_to_eights};
use crate::layers::{Activation, NormConfig, Padding};
use crate::weights::ModuleWeights;

/// Expansion, channels, repeats and first stride of each group of blocks, at width 1: the paper's
/// table 2.
const GROUPS: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];
/// The last block: a 1x1 convolution.
const LAST: usize = 18;
const NAME: &str = "mobilenet_v2";

/// Whose MobileNet v2: the same channels, other zeros around the pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flavor {
    /// One zero on each side, pixels by ImageNet's mean and spread.
    #[default]
    Torchvision,
    /// SAME padding, pixels to -1..=1: the detectors of TensorFlow's model zoo.
    Tensorflow,
}

/// The recipe of a [`MobileNetV2`]; ReLU6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MobileNetV2Config {
    /// The factor of all channels, above 0; results are rounded to multiples of 8.
    pub width: f64,
    /// Where the levels are taken, in the order of the network; what comes
    /// after the last is not built.
    pub outputs: Vec<Tap>,
    /// Whose.
    pub flavor: Flavor,
    /// What follows each convolution.
    pub norm: NormConfig,
}

impl Default for MobileNetV2Config {
    /// Width 1, the maps of SSDLite (the expansion of block 14, and block 18), torchvision's flavor,
    /// batch normalisation with epsilon 1e-5.
    fn default() -> Self {
        let outputs = vec![Tap::Expansion(14), Tap::Block(LAST)];
        Self { width: 1.0, outputs, flavor: Flavor::Torchvision, norm: NormConfig::BATCH }
    }
}

impl MobileNetV2Config {
    /// Refuses a width that is not above 0, and outputs that do not exist or are out of order.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(self.width > 0.0 && self.width <= 16.0) {
            let problem = format!("{} is not in 0 < width <= 16", self.width);
            return Err(ConfigError::new(NAME, "width", problem));
        }
        check_taps(NAME, &self.outputs, LAST)?;
        check_norm(NAME, &self.norm)
    }

    /// The network, its weights drawn from `rng`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn init(&self, device: &Device, rng: &mut ChaCha8Rng) -> Result<MobileNetV2, ConfigError> {
        self.check()?;
        let padding = (self.flavor == Flavor::Tensorflow).then_some(Padding::Same);
        let make = Make { padding, norm: self.norm, device };
        let (features, levels) = make.features(&self.shapes(), &self.outputs, rng);
        Ok(MobileNetV2 { features, outputs: self.outputs.clone(), levels })
    }

    /// Every block at this width, from the stem to the last convolution.
    fn shapes(&self) -> Vec<Shape> {
        let scale = |base: usize| round_to_eights(base as f64 * self.width);
        let mut input = scale(32);
        let (squeeze, activation) = (false, Activation::Relu6);
        let stem = Shape { input: 3, kernel: 3, hidden: 3, output: input, squeeze, activation, stride: 2 };
        let mut shapes = vec![stem];
        for (expansion, channels, repeats, first_stride) in GROUPS {
            for repeat in 0..repeats {
                let (hidden, output) = (input * expansion, scale(channels));
                let stride = if repeat == 0 { first_stride } else { 1 };
                shapes.push(Shape { input, hidden, output, stride, ..stem });
                input = output;
            }
        }
        let output = round_to_eights(1280.0 * self.width.max(1.0));
        shapes.push(Shape { input, kernel: 1, hidden: input, output, stride: 1, ..stem });
        shapes
    }

    /// As the flavor's published weights want it.
    pub fn normalization(&self) -> Normalization {
        match self.flavor {
            Flavor::Torchvision => Normalization::TORCHVISION,
            Flavor::Tensorflow => Normalization::TENSORFLOW,
        }
    }

    /// `weights` of a published file under the names of a [`MobileNetV2`] of this recipe.
    ///
    /// Takes torchvision's names (`features.2.conv.0.0.weight`) and those of a detector with batch
    /// normalisation folded (`features.2.expand.bias`), and folds or unfolds it as `norm` asks.
    ///
    /// # Errors
    /// If parts of a block are missing.
    pub fn adapt(&self, weights: Weights) -> Result<Weights, WeightsError> {
        let weights = weights.rename(&[
            // torchvision: the first and last block, then block 1, which expands nothing.
            Rename::new(r"^(features\.(?:0|18))\.0\.", "$1.conv.")?,
            Rename::new(r"^(features\.(?:0|18))\.1\.", "$1.norm.")?,
            Rename::new(r"^features\.1\.conv\.0\.0\.", "features.1.dw.conv.")?,
            Rename::new(r"^features\.1\.conv\.0\.1\.", "features.1.dw.norm.")?,
            Rename::new(r"^features\.1\.conv\.1\.", "features.1.project.conv.")?,
            Rename::new(r"^features\.1\.conv\.2\.", "features.1.project.norm.")?,
            // torchvision: the other blocks.
            Rename::new(r"^(features\.\d+)\.conv\.0\.0\.", "$1.expand.conv.")?,
            Rename::new(r"^(features\.\d+)\.conv\.0\.1\.", "$1.expand.norm.")?,
            Rename::new(r"^(features\.\d+)\.conv\.1\.0\.", "$1.dw.conv.")?,
            Rename::new(r"^(features\.\d+)\.conv\.1\.1\.", "$1.dw.norm.")?,
            Rename::new(r"^(features\.\d+)\.conv\.2\.", "$1.project.conv.")?,
            Rename::new(r"^(features\.\d+)\.conv\.3\.", "$1.project.norm.")?,
            // Folded.
            Rename::new(r"^(features\.\d+(?:\.(?:expand|dw|project))?)\.(weight|bias)$", "$1.conv.$2")?,
        ])?;
        weights.with_norm(&self.norm, 1e-5)
    }

    /// Nothing of a published file is dispensable.
    pub(crate) fn allow(&self) -> Result<Allow, WeightsError> {
        Allow::default().unexpected("")
    }
}

/// A MobileNet v2 without its classifier; made by [`MobileNetV2Config::init`].
#[derive(Module, Debug)]
pub struct MobileNetV2 {
    features: Vec<Feature>,
    #[module(skip)]
    outputs: Vec<Tap>,
    #[module(skip)]
    levels: Vec<Level>,
}

impl Backbone for MobileNetV2 {
    fn levels(&self) -> Vec<Level> {
        self.levels.clone()
    }

    fn forward<M: FeatureMap>(&self, images: M) -> Pyramid<M> {
        pyramid(&self.features, &self.outputs, images)
    }

    /// Blocks of one stride are a stage: 2, 4, 8, 16 and 32.
    fn stages(&self) -> Vec<String> {
        let stages = [(0, "0|1"), (2, "2|3"), (4, "4|5|6"), (7, "7|8|9|10|11|12|13"), (14, "14|15|16|17|18")];
        let built = stages.iter().filter(|(first, _)| *first < self.features.len());
        built.map(|(_, blocks)| format!(r"^features\.({blocks})\.")).collect()
    }
}
