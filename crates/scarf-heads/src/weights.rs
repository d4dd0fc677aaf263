use scarf_backbones::{BackboneConfig, Rename, Weights, WeightsError};

use crate::DetectorConfig;

impl<N, H> DetectorConfig<BackboneConfig, N, H> {
    /// `weights` of a published file, a backbone's or a whole detector's, under the names of a
    /// detector of this recipe.
    ///
    /// # Errors
    /// If parts of a block are missing.
    pub fn adapt(&self, weights: Weights) -> Result<Weights, WeightsError> {
        self.backbone.adapt(weights)?.rename(&[
            Rename::new(r"^extras\.(\d+)\.(squeeze|expand)\.(weight|bias)$", "neck.extras.$1.$2.conv.$3")?,
            Rename::new(r"^heads\.", "head.heads.")?,
            Rename::new(r"^(features|stem|stages|atrous)\.", "backbone.$1.")?,
        ])
    }
}
