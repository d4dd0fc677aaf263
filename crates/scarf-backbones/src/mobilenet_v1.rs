//! MobileNet v1 (Howard et al. 2017), in TF-slim's form and in GluonCV's.

use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_weights::{Allow, Rename, Weights, WeightsError};
use serde::{Deserialize, Serialize};

use crate::backbone::{
    Backbone, ConfigError, Level, Normalization, Pyramid, check_norm, check_outputs, gluon_norms,
};
use crate::feature_map::FeatureMap;
use crate::layers::{Activation, Conv2dConfig, ConvBlock, ConvBlockConfig, NormConfig, Padding};
use crate::weights::ModuleWeights;

const NAME: &str = "mobilenet_v1";
/// Channels and stride of the stem, then of each separable block, at width 1.
const BLOCKS: [(usize, usize); 14] = [
    (32, 2),
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];

/// Whose MobileNet v1: the same channels, other zeros around the pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MobileNetV1Flavor {
    /// SAME padding, ReLU6, pixels to -1..=1: TF-slim and the detectors of TensorFlow's model zoo.
    #[default]
    Tensorflow,
    /// One zero on each side, ReLU, pixels by ImageNet's mean and spread (and norms of epsilon 1e-5).
    Gluoncv,
}

impl MobileNetV1Flavor {
    fn form(self) -> (Padding, Activation) {
        match self {
            Self::Tensorflow => (Padding::Same, Activation::Relu6),
            Self::Gluoncv => (Padding::Symmetric(1), Activation::Relu),
        }
    }
}

/// The recipe of a [`MobileNetV1`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MobileNetV1Config {
    /// The factor of all channels, above 0; the published ones are .25, .5, .75 and 1.
    pub width: f64,
    /// The blocks 0..=13 whose outputs are levels, increasing; those past the last are not built.
    pub outputs: Vec<usize>,
    /// Whose.
    pub flavor: MobileNetV1Flavor,
    /// What follows each convolution.
    pub norm: NormConfig,
}

impl Default for MobileNetV1Config {
    /// Width 1, the maps of SSD (blocks 11 and 13), TF-slim's flavor, batch normalisation with epsilon 1e-3.
    fn default() -> Self {
        let norm = NormConfig::Batch { epsilon: 1e-3, momentum: 0.1 };
        Self { width: 1.0, outputs: vec![11, 13], flavor: MobileNetV1Flavor::Tensorflow, norm }
    }
}

impl MobileNetV1Config {
    /// Refuses a width that is not above 0, and outputs that are no blocks.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(self.width > 0.0 && self.width <= 16.0) {
            let problem = format!("{} is not in 0 < width <= 16", self.width);
            return Err(ConfigError::new(NAME, "width", problem));
        }
        check_norm(NAME, &self.norm)?;
        check_outputs(NAME, "outputs", &self.outputs, 0, BLOCKS.len() - 1)
    }

    /// The network, its weights drawn from `rng`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn init(&self, device: &Device, rng: &mut ChaCha8Rng) -> Result<MobileNetV1, ConfigError> {
        self.check()?;
        let (padding, activation) = self.flavor.form();
        let block = |conv: Conv2dConfig| {
            let conv = if conv.kernel > 1 { conv.with_padding(padding) } else { conv };
            ConvBlockConfig::new(conv, self.norm, activation)
        };
        let last = self.outputs.last().copied().unwrap_or(0);
        let (mut input, mut total) = (3, 1);
        let (mut features, mut levels) = (Vec::new(), Vec::new());
        for (index, &(base, stride)) in BLOCKS[..=last].iter().enumerate() {
            let channels = self.channels(base);
            features.push(if index == 0 {
                let conv = Conv2dConfig::new(input, channels, 3).with_stride(stride);
                Feature::Stem(block(conv).init(device, rng))
            } else {
                let depthwise = Conv2dConfig::depthwise(input).with_stride(stride);
                let pointwise = Conv2dConfig::new(input, channels, 1);
                let (dw, pw) = (block(depthwise).init(device, rng), block(pointwise).init(device, rng));
                Feature::Separable(Separable { dw, pw })
            });
            (input, total) = (channels, total * stride);
            if self.outputs.contains(&index) {
                levels.push(Level { channels, stride: total });
            }
        }
        Ok(MobileNetV1 { features, outputs: self.outputs.clone(), levels })
    }

    /// TF-slim's rule: cut to an integer, at least 8.
    fn channels(&self, base: usize) -> usize {
        ((base as f64 * self.width) as usize).max(8)
    }

    /// As the flavor's published weights want it.
    pub fn normalization(&self) -> Normalization {
        match self.flavor {
            MobileNetV1Flavor::Tensorflow => Normalization::TENSORFLOW,
            MobileNetV1Flavor::Gluoncv => Normalization::TORCHVISION,
        }
    }

    /// `weights` of a published file under the names of a [`MobileNetV1`] of this recipe.
    ///
    /// Takes both kinds of file: with batch normalisation (`features.1.dw_bn.weight`), or with it
    /// folded into biases (`features.1.dw.bias`), and folds or unfolds it as `norm` asks. Gluon's
    /// (`mobilenet0_conv1_weight`) too, and TensorFlow's own graphs (`MobilenetV1/Conv2d_0/weights`), also those of its
    /// model zoo's detectors.
    ///
    /// # Errors
    /// If parts of a block are missing.
    pub fn adapt(&self, weights: Weights) -> Result<Weights, WeightsError> {
        let weights = from_slim(weights)?;
        let mut renames = vec![
            Rename::new(r"^features\.0\.bn\.", "features.0.norm.")?,
            Rename::new(r"^(features\.\d+\.[dp]w)\.(weight|bias)$", "$1.conv.$2")?,
            Rename::new(r"^(features\.\d+\.[dp]w)_bn\.", "$1.norm.")?,
        ];
        if weights.names().any(|name| name.starts_with("mobilenet")) {
            // Gluon counts all convolutions together.
            for layer in 0..2 * BLOCKS.len() - 1 {
                let block = layer.div_ceil(2);
                let part = ["", ".dw", ".pw"][if layer == 0 { 0 } else { 2 - layer % 2 }];
                let name = |kind| format!(r"^mobilenet\d+_{kind}{layer}_");
                renames.push(Rename::new(&name("conv"), &format!("features.{block}{part}.conv."))?);
                renames.push(Rename::new(&name("batchnorm"), &format!("features.{block}{part}.norm."))?);
            }
        }
        renames.extend(gluon_norms()?);
        let weights = weights.rename(&renames)?;
        let epsilon = match self.flavor {
            MobileNetV1Flavor::Tensorflow => 1e-3,
            MobileNetV1Flavor::Gluoncv => 1e-5,
        };
        weights.with_norm(&self.norm, epsilon)
    }

    /// Nothing of a published file is dispensable.
    pub(crate) fn allow(&self) -> Result<Allow, WeightsError> {
        Allow::default().unexpected("")
    }
}

