use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{Level, Pyramid};
use scarf_core::{BBox, Detection, Size};
use scarf_kernels::{Region, single};
use serde::{Deserialize, Serialize};

use super::roi::{Lessons, RoiConfig, RoiHead, Stage};
use super::rpn::{Rpn, RpnConfig};
use super::{Head, InitHead};
use crate::{BoxCoder, ConfigError, Losses, Targets, error};

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
    /// Cascade R-CNN's further stages (Cai and Vasconcelos 2018), each of which begins where the one before it put its
    /// boxes: the IoU from which such a box answers for an object, above 0 up to 1; .6 and .7 in the paper.
    ///
    /// As there, all stages then have one box for all classes, the k-th writes it `k` times as large as Faster R-CNN,
    /// and the last one's boxes are scored by the mean of all. A stage's loss counts half as much as that of the one
    /// before it, as in mmdetection; all boxes of the one before it teach, as in detectron2.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cascade: Vec<f32>,
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
        self.cascade.iter().try_for_each(|&iou| error::iou("head.faster_rcnn.cascade", iou))?;
        let rpn = self.rpn.init(levels, device, rng)?;
        let shared = !self.cascade.is_empty();
        let mut roi = |coder, foreground| {
            self.roi.init(Stage { foreground, coder, shared }, levels, classes, device, rng)
        };
        let first = roi(BoxCoder::SSD, self.roi.foreground)?;
        let further = (2u8..).zip(&self.cascade).map(|(stage, &foreground)| {
            let weights = BoxCoder::SSD.weights.map(|weight| f32::from(stage) * weight);
            roi(BoxCoder { weights }, foreground)
        });
        let cascade = further.collect::<Result<_, _>>()?;
        Ok(FasterRcnn { rpn, roi: first, cascade, config: self.clone() })
    }
}

/// Made by [`FasterRcnnConfig`].
#[derive(Module, Debug)]
pub struct FasterRcnn {
    /// Proposes boxes.
    pub rpn: Rpn,
    /// Says what is in them.
    pub roi: RoiHead,
    /// The same of where the one before it put them; none but in a cascade.
    pub cascade: Vec<RoiHead>,
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

    /// All that comes after the first stage, in order.
    pub fn stages(&self) -> impl Iterator<Item = &RoiHead> {
        std::iter::once(&self.roi).chain(&self.cascade)
    }

    /// The losses of the same.
    fn second_losses(
        &self,
        features: &Pyramid,
        mut lessons: Lessons,
        targets: &[Targets],
        image: Size,
    ) -> [Tensor<1>; 2] {
        if lessons.regions.is_empty() {
            let nothing = || single(features.0[0].clone()).sum().mul_scalar(0.0);
            return [nothing(), nothing()];
        }
        let mut stage = &self.roi;
        let mut verdicts = stage.judge(features, &lessons.regions);
        let (mut further, mut weight) = (Vec::new(), 1.0);
        for next in &self.cascade {
            let regions = stage.moved(&verdicts.deltas, &lessons.regions, image);
            further.push((weight, stage.losses(verdicts, &lessons)));
            lessons = next.lessons_of(&regions, targets);
            verdicts = next.judge(features, &lessons.regions);
            (stage, weight) = (next, weight / 2.0);
        }
        let last = stage.losses(verdicts, &lessons).map(|loss| loss.mul_scalar(weight));
        further
            .into_iter()
            .fold(last, |[a, b], (weight, [c, d])| [a + c.mul_scalar(weight), b + d.mul_scalar(weight)])
    }
}

impl Head for FasterRcnn {
    fn loss(&self, features: Pyramid, targets: &[Targets], image: Size, rng: &mut dyn Rng) -> Losses {
        let rpn = &self.config.rpn;
        let objectness = self.rpn.predict(&features);
        let anchors = rpn.anchors(&objectness.maps, image);
        // Matching needs nothing of what a GPU is still computing, proposals wait for it.
        let [objects, places] = rpn.losses(&objectness, &anchors, targets, rng);
        let proposals = rpn.proposals(&objectness, &anchors, image, rpn.train);
        let lessons = self.roi.lessons(&proposals, targets, rng);
        let [classification, localization] = self.second_losses(&features, lessons, targets, image);
        Losses(vec![
            ("objectness", objects),
            ("proposal", places),
            ("classification", classification),
            ("localization", localization),
        ])
    }

    fn detect(&self, features: Pyramid, image: Size) -> Vec<Vec<Detection>> {
        let proposals = self.proposals(&features, image);
        let all = proposals.iter().enumerate();
        let mut regions: Vec<Region> = all
            .flat_map(|(image, own)| own.iter().map(move |own| Region { image, bbox: own.bbox.to_array() }))
            .collect();
        if regions.is_empty() {
            return vec![Vec::new(); proposals.len()];
        }
        let mut stage = &self.roi;
        let mut verdicts = stage.judge(&features, &regions);
        let mut scores = softmax(verdicts.logits, 1);
        for next in &self.cascade {
            regions = stage.moved(&verdicts.deltas, &regions, image);
            verdicts = next.judge(&features, &regions);
            scores = scores + softmax(verdicts.logits, 1);
            stage = next;
        }
        let scores = scores.div_scalar(1.0 + self.cascade.len() as f32);
        stage.detections(scores, verdicts.deltas, &regions, proposals.len(), image)
    }

    fn anchors(&self, maps: &[[usize; 2]], image: Size) -> Vec<BBox<f32>> {
        self.config.rpn.anchors(maps, image)
    }
}
