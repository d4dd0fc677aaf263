use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::layers::{
    Activation, Conv2d, Conv2dConfig, ConvBlock, ConvBlockConfig, Initializer, NormConfig, Padding,
};
use scarf_backbones::{FeatureMap, Level, Pyramid};
use scarf_core::{BBox, Detection, Size};
use scarf_kernels::single;
use serde::{Deserialize, Serialize};

use super::box_loss::BoxLoss;
use super::multibox::{MultiboxLoss, Normalizer};
use super::{Head, InitHead, Postprocess, flatten, numbers};
use crate::{AnchorConfig, BoxCoder, ConfigError, Losses, Matching, Targets, anchors, error};

/// How a detector's logits become scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scores {
    /// The classes and the background share one anchor's certainty: SSD's own way.
    #[default]
    Softmax,
    /// Each class by itself: the TensorFlow Object Detection API's way.
    Sigmoid,
}

/// SSD's head: on each level one convolution for classes and one for boxes (Liu et al., 2016).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SsdHeadConfig {
    /// Rows and columns of the convolutions: 3 in the paper, 1 in TensorFlow's MobileNet models.
    pub kernel: usize,
    /// SSDLite's form (Sandler et al., 2018): a 3x3 convolution of each channel alone, what `norm` says
    /// and ReLU6, before a convolution of `kernel` 1.
    pub lite: bool,
    /// SSDLite: what follows its 3x3 convolution.
    pub norm: NormConfig,
    /// How logits become scores, and which cross entropy trains them.
    pub scores: Scores,
    /// Where the initial weights of the convolutions come from; their biases are 0.
    pub initializer: Initializer,
    /// Where the anchors lie.
    pub anchors: AnchorConfig,
    /// Which anchor an object has whatever the IoU.
    pub matching: Matching,
    /// IoU from which an anchor answers for an object, in `0..=1`.
    pub match_iou: f32,
    /// Background anchors in the loss for each that answers for an object.
    pub negatives: f32,
    /// What the sums of the loss are divided by.
    pub normalizer: Normalizer,
    /// How far a box is from its object.
    pub box_loss: BoxLoss,
    /// From scores to detections.
    pub postprocess: Postprocess,
}

impl Default for SsdHeadConfig {
    fn default() -> Self {
        Self {
            kernel: 3,
            lite: false,
            norm: NormConfig::BATCH,
            scores: Scores::Softmax,
            initializer: Initializer::XavierUniform,
            anchors: AnchorConfig::default(),
            matching: Matching::Forced,
            match_iou: 0.5,
            negatives: 3.0,
            normalizer: Normalizer::Objects,
            box_loss: BoxLoss::SmoothL1,
            postprocess: Postprocess::default(),
        }
    }
}

impl SsdHeadConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let range = |key, given: String, needed| Err(ConfigError::Range { key, given, needed });
        if self.kernel.is_multiple_of(2) {
            return range("head.ssd.kernel", self.kernel.to_string(), "an odd number keeps the map's size");
        }
        if self.lite && self.kernel != 1 {
            return range("head.ssd.kernel", self.kernel.to_string(), "SSDLite's is 1, behind its 3x3 one");
        }
        error::iou("head.ssd.match_iou", self.match_iou)?;
        if !(self.negatives >= 0.0 && self.negatives.is_finite()) {
            return range("head.ssd.negatives", self.negatives.to_string(), "a number from 0 is needed");
        }
        if self.postprocess.best_class && self.scores != Scores::Softmax {
            let needed = "it compares the classes of an anchor, which wants scores = \"softmax\"";
            return range("head.ssd.postprocess.best_class", "true".into(), needed);
        }
        self.postprocess.check()?;
        error::norm("head.ssd.norm", &self.norm)?;
        self.box_loss.check("head.ssd.box_loss.giou.weight")
    }
}

impl InitHead for SsdHeadConfig {
    type Head = SsdHead;

