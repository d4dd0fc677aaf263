use burn::module::Module;
use burn::tensor::Device;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{Level, Pyramid};
use scarf_core::{BBox, Detection, Size};
use serde::{Deserialize, Serialize};

use super::{FasterRcnn, FasterRcnnConfig, Head, InitHead, SsdHead, SsdHeadConfig};
use crate::{ConfigError, Losses, Targets};

/// One enum of recipes and one of heads, and what both pass on to their variants.
macro_rules! heads {
    ($($(#[$doc:meta])* $variant:ident($config:ident => $head:ident),)*) => {
        /// Every head by its name in a recipe.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        pub enum HeadConfig {
            $($(#[$doc])* $variant($config),)*
        }

        /// Every head.
        #[expect(clippy::large_enum_variant, reason = "a program has one or two of them")]
        #[derive(Module, Debug)]
        pub enum AnyHead {
            $($(#[$doc])* $variant($head),)*
        }

        impl Head for AnyHead {
            fn loss(&self, features: Pyramid, targets: &[Targets], image: Size, rng: &mut dyn Rng) -> Losses {
                match self { $(Self::$variant(head) => head.loss(features, targets, image, rng),)* }
            }

            fn detect(&self, features: Pyramid, image: Size) -> Vec<Vec<Detection>> {
                match self { $(Self::$variant(head) => head.detect(features, image),)* }
            }

            fn anchors(&self, maps: &[[usize; 2]], image: Size) -> Vec<BBox<f32>> {
                match self { $(Self::$variant(head) => head.anchors(maps, image),)* }
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
                    $(Self::$variant(config) => config.init(levels, classes, device, rng).map(AnyHead::$variant),)*
                }
            }
        }
    };
}

heads! {
    /// SSD's.
    Ssd(SsdHeadConfig => SsdHead),
    /// Faster R-CNN's.
    FasterRcnn(FasterRcnnConfig => FasterRcnn),
}
