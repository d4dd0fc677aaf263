//! Necks: from a pyramid to the pyramid that a head looks at.

mod any;
mod fpn;
mod mfn;
mod ssd_extras;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{FeatureMap, Level, Pyramid};

pub use any::{AnyNeck, NeckConfig};
pub use fpn::{Fpn, FpnConfig};
pub use mfn::{Mfn, MfnConfig, Rise};
pub use ssd_extras::{Extra, Rectifier, SsdExtras, SsdExtrasConfig, Step};

use crate::ConfigError;

/// The middle part of a detector.
pub trait Neck: Module + ModuleDisplay + Sync {
    /// What it gives, finest first.
    fn levels(&self) -> Vec<Level>;

    /// Its pyramid, from the backbone's.
    fn forward<M: FeatureMap>(&self, features: Pyramid<M>) -> Pyramid<M>;
}

/// A recipe of a [`Neck`].
pub trait InitNeck {
    /// What it makes.
    type Neck: Neck;

    /// The neck for these levels, its weights drawn from `rng`.
    ///
    /// # Errors
    /// Where the settings do not fit the levels.
    fn init(
        &self,
        levels: &[Level],
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self::Neck, ConfigError>;

    /// Refuses images, `size` pixels a side, that are too small for it behind these levels.
    ///
    /// # Errors
    /// Names the setting.
    fn check_size(&self, _levels: &[Level], _size: usize) -> Result<(), ConfigError> {
        Ok(())
    }
}