    fn init(
        &self,
        levels: &[Level],
        classes: usize,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Result<SsdHead, ConfigError> {
        self.check()?;
        let shapes = self.anchors.shapes(levels.len())?;
        let heads = levels
            .iter()
            .zip(&shapes)
            .map(|(level, shapes)| {
                let mut predictor = |outputs| {
                    let dw = Conv2dConfig::depthwise(level.channels)
                        .with_padding(Padding::Same)
                        .with_initializer(self.initializer);
                    let dw = ConvBlockConfig::new(dw, self.norm, Activation::Relu6);
                    Predictor {
                        dw: self.lite.then(|| dw.init(device, rng)),
                        conv: Conv2dConfig::new(level.channels, outputs * shapes.len(), self.kernel)
                            .with_padding(Padding::Symmetric(self.kernel / 2))
                            .with_bias(true)
                            .with_initializer(self.initializer)
                            .init(device, rng),
                    }
                };
                LevelHead { cls: predictor(classes + 1), boxes: predictor(4) }
            })
            .collect();
        Ok(SsdHead { heads, classes, config: self.clone() })
    }
}

/// Made by [`SsdHeadConfig`].
#[derive(Module, Debug)]
pub struct SsdHead {
    /// One a level, finest first.
    pub heads: Vec<LevelHead>,
    classes: usize,
    #[module(skip)]
    config: SsdHeadConfig,
}

/// The predictors of one level.
#[derive(Module, Debug)]
pub struct LevelHead {
    /// Channels: anchor by anchor, background and then each class.
    pub cls: Predictor,
    /// Channels: anchor by anchor, `dx, dy, dw, dh`.
    pub boxes: Predictor,
}

/// From a level's features to what is said of its anchors.
#[derive(Module, Debug)]
pub struct Predictor {
    /// SSDLite: 3x3, each channel alone.
    pub dw: Option<ConvBlock>,
    /// The convolution whose channels are the predictions.
    pub conv: Conv2d,
}

impl Predictor {
    /// From a level's features to `[batch, anchors * outputs, rows, columns]`.
    pub fn forward<M: FeatureMap>(&self, x: M) -> M {
        let x = match &self.dw {
            Some(dw) => dw.forward(x),
            None => x,
        };
        self.conv.forward(x, Activation::None)
    }
}

/// What the convolutions say of a batch.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// `[batch, anchors, classes + 1]`, background first.
    pub logits: Tensor<3>,
    /// `[batch, anchors, 4]`: `dx, dy, dw, dh` by the [`BoxCoder`].
    pub deltas: Tensor<3>,
    /// One an anchor, in pixels of the image.
    pub anchors: Vec<BBox<f32>>,
}

impl SsdHead {
    /// The predictions on every anchor, level by level, finest first; within a level cell by cell in
    /// rows, and anchor by anchor. `image` is the size of the batch's images.
    pub fn predict(&self, features: Pyramid, image: Size) -> Predictions {
        let (anchors, said) = self.forward(features, image);
        let (logits, deltas): (Vec<_>, Vec<_>) =
            said.map(|(cls, boxes)| (flatten(cls, self.classes + 1), flatten(boxes, 4))).unzip();
        Predictions { logits: Tensor::cat(logits, 1), deltas: Tensor::cat(deltas, 1), anchors }
    }

    /// The anchors, and of each level what the two convolutions say of its own.
    fn forward(
        &self,
        features: Pyramid,
        image: Size,
    ) -> (Vec<BBox<f32>>, impl Iterator<Item = (Tensor<4>, Tensor<4>)>) {
        let sides = |feature: &Tensor<4>| {
            let [_, _, rows, columns] = feature.dims();
            [rows, columns]
        };
        let maps: Vec<_> = features.0.iter().map(sides).collect();
        let said = |(feature, head): (Tensor<4>, &LevelHead)| {
            (head.cls.forward(feature.clone()), head.boxes.forward(feature))
        };
        (self.anchors(&maps, image), features.0.into_iter().zip(&self.heads).map(said))
    }
}