/// The constants of a graph that TF-slim made, where `weights` are such, in PyTorch's order of axes.
///
/// There a kernel is height, width, channels in, channels out; a depthwise one height, width, channels, 1.
fn from_slim(weights: Weights) -> Result<Weights, WeightsError> {
    const SCOPE: &str = r"^(?:FeatureExtractor/)?MobilenetV1/Conv2d_(\d+)";
    let stem = ["MobilenetV1/Conv2d_0/weights", "FeatureExtractor/MobilenetV1/Conv2d_0/weights"];
    if stem.iter().all(|name| weights.get(name).is_none()) {
        return Ok(weights);
    }
    let parts = "(weights|depthwise_weights|BatchNorm/(gamma|beta|moving_mean|moving_variance))";
    let renames = [
        ("_depthwise/depthwise_weights$", ".dw.conv.weight"),
        ("_pointwise/weights$", ".pw.conv.weight"),
        ("/weights$", ".conv.weight"),
        ("_depthwise/BatchNorm/", ".dw.norm."),
        ("_pointwise/BatchNorm/", ".pw.norm."),
        ("/BatchNorm/", ".norm."),
    ];
    let rename =
        |(from, to): (&str, &str)| Rename::new(&format!("{SCOPE}{from}"), &format!("features.${{1}}{to}"));
    let mut renames = renames.map(rename).into_iter().collect::<Result<Vec<_>, _>>()?;
    renames.push(Rename::new(r"\.norm\.moving_mean$", ".norm.running_mean")?);
    renames.push(Rename::new(r"\.norm\.moving_variance$", ".norm.running_var")?);
    let mut weights =
        weights.matching(&format!("{SCOPE}(_depthwise|_pointwise)?/{parts}$"))?.rename(&renames)?;
    let kernels: Vec<String> =
        weights.names().filter(|name| name.ends_with(".conv.weight")).map(str::to_owned).collect();
    for name in kernels {
        let axes = if name.contains(".dw.") { [2, 3, 0, 1] } else { [3, 2, 0, 1] };
        if let Some(kernel) = weights.get(&name).filter(|kernel| kernel.shape.len() == axes.len()) {
            let kernel = kernel.permute(&axes);
            weights.insert(name, kernel);
        }
    }
    Ok(weights)
}

/// A MobileNet v1 without its classifier; made by [`MobileNetV1Config::init`].
#[derive(Module, Debug)]
pub struct MobileNetV1 {
    features: Vec<Feature>,
    outputs: Vec<usize>,
    #[module(skip)]
    levels: Vec<Level>,
}

/// The first block, or one of the others.
#[expect(clippy::large_enum_variant, reason = "nearly every one is the large one")]
#[derive(Module, Debug)]
enum Feature {
    Stem(ConvBlock),
    Separable(Separable),
}

/// A depthwise convolution, then a pointwise one.
#[derive(Module, Debug)]
struct Separable {
    dw: ConvBlock,
    pw: ConvBlock,
}

impl Backbone for MobileNetV1 {
    fn levels(&self) -> Vec<Level> {
        self.levels.clone()
    }

    fn forward<M: FeatureMap>(&self, images: M) -> Pyramid<M> {
        let mut x = images;
        let mut maps = Vec::with_capacity(self.outputs.len());
        // A dense convolution waits for the depthwise one after it, so that the kernels see the two together.
        let mut waiting: Option<&ConvBlock> = None;
        for (index, feature) in self.features.iter().enumerate() {
            let dense = match feature {
                Feature::Stem(block) => block,
                Feature::Separable(block) => {
                    x = match waiting {
                        Some(dense) => x.conv_blocks(dense, &block.dw),
                        None => block.dw.forward(x),
                    };
                    &block.pw
                }
            };
            waiting = Some(dense);
            if self.outputs.contains(&index) {
                x = dense.forward(x);
                maps.push(x.clone());
                waiting = None;
            }
        }
        Pyramid(maps)
    }

    /// Blocks of one stride are a stage: 2, 4, 8, 16 and 32.
    fn stages(&self) -> Vec<String> {
        let stages = [(0, "0|1"), (2, "2|3"), (4, "4|5"), (6, "6|7|8|9|10|11"), (12, "12|13")];
        let built = stages.iter().filter(|(first, _)| *first < self.features.len());
        built.map(|(_, blocks)| format!(r"^features\.({blocks})\.")).collect()
    }
}
