//! VGG-16 (Simonyan and Zisserman 2014), plain or in the atrous form of SSD (Liu et al. 2016).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use scarf_weights::{Allow, Rename, Weights, WeightsError};
use serde::{Deserialize, Serialize};

use crate::backbone::{Backbone, ConfigError, Level, Normalization, Pyramid, check_norm, check_outputs};
use crate::feature_map::FeatureMap;
use crate::layers::{Activation, Conv2dConfig, ConvBlock, ConvBlockConfig, MaxPool2d, NormConfig, Padding};
use crate::weights::ModuleWeights;

const NAME: &str = "vgg";
/// Convolutions and channels of each stage.
const STAGES: [(usize, usize); 5] = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)];
/// The pooling after a stage. A cut last window counts, as in SSD; VGG's own floor gives the same
/// wherever a map has an even size.
const POOL: MaxPool2d = MaxPool2d { kernel: 2, stride: 2, padding: 0, ceil: true };
/// The pooling after the last stage of the atrous form.
const POOL5: MaxPool2d = MaxPool2d { kernel: 3, stride: 1, padding: 1, ceil: false };

/// What stands after the five stages, and where the levels are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum VggForm {
    /// Nothing; the stages 1..=5 (strides 1, 2, 4, 8 and 16) whose last ReLUs are levels,
    /// increasing. Those past the last are not built.
    Plain(Vec<usize>),
    /// SSD's: the fully connected layers as convolutions, fc6 3x3 with dilation 6 and fc7 1x1, of
    /// 1024 channels. The levels are stage 4, each pixel's channels scaled to a learned length
    /// (20 at first), and fc7.
    Atrous,
}

/// The recipe of a [`Vgg`] of 16 layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VggConfig {
    /// What stands after the stages.
    pub form: VggForm,
    /// What follows each convolution of the stages; fc6 and fc7 have biases alone.
    pub norm: NormConfig,
}

impl Default for VggConfig {
    /// SSD's, without batch normalisation.
    fn default() -> Self {
        Self { form: VggForm::Atrous, norm: NormConfig::None }
    }
}

impl VggConfig {
    /// Refuses outputs that are no stages.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_norm(NAME, &self.norm)?;
        match &self.form {
            VggForm::Plain(outputs) => check_outputs(NAME, "form.plain", outputs, 1, STAGES.len()),
            VggForm::Atrous => Ok(()),
        }
    }

    /// The network, its weights drawn from `rng`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn init(&self, device: &Device, rng: &mut ChaCha8Rng) -> Result<Vgg, ConfigError> {
        self.check()?;
        let (outputs, built) = match &self.form {
            VggForm::Plain(outputs) => (outputs.clone(), outputs.last().copied().unwrap_or(0)),
            VggForm::Atrous => (vec![4], STAGES.len()),
        };
        let mut input = 3;
        let mut stages = Vec::with_capacity(built);
        for &(count, channels) in &STAGES[..built] {
            let mut stage = Vec::with_capacity(count);
            for _ in 0..count {
                let conv = Conv2dConfig::new(input, channels, 3);
                stage.push(ConvBlockConfig::new(conv, self.norm, Activation::Relu).init(device, rng));
                input = channels;
            }
            stages.push(stage);
        }
        let atrous = matches!(self.form, VggForm::Atrous).then(|| Atrous::init(device, rng));
        Ok(Vgg { stages, atrous, outputs })
    }

    /// torchvision's, as the published weights want it.
    pub fn normalization(&self) -> Normalization {
        Normalization::TORCHVISION
    }

    /// `weights` of a file with torchvision's names (`vgg16`, or `vgg16_bn` where there is batch
    /// normalisation) under those of a [`Vgg`] of this recipe.
    ///
    /// # Errors
    /// If parts of a block are missing.
    pub fn adapt(&self, weights: Weights) -> Result<Weights, WeightsError> {
        let normed =
            weights.names().any(|name| name.starts_with("features.") && name.ends_with("running_var"));
        let mut renames = Vec::new();
        // torchvision counts convolutions, norms, ReLUs and pools alike.
        let mut layer = 0;
        for (stage, &(count, _)) in STAGES.iter().enumerate() {
            for conv in 0..count {
                let mut part = |name: &str| {
                    let rename = Rename::new(
                        &format!(r"^features\.{layer}\."),
                        &format!("stages.{stage}.{conv}.{name}."),
                    );
                    layer += 1;
                    rename
                };
                renames.push(part("conv")?);
                if normed {
                    renames.push(part("norm")?);
                }
                layer += 1;
            }
            layer += 1;
        }
        weights.rename(&renames)?.with_norm(&self.norm, 1e-5)
    }

    /// No classifier of ImageNet holds what SSD adds.
    pub(crate) fn allow(&self) -> Result<Allow, WeightsError> {
        Allow::default().unexpected("")?.missing(r"^atrous\.")
    }
}