impl Head for SsdHead {
    fn loss(&self, features: Pyramid, targets: &[Targets], image: Size, _rng: &mut dyn Rng) -> Losses {
        let Predictions { logits, deltas, anchors } = self.predict(features, image);
        let multibox = MultiboxLoss {
            threshold: self.config.match_iou,
            matching: self.config.matching,
            negatives: self.config.negatives,
            scores: self.config.scores,
            normalizer: self.config.normalizer,
            box_loss: self.config.box_loss,
            coder: BoxCoder::SSD,
        };
        multibox.losses(logits, deltas, &anchors, targets)
    }

    fn anchors(&self, maps: &[[usize; 2]], image: Size) -> Vec<BBox<f32>> {
        anchors(&self.config.anchors, maps, image).expect("the anchors were checked when the head was made")
    }

    fn detect(&self, features: Pyramid, image: Size) -> Vec<Vec<Detection>> {
        match self.config.scores {
            Scores::Softmax => self.detect_rows(features, image),
            Scores::Sigmoid => self.detect_planes(features, image),
        }
    }
}

impl SsdHead {
    /// Detections by scores of the classes of an anchor, which hang together.
    fn detect_rows(&self, features: Pyramid, image: Size) -> Vec<Vec<Detection>> {
        let Predictions { logits, deltas, anchors } = self.predict(features, image);
        let [batch, count, width] = logits.dims();
        let scores = numbers(softmax(logits, 2).slice([0..batch, 0..count, 1..width]));
        let (deltas, classes) = (numbers(deltas), width - 1);
        scores
            .chunks_exact(count * classes)
            .zip(deltas.chunks_exact(count * 4))
            .map(|(scores, deltas)| {
                let boxes: Vec<BBox<f32>> = deltas
                    .chunks_exact(4)
                    .zip(&anchors)
                    .map(|(delta, anchor)| {
                        BoxCoder::SSD.decode([delta[0], delta[1], delta[2], delta[3]], anchor)
                    })
                    .collect();
                self.config.postprocess.run(scores, classes, &boxes, image)
            })
            .collect()
    }

    /// Detections by scores that stand each by itself. The maps stay as the convolutions leave them, and all but some
    /// hundred of an image's hundred thousand logits are dropped at a glance: to turn them into rows of scores would
    /// take as long as some layers.
    fn detect_planes(&self, features: Pyramid, image: Size) -> Vec<Vec<Detection>> {
        let (width, mut first) = (self.classes + 1, 0);
        let (anchors, said) = self.forward(features, image);
        let said: Vec<_> = said.map(|(cls, boxes)| (single(cls), single(boxes))).collect();
        let batch = said.first().map_or(0, |(logits, _)| logits.dims()[0]);
        // Read when all is on its way: on a GPU the first that is read waits for everything.
        let level = |(logits, deltas): (Tensor<4>, Tensor<4>)| {
            let [_, outputs, rows, columns] = logits.dims();
            let (shapes, cells) = (outputs / width, rows * columns);
            let level = Planes { first, shapes, cells, logits: numbers(logits), deltas: numbers(deltas) };
            first += shapes * cells;
            level
        };
        let levels: Vec<Planes> = said.into_iter().map(level).collect();
        let detections = |image_of_batch: usize| {
            let mut above = vec![Vec::new(); self.classes];
            for level in &levels {
                level.above(image_of_batch, self.config.postprocess.score, &mut above);
            }
            let bbox = |anchor: usize| {
                let level =
                    levels.iter().rfind(|level| level.first <= anchor).expect("the first begins at 0");
                BoxCoder::SSD.decode(level.delta(image_of_batch, anchor), &anchors[anchor])
            };
            self.config.postprocess.keep(above, bbox, image)
        };
        (0..batch).map(detections).collect()
    }
}

