use burn::module::Module;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{FeatureMap, Level, Pyramid};
use serde::{Deserialize, Serialize};

use super::{Fpn, FpnConfig, InitNeck, Mfn, MfnConfig, Neck, SsdExtras, SsdExtrasConfig};
use crate::ConfigError;

/// One enum of recipes and one of necks, and what both pass on to their variants.
macro_rules! necks {
    ($($(#[$doc:meta])* $variant:ident($config:ident => $neck:ident),)*) => {
        /// Every neck by its name in a recipe.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        pub enum NeckConfig {
            $($(#[$doc])* $variant($config),)*
        }

        /// Every neck.
        #[expect(clippy::large_enum_variant, reason = "a program has one or two of them")]
        #[derive(Module, Debug)]
        pub enum AnyNeck {
            $($(#[$doc])* $variant($neck),)*
        }

        impl Neck for AnyNeck {
            fn levels(&self) -> Vec<Level> {
                match self { $(Self::$variant(neck) => neck.levels(),)* }
            }

            fn forward<M: FeatureMap>(&self, features: Pyramid<M>) -> Pyramid<M> {
                match self { $(Self::$variant(neck) => neck.forward(features),)* }
            }
        }

        impl InitNeck for NeckConfig {
            type Neck = AnyNeck;

            fn init(
                &self,
                levels: &[Level],
                device: &Device,
                rng: &mut ChaCha8Rng,
            ) -> Result<AnyNeck, ConfigError> {
                match self { $(Self::$variant(config) => config.init(levels, device, rng).map(AnyNeck::$variant),)* }
            }

            fn check_size(&self, levels: &[Level], size: usize) -> Result<(), ConfigError> {
                match self { $(Self::$variant(config) => config.check_size(levels, size),)* }
            }
        }
    };
}

necks! {
    /// SSD's extra layers.
    SsdExtras(SsdExtrasConfig => SsdExtras),
    /// A feature pyramid network.
    Fpn(FpnConfig => Fpn),
    /// DDN's fusion of all stages.
    Mfn(MfnConfig => Mfn),
}
