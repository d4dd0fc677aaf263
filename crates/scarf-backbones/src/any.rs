//! The backbones that a study file can name.

use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_weights::{Allow, LoadReport, Weights, WeightsError};
use serde::{Deserialize, Serialize};

use crate::backbone::{Backbone, ConfigError, Level, Normalization, Pyramid};
use crate::feature_map::FeatureMap;
use crate::mobilenet_v1::{MobileNetV1, MobileNetV1Config};
use crate::mobilenet_v2::{MobileNetV2, MobileNetV2Config};
use crate::mobilenet_v3::{MobileNetV3, MobileNetV3Config};
use crate::resnet::{ResNet, ResNetConfig};
use crate::resnet_v2::{ResNetV2, ResNetV2Config};
use crate::vgg::{Vgg, VggConfig};
use crate::weights::ModuleWeights;

/// One enum of recipes and one of networks, and what both pass on to their variants.
macro_rules! backbones {
    ($($variant:ident($config:ident => $network:ident),)*) => {
        /// The recipe of any backbone: in a study file, a table under its name.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        pub enum BackboneConfig {
            $(#[doc = concat!("[`", stringify!($network), "`].")] $variant($config),)*
        }

        /// Any backbone of [`BackboneConfig`].
        #[expect(clippy::large_enum_variant, reason = "a program has one or two of them")]
        #[derive(Module, Debug)]
        pub enum AnyBackbone {
            $(#[doc = concat!("Made by [`", stringify!($config), "`].")] $variant($network),)*
        }

        impl BackboneConfig {
            /// Refuses what describes no network.
            ///
            /// # Errors
            /// Names the field.
            pub fn check(&self) -> Result<(), ConfigError> {
                match self { $(Self::$variant(config) => config.check(),)* }
            }

            /// The network, its weights drawn from `rng`.
            ///
            /// # Errors
            /// As [`check`](Self::check).
            pub fn init(&self, device: &Device, rng: &mut ChaCha8Rng) -> Result<AnyBackbone, ConfigError> {
                Ok(match self { $(Self::$variant(config) => AnyBackbone::$variant(config.init(device, rng)?),)* })
            }

            /// How pixels become the input that the published weights were trained on.
            pub fn normalization(&self) -> Normalization {
                match self { $(Self::$variant(config) => config.normalization(),)* }
            }

            /// What a published file may have more or less than the backbone.
            fn allow(&self) -> Result<Allow, WeightsError> {
                match self { $(Self::$variant(config) => config.allow(),)* }
            }

            /// `weights` of a published file under this network's names, batch normalisation folded
            /// or unfolded as the recipe asks. What is not the backbone's keeps its name.
            ///
            /// # Errors
            /// If parts of a block are missing.
            pub fn adapt(&self, weights: Weights) -> Result<Weights, WeightsError> {
                match self { $(Self::$variant(config) => config.adapt(weights),)* }
            }
        }

        impl Backbone for AnyBackbone {
            fn levels(&self) -> Vec<Level> {
                match self { $(Self::$variant(network) => network.levels(),)* }
            }

            fn forward<M: FeatureMap>(&self, images: M) -> Pyramid<M> {
                match self { $(Self::$variant(network) => network.forward(images),)* }
            }

            fn stages(&self) -> Vec<String> {
                match self { $(Self::$variant(network) => network.stages(),)* }
            }
        }
    };
}

backbones! {
    MobilenetV1(MobileNetV1Config => MobileNetV1),
    MobilenetV2(MobileNetV2Config => MobileNetV2),
    MobilenetV3(MobileNetV3Config => MobileNetV3),
    Resnet(ResNetConfig => ResNet),
    ResnetV2(ResNetV2Config => ResNetV2),
    Vgg(VggConfig => Vgg),
}

impl BackboneConfig {
    /// `backbone`, made by this recipe, with the weights of published files.
    ///
    /// A layer that the first file lacks is taken from the next. The files may hold more than a
    /// backbone: all that the report lists as unexpected is left out.
    ///
    /// # Errors
    /// If a parameter of the backbone is missing or has another shape.
    pub fn load(
        &self,
        backbone: AnyBackbone,
        files: impl IntoIterator<Item = Weights>,
    ) -> Result<(AnyBackbone, LoadReport), WeightsError> {
        let mut weights = Weights::default();
        for file in files {
            weights = weights.or(self.adapt(file)?);
        }
        weights.load_into(backbone, &self.allow()?)
    }
}