/// A level's predictions as its convolutions leave them: of each image, shape by shape, a plane of cells for each output.
struct Planes {
    /// The level's first anchor.
    first: usize,
    /// Anchors of a cell.
    shapes: usize,
    cells: usize,
    logits: Vec<f32>,
    deltas: Vec<f32>,
}

impl Planes {
    /// Puts the anchors whose sigmoids are above `least` into the lists of their classes.
    fn above(&self, image: usize, least: f32, above: &mut [Vec<(usize, f32)>]) {
        // A little below, for the sigmoid rounds.
        let surely_not = if least > 0.0 { (least / (1.0 - least)).ln() - 1e-3 } else { f32::NEG_INFINITY };
        let width = above.len() + 1;
        let planes = &self.logits[image * self.shapes * width * self.cells..];
        for (output, plane) in planes.chunks_exact(self.cells).take(self.shapes * width).enumerate() {
            let (shape, Some(class)) = (output / width, (output % width).checked_sub(1)) else { continue };
            for (cell, &logit) in plane.iter().enumerate().filter(|(_, logit)| **logit > surely_not) {
                let score = sigmoid(logit);
                if score > least {
                    above[class].push((self.first + cell * self.shapes + shape, score));
                }
            }
        }
    }

    /// What is said of an anchor's box.
    fn delta(&self, image: usize, anchor: usize) -> [f32; 4] {
        let (cell, shape) = ((anchor - self.first) / self.shapes, (anchor - self.first) % self.shapes);
        let start = (image * self.shapes + shape) * 4 * self.cells + cell;
        std::array::from_fn(|index| self.deltas[start + index * self.cells])
    }
}

fn sigmoid(x: f32) -> f32 {
    // Neither form overflows where it is used.
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, activation};
    use rand::SeedableRng;

    use super::*;

    /// To the bit what comes of rows of all scores, for any least score.
    #[test]
    fn planes_are_rows() {
        let device = Device::flex();
        let levels = [Level { channels: 16, stride: 16 }, Level { channels: 8, stride: 32 }];
        for (score, pooled) in [(0.0, true), (1e-8, false), (0.01, false), (0.52, true), (0.9, false)] {
            let config = SsdHeadConfig {
                scores: Scores::Sigmoid,
                postprocess: Postprocess { score, pooled, candidates: 40, ..Postprocess::default() },
                ..SsdHeadConfig::default()
            };
            let head = config.init(&levels, 5, &device, &mut ChaCha8Rng::seed_from_u64(3)).unwrap();
            let map = |channels, rows, columns| {
                Tensor::random([3, channels, rows, columns], Distribution::Normal(0.0, 6.0), &device)
            };
            let features = Pyramid(vec![map(16, 5, 4), map(8, 3, 2)]);
            let image = Size::new(64, 80);
            let Predictions { logits, deltas, anchors } = head.predict(features.clone(), image);
            let [batch, count, width] = logits.dims();
            let scores = numbers(activation::sigmoid(logits).slice([0..batch, 0..count, 1..width]));
            let deltas = numbers(deltas);
            let by_rows = |index: usize| {
                let rows = deltas[index * count * 4..].chunks_exact(4).zip(&anchors);
                let boxes: Vec<_> = rows
                    .map(|(row, anchor)| BoxCoder::SSD.decode([row[0], row[1], row[2], row[3]], anchor))
                    .collect();
                let scores = &scores[index * count * 5..(index + 1) * count * 5];
                config.postprocess.run(scores, 5, &boxes, image)
            };
            let found = head.detect(features, image);
            assert!(score > 0.5 || found.iter().any(|found| found.len() > 5), "{found:?}");
            assert_eq!(found, (0..batch).map(by_rows).collect::<Vec<_>>(), "above {score}");
        }
    }
}
