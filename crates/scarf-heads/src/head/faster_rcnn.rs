use burn::module::Module;
use burn::tensor::Device;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{Level, Pyramid};
use scarf_core::{BBox, Detection, Size};
use serde::{Deserialize, Serialize};

use super::roi::{RoiConfig, RoiHead};
use super::rpn::{Rpn, RpnConfig};
use super::{Head, InitHead};
use crate::{ConfigError, Losses, Targets};

/// Faster R-CNN's two stages (Ren et al. 2015): proposals, and what is in them.
///
/// On an FPN neck it is torchvision's `fasterrcnn_resnet50_fpn`, on an MFN neck DDN.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FasterRcnnConfig {
    /// The first stage.
    pub rpn: RpnConfig,
    /// The second stage.
    pub roi: RoiConfig,
}

impl InitHead for FasterRcnnConfig {
    type Head = FasterRcnn;

    fn init(
        &self,
        levels: &[Level],
        classes: usize,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Result<FasterRcnn, ConfigError> {
        let rpn = self.rpn.init(levels, device, rng)?;
        Ok(FasterRcnn { rpn, roi: self.roi.init(levels, classes, device, rng)?, config: self.clone() })
    }
}

/// Made by [`FasterRcnnConfig`].
#[derive(Module, Debug)]
pub struct FasterRcnn {
    /// Proposes boxes.
    pub rpn: Rpn,
    /// Says what is in them.
    pub roi: RoiHead,
    #[module(skip)]
    config: FasterRcnnConfig,
}

impl FasterRcnn {
    /// The boxes in which detection looks for objects, of each image, best first; their class is the
    /// level they come from.
    pub fn proposals(&self, features: &Pyramid, image: Size) -> Vec<Vec<Detection>> {
        let rpn = &self.config.rpn;
        let objectness = self.rpn.predict(features);
        rpn.proposals(&objectness, &rpn.anchors(&objectness.maps, image), image, rpn.test)
    }
}

impl Head for FasterRcnn {
    fn loss(&self, features: Pyramid, targets: &[Targets], image: Size, rng: &mut dyn Rng) -> Losses {
        let rpn = &self.config.rpn;
        let objectness = self.rpn.predict(&features);
        let anchors = rpn.anchors(&objectness.maps, image);
        let proposals = rpn.proposals(&objectness, &anchors, image, rpn.train);
        let [objects, places] = rpn.losses(&objectness, &anchors, targets, rng);
        let [classification, localization] = self.roi.losses(&features, &proposals, targets, rng);
        Losses(vec![
            ("objectness", objects),
            ("proposal", places),
            ("classification", classification),
            ("localization", localization),
        ])
    }

    fn detect(&self, features: Pyramid, image: Size) -> Vec<Vec<Detection>> {
        let proposals = self.proposals(&features, image);
        self.roi.detect(&features, &proposals, image)
    }

    fn anchors(&self, maps: &[[usize; 2]], image: Size) -> Vec<BBox<f32>> {
        self.config.rpn.anchors(maps, image)
    }
}
