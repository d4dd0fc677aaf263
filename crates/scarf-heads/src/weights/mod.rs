//! Published files of whole detectors, under the names of ours.

mod gluoncv;
mod tensorflow;
mod torchvision;

use scarf_backbones::{BackboneConfig, Rename, Weights, WeightsError};

use crate::DetectorConfig;

impl<N, H> DetectorConfig<BackboneConfig, N, H> {
    /// `weights` of a published file, a backbone's or a whole detector's, under the names of a
    /// detector of this recipe.
    ///
    /// Whole detectors are told by their names: torchvision's SSD, SSDLite and Faster R-CNN (a `state_dict`),
    /// GluonCV's SSD (a file of `save_parameters`), and TensorFlow's model zoo, with names
    /// `extras.K.` and `heads.M.{box,cls}.`, whose boxes, written `ty, tx, th, tw`, are put into our
    /// order. What is no part of a network, such as GluonCV's tables of anchors, is left out.
    ///
    /// # Errors
    /// If parts of a block are missing.
    pub fn adapt(&self, weights: Weights) -> Result<Weights, WeightsError> {
        // What is the backbone's is first given the names of its own published files.
        let (weights, others) = if torchvision::wrote(&weights) {
            (torchvision::backbone(weights)?, torchvision::renames()?)
        } else if gluoncv::wrote(&weights) {
            (gluoncv::backbone(weights)?, gluoncv::renames()?)
        } else {
            (tensorflow::x_first(weights), tensorflow::renames()?)
        };
        let weights = self.backbone.adapt(weights)?.rename(&others)?;
        weights.rename(&[Rename::new(r"^(features|stem|stages|atrous)\.", "backbone.$1.")?])
    }
}

/// From pairs of pattern and replacement.
fn list(pairs: &[(&str, &str)]) -> Result<Vec<Rename>, WeightsError> {
    pairs.iter().map(|(pattern, replacement)| Rename::new(pattern, replacement)).collect()
}