/// A VGG-16 without its classifier; made by [`VggConfig::init`].
#[derive(Module, Debug)]
pub struct Vgg {
    stages: Vec<Vec<ConvBlock>>,
    atrous: Option<Atrous>,
    outputs: Vec<usize>,
}

/// What SSD adds.
#[derive(Module, Debug)]
struct Atrous {
    /// The length that stage 4's channels are scaled to, `[512]`.
    scale: Param<Tensor<1>>,
    fc6: ConvBlock,
    fc7: ConvBlock,
}

impl Atrous {
    /// Channels of fc6 and fc7.
    const CHANNELS: usize = 1024;

    fn init(device: &Device, rng: &mut ChaCha8Rng) -> Self {
        let channels = STAGES[3].1;
        let mut block =
            |conv| ConvBlockConfig::new(conv, NormConfig::None, Activation::Relu).init(device, rng);
        let fc6 = Conv2dConfig::new(STAGES[4].1, Self::CHANNELS, 3);
        Self {
            scale: Param::from_data(TensorData::new(vec![20.0f32; channels], [channels]), device),
            fc6: block(fc6.with_dilation(6).with_padding(Padding::Symmetric(6))),
            fc7: block(Conv2dConfig::new(Self::CHANNELS, Self::CHANNELS, 1)),
        }
    }

    fn forward<M: FeatureMap>(&self, x: M) -> M {
        self.fc7.forward(self.fc6.forward(x.max_pool(POOL5)))
    }
}

impl Backbone for Vgg {
    fn levels(&self) -> Vec<Level> {
        let level = |&stage: &usize| Level { channels: STAGES[stage - 1].1, stride: 1 << (stage - 1) };
        let fc7 = self.atrous.as_ref().map(|_| Level { channels: Atrous::CHANNELS, stride: 16 });
        self.outputs.iter().map(level).chain(fc7).collect()
    }

    fn forward<M: FeatureMap>(&self, images: M) -> Pyramid<M> {
        let mut x = images;
        let mut maps = Vec::new();
        for (stage, blocks) in (1..).zip(&self.stages) {
            if stage > 1 {
                x = x.max_pool(POOL);
            }
            x = blocks.iter().fold(x, |x, block| block.forward(x));
            if self.outputs.contains(&stage) {
                maps.push(match &self.atrous {
                    Some(atrous) => x.clone().unit_length(&atrous.scale),
                    None => x.clone(),
                });
            }
        }
        maps.extend(self.atrous.as_ref().map(|atrous| atrous.forward(x)));
        Pyramid(maps)
    }

    /// The five stages, then what SSD adds.
    fn stages(&self) -> Vec<String> {
        let stages = (0..self.stages.len()).map(|stage| format!(r"^stages\.{stage}\."));
        stages.chain(self.atrous.as_ref().map(|_| r"^atrous\.".to_owned())).collect()
    }
}
