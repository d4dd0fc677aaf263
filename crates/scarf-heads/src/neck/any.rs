use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{FeatureMap, Level, Pyramid};
use serde::{Deserialize, Serialize};

use super::{InitNeck, Neck, SsdExtras, SsdExtrasConfig};
use crate::ConfigError;

/// Every neck by its name in a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NeckConfig {
    /// SSD's extra layers.
    SsdExtras(SsdExtrasConfig),
}

/// Every neck.
#[derive(Module, Debug)]
pub enum AnyNeck {
    /// SSD's extra layers.
    SsdExtras(SsdExtras),
}

impl Neck for AnyNeck {
    fn levels(&self) -> Vec<Level> {
        match self {
            Self::SsdExtras(neck) => neck.levels(),
        }
    }

    fn forward<M: FeatureMap>(&self, features: Pyramid<M>) -> Pyramid<M> {
        match self {
            Self::SsdExtras(neck) => neck.forward(features),
        }
    }
}

impl InitNeck for NeckConfig {
    type Neck = AnyNeck;

    fn init(&self, levels: &[Level], device: &Device, rng: &mut ChaCha8Rng) -> Result<AnyNeck, ConfigError> {
        match self {
            Self::SsdExtras(config) => config.init(levels, device, rng).map(AnyNeck::SsdExtras),
        }
    }

    fn check_size(&self, levels: &[Level], size: usize) -> Result<(), ConfigError> {
        match self {
            Self::SsdExtras(config) => config.check_size(levels, size),
        }
    }
}
