//! MobileNet v3-large (Howard et al. 2019), in torchvision's form.

use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_weights::{Allow, Rename, Weights, WeightsError};
use serde::{Deserialize, Serialize};

use crate::backbone::{Backbone, ConfigError, Level, Normalization, Pyramid, check_norm};
use crate::feature_map::FeatureMap;
use crate::inverted::{Feature, Make, Shape, Tap, check_taps, pyramid};
use crate::layers::{Activation, NormConfig};
use crate::weights::ModuleWeights;

const NAME: &str = "mobilenet_v3";
/// The last block: a 1x1 convolution to six times the channels.
const LAST: usize = 16;
/// The first block of those whose channels the reduced tail halves.
const TAIL: usize = 13;
const STEM: usize = 16;

/// One inverted residual of the paper's table 1.
struct Row {
    kernel: usize,
    hidden: usize,
    output: usize,
    squeeze: bool,
    activation: Activation,
    stride: usize,
}

const fn row(
    kernel: usize,
    hidden: usize,
    output: usize,
    squeeze: bool,
    activation: Activation,
    stride: usize,
) -> Row {
    Row { kernel, hidden, output, squeeze, activation, stride }
}

const RE: Activation = Activation::Relu;
const HS: Activation = Activation::HardSwish;
const ROWS: [Row; 15] = [
    row(3, 16, 16, false, RE, 1),
    row(3, 64, 24, false, RE, 2),
    row(3, 72, 24, false, RE, 1),
    row(5, 72, 40, true, RE, 2),
    row(5, 120, 40, true, RE, 1),
    row(5, 120, 40, true, RE, 1),
    row(3, 240, 80, false, HS, 2),
    row(3, 200, 80, false, HS, 1),
    row(3, 184, 80, false, HS, 1),
    row(3, 184, 80, false, HS, 1),
    row(3, 480, 112, true, HS, 1),
    row(3, 672, 112, true, HS, 1),
    row(5, 672, 160, true, HS, 2),
    row(5, 960, 160, true, HS, 1),
    row(5, 960, 160, true, HS, 1),
];

/// The recipe of a [`MobileNetV3`], the large one of width 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MobileNetV3Config {
    /// Half the channels from block 13 on: the backbone of torchvision's SSDLite.
    pub reduced_tail: bool,
    /// Where the levels are taken, in the order of the network: expansions 2..=15, blocks 0..=16;
    /// what comes after the last is not built.
    pub outputs: Vec<Tap>,
    /// What follows each convolution.
    pub norm: NormConfig,
}

impl Default for MobileNetV3Config {
    /// The whole tail, the maps of SSDLite (the expansion of block 13, and block 16), batch
    /// normalisation with epsilon 1e-3 and momentum .01.
    fn default() -> Self {
        let outputs = vec![Tap::Expansion(TAIL), Tap::Block(LAST)];
        let norm = NormConfig::Batch { epsilon: 1e-3, momentum: 0.01 };
        Self { reduced_tail: false, outputs, norm }
    }
}

impl MobileNetV3Config {
    /// Refuses outputs that do not exist or are out of order.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_taps(NAME, &self.outputs, LAST)?;
        check_norm(NAME, &self.norm)
    }

    /// The network, its weights drawn from `rng`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn init(&self, device: &Device, rng: &mut ChaCha8Rng) -> Result<MobileNetV3, ConfigError> {
        self.check()?;
        let make = Make { padding: None, norm: self.norm, device };
        let (features, levels) = make.features(&self.shapes(), &self.outputs, rng);
        Ok(MobileNetV3 { features, outputs: self.outputs.clone(), levels })
    }

    /// Every block, from the stem to the last convolution.
    fn shapes(&self) -> Vec<Shape> {
        let tail = |channels: usize| if self.reduced_tail { channels / 2 } else { channels };
        let plain =
            Shape { input: 3, kernel: 3, hidden: 3, output: STEM, squeeze: false, activation: HS, stride: 2 };
        let (mut shapes, mut input) = (vec![plain], STEM);
        for (index, row) in (1..).zip(&ROWS) {
            let &Row { kernel, hidden, output, squeeze, activation, stride } = row;
            let hidden = if index > TAIL { tail(hidden) } else { hidden };
            let output = if index >= TAIL { tail(output) } else { output };
            shapes.push(Shape { input, kernel, hidden, output, squeeze, activation, stride });
            input = output;
        }
        shapes.push(Shape { input, kernel: 1, hidden: input, output: 6 * input, stride: 1, ..plain });
        shapes
    }

    /// torchvision's, as the published weights want it.
    pub fn normalization(&self) -> Normalization {
        Normalization::TORCHVISION
    }

    /// `weights` of a file with torchvision's names (`features.4.block.2.fc1.weight`) under those of
    /// a [`MobileNetV3`] of this recipe, batch normalisation folded if `norm` asks.
    ///
    /// # Errors
    /// If parts of a block are missing.
    pub fn adapt(&self, weights: Weights) -> Result<Weights, WeightsError> {
        let mut renames = vec![
            Rename::new(r"^(features\.(?:0|16))\.0\.", "$1.conv.")?,
            Rename::new(r"^(features\.(?:0|16))\.1\.", "$1.norm.")?,
        ];
        // torchvision counts a block's layers, of which some blocks lack the first or the third.
        for (index, shape) in self.shapes().iter().enumerate().take(LAST).skip(1) {
            let parts = [
                (shape.hidden != shape.input).then_some("expand"),
                Some("dw"),
                shape.squeeze.then_some("se"),
                Some("project"),
            ];
            for (layer, part) in parts.into_iter().flatten().enumerate() {
                let (from, to) =
                    (format!(r"^features\.{index}\.block\.{layer}"), format!("features.{index}.{part}"));
                renames.push(Rename::new(&format!(r"{from}\.0\."), &format!("{to}.conv."))?);
                renames.push(Rename::new(&format!(r"{from}\.1\."), &format!("{to}.norm."))?);
                renames.push(Rename::new(&format!(r"{from}\.fc"), &format!("{to}.fc"))?);
            }
        }
        weights.rename(&renames)?.with_norm(&self.norm, 1e-3)
    }

    /// Nothing of a published file is dispensable.
    pub(crate) fn allow(&self) -> Result<Allow, WeightsError> {
        Allow::default().unexpected("")
    }
}

/// A MobileNet v3 without its classifier; made by [`MobileNetV3Config::init`].
#[derive(Module, Debug)]
pub struct MobileNetV3 {
    features: Vec<Feature>,
    #[module(skip)]
    outputs: Vec<Tap>,
    #[module(skip)]
    levels: Vec<Level>,
}

impl Backbone for MobileNetV3 {
    fn levels(&self) -> Vec<Level> {
        self.levels.clone()
    }

    fn forward<M: FeatureMap>(&self, images: M) -> Pyramid<M> {
        pyramid(&self.features, &self.outputs, images)
    }

    /// Blocks of one stride are a stage: 2, 4, 8, 16 and 32.
    fn stages(&self) -> Vec<String> {
        let stages = [(0, "0|1"), (2, "2|3"), (4, "4|5|6"), (7, "7|8|9|10|11|12"), (13, "13|14|15|16")];
        let built = stages.iter().filter(|(first, _)| *first < self.features.len());
        built.map(|(_, blocks)| format!(r"^features\.({blocks})\.")).collect()
    }
}
