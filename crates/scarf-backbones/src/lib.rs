//! Networks that turn images into feature maps of several strides, on burn.
//!
//! A recipe ([`BackboneConfig`], plain data) makes a network ([`AnyBackbone`]); the network
//! announces its [`Level`]s and gives a [`Pyramid`] of them. [`Weights`] go in and out by name ([`ModuleWeights`]).

mod any;
mod backbone;
mod extent;
mod feature_map;
mod freeze;
mod inverted;
pub mod layers;
mod mobilenet_v1;
mod mobilenet_v2;
mod mobilenet_v3;
mod names;
mod path;
mod residual;
mod resnet;
mod resnet_v2;
mod vgg;
mod weights;

pub use any::{AnyBackbone, BackboneConfig};
pub use backbone::{Backbone, ConfigError, Level, Normalization, Pyramid};
pub use extent::Extent;
pub use feature_map::FeatureMap;
pub use freeze::{FreezeError, freeze, freeze_stages};
pub use inverted::Tap;
pub use mobilenet_v1::{MobileNetV1, MobileNetV1Config, MobileNetV1Flavor};
pub use mobilenet_v2::{Flavor, MobileNetV2, MobileNetV2Config};
pub use mobilenet_v3::{MobileNetV3, MobileNetV3Config};
pub use names::parameter_names;
pub use resnet::{ResNet, ResNetConfig, ResNetVariant};
pub use resnet_v2::{ResNetV2, ResNetV2Config};
pub use scarf_weights::{Allow, Array, LoadReport, Misshapen, Rename, Weights, WeightsError};
pub use vgg::{Vgg, VggConfig, VggForm};
pub use weights::ModuleWeights;
