use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{Level, Pyramid};
use scarf_core::{BBox, Detection, Size};
use serde::{Deserialize, Serialize};

use super::{Head, InitHead, SsdHead, SsdHeadConfig};
use crate::{ConfigError, Losses, Targets};

/// Every head by its name in a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HeadConfig {
    /// SSD's.
    Ssd(SsdHeadConfig),
}

/// Every head.
#[derive(Module, Debug)]
pub enum AnyHead {
    /// SSD's.
    Ssd(SsdHead),
}

impl Head for AnyHead {
    fn loss(&self, features: Pyramid, targets: &[Targets], image: Size) -> Losses {
        match self {
            Self::Ssd(head) => head.loss(features, targets, image),
        }
    }

    fn detect(&self, features: Pyramid, image: Size) -> Vec<Vec<Detection>> {
        match self {
            Self::Ssd(head) => head.detect(features, image),
        }
    }

    fn anchors(&self, maps: &[[usize; 2]], image: Size) -> Vec<BBox<f32>> {
        match self {
            Self::Ssd(head) => head.anchors(maps, image),
        }
    }
}

impl InitHead for HeadConfig {
    type Head = AnyHead;

    fn init(
        &self,
        levels: &[Level],
        classes: usize,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Result<AnyHead, ConfigError> {
        match self {
            Self::Ssd(config) => config.init(levels, classes, device, rng).map(AnyHead::Ssd),
        }
    }
}
