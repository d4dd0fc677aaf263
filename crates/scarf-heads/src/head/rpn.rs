//! The region proposal network (Ren et al. 2015; torchvision's `RegionProposalNetwork`).

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use scarf_backbones::layers::{Activation, Conv2d, Conv2dConfig, Initializer};
use scarf_backbones::{FeatureMap, Level, Pyramid};
use scarf_core::{BBox, Detection, Size, class_wise_nms};
use serde::{Deserialize, Serialize};

use super::postprocess::best_first;
use super::terms::{binary_cross_entropy, rows, smooth_l1};
use super::{flatten, frame, numbers};
use crate::matcher::{Match, Matcher};
use crate::sampling::Sampler;
use crate::{AnchorConfig, BoxCoder, ConfigError, Targets, anchors, error};

/// Where a smooth L1 turns linear.
pub(super) const BETA: f32 = 1.0 / 9.0;

/// How many proposals there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposals {
    /// Of each level, before suppression.
    pub before: usize,
    /// Of an image, after it.
    pub after: usize,
}

/// The recipe of an [`Rpn`]; the defaults are torchvision's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RpnConfig {
    /// 3x3 convolutions before the predictions; at least 1.
    pub convolutions: usize,
    /// Where the anchors lie; as many a cell on every level.
    pub anchors: AnchorConfig,
    /// IoU from which an anchor answers for an object.
    pub foreground: f32,
    /// IoU under which it is background.
    pub background: f32,
    /// Anchors an image that teach.
    pub samples: usize,
    /// How many of those may answer for an object, as a part of all.
    pub positive: f32,
    /// Proposals in training.
    pub train: Proposals,
    /// Proposals in detection.
    pub test: Proposals,
    /// IoU above which the lesser of two proposals of a level goes.
    pub iou: f32,
    /// Pixels that each side of a proposal has at least.
    pub min_side: f32,
}

impl Default for RpnConfig {
    fn default() -> Self {
        Self {
            convolutions: 1,
            anchors: AnchorConfig::torchvision_faster_rcnn(),
            foreground: 0.7,
            background: 0.3,
            samples: 256,
            positive: 0.5,
            train: Proposals { before: 2000, after: 2000 },
            test: Proposals { before: 1000, after: 1000 },
            iou: 0.7,
            min_side: 1e-3,
        }
    }
}

impl RpnConfig {
    /// The network for these levels, its weights drawn from `rng`.
    ///
    /// # Errors
    /// Where the settings do not fit the levels.
    pub(super) fn init(
        &self,
        levels: &[Level],
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Result<Rpn, ConfigError> {
        let range = |key, given: String, needed| Err(ConfigError::Range { key, given, needed });
        error::count("head.faster_rcnn.rpn.convolutions", self.convolutions)?;
        error::count("head.faster_rcnn.rpn.samples", self.samples)?;
        error::count("head.faster_rcnn.rpn.train.before", self.train.before)?;
        error::count("head.faster_rcnn.rpn.train.after", self.train.after)?;
        error::count("head.faster_rcnn.rpn.test.before", self.test.before)?;
        error::count("head.faster_rcnn.rpn.test.after", self.test.after)?;
        error::share("head.faster_rcnn.rpn.positive", self.positive)?;
        error::iou("head.faster_rcnn.rpn.iou", self.iou)?;
        error::iou("head.faster_rcnn.rpn.foreground", self.foreground)?;
        if !(self.background > 0.0 && self.background <= self.foreground) {
            let given = format!("{} under {}", self.background, self.foreground);
            return range("head.faster_rcnn.rpn.background", given, "0 < background <= foreground is needed");
        }
        error::pixels("head.faster_rcnn.rpn.min_side", self.min_side)?;
        let shapes = self.anchors.shapes(levels.len())?;
        let each = shapes.first().map_or(0, Vec::len);
        if shapes.iter().any(|level| level.len() != each) {
            let given = format!("{:?} shapes a level", shapes.iter().map(Vec::len).collect::<Vec<_>>());
            let needed = "the levels share one predictor: as many shapes on each are needed";
            return range("head.faster_rcnn.rpn.anchors", given, needed);
        }
        let channels = levels.first().map_or(0, |level| level.channels);
        if levels.iter().any(|level| level.channels != channels) {
            let given = format!("{:?}", levels.iter().map(|level| level.channels).collect::<Vec<_>>());
            return range(
                "channels of the neck's levels",
                given,
                "Faster R-CNN needs the same on all: an FPN",
            );
        }
        let mut conv = |output, kernel| {
            Conv2dConfig::new(channels, output, kernel)
                .with_bias(true)
                .with_initializer(Initializer::Normal { std: 0.01 })
                .init(device, rng)
        };
        let convs = (0..self.convolutions).map(|_| conv(channels, 3)).collect();
        Ok(Rpn { convs, cls: conv(each, 1), boxes: conv(4 * each, 1) })
    }

    fn matcher(&self) -> Matcher {
        Matcher { foreground: self.foreground, background: self.background, low_quality: true }
    }
}

/// Says of every anchor whether there is something, and where.
#[derive(Module, Debug)]
pub struct Rpn {
    /// 3x3, each with a ReLU.
    pub convs: Vec<Conv2d>,
    /// Channels: a logit an anchor.
    pub cls: Conv2d,
    /// Channels: anchor by anchor, `dx, dy, dw, dh`.
    pub boxes: Conv2d,
}

/// What an [`Rpn`] says of a batch, level by level, finest first; within a level row by row, and
/// anchor by anchor.
#[derive(Clone, Debug)]
pub struct Objectness {
    /// `[batch, anchors]`.
    pub logits: Tensor<2>,
    /// `[batch, anchors, 4]`, by the [`BoxCoder`] of weights 1.
    pub deltas: Tensor<3>,
    /// Rows and columns of each level.
    pub maps: Vec<[usize; 2]>,
}

impl Rpn {
    /// Logits `[batch, anchors, rows, columns]` and deltas `[batch, 4 anchors, rows, columns]` of each
    /// level, finest first.
    pub fn forward<M: FeatureMap>(&self, features: &Pyramid<M>) -> Vec<(M, M)> {
        let level = |feature: &M| {
            let x = self.convs.iter().fold(feature.clone(), |x, conv| conv.forward(x, Activation::Relu));
            (self.cls.forward(x.clone(), Activation::None), self.boxes.forward(x, Activation::None))
        };
        features.0.iter().map(level).collect()
    }

    /// [`forward`](Self::forward) in the order of the anchors.
    pub fn predict(&self, features: &Pyramid) -> Objectness {
        let (mut logits, mut deltas, mut maps) = (Vec::new(), Vec::new(), Vec::new());
        for (cls, boxes) in self.forward(features) {
            let [_, _, rows, columns] = cls.dims();
            maps.push([rows, columns]);
            logits.push(flatten(cls, 1));
            deltas.push(flatten(boxes, 4));
        }
        Objectness { logits: Tensor::cat(logits, 1).squeeze_dim(2), deltas: Tensor::cat(deltas, 1), maps }
    }
}

impl RpnConfig {
    /// The anchors of an image, in the order of the predictions.
    pub(super) fn anchors(&self, maps: &[[usize; 2]], image: Size) -> Vec<BBox<f32>> {
        anchors(&self.anchors, maps, image).expect("the anchors were checked when the head was made")
    }

    /// The best boxes of each image, best first, clipped to it; their class is the level they come from.
    pub(super) fn proposals(
        &self,
        objectness: &Objectness,
        anchors: &[BBox<f32>],
        image: Size,
        keep: Proposals,
    ) -> Vec<Vec<Detection>> {
        let each =
            anchors.len() / objectness.maps.iter().map(|[rows, columns]| rows * columns).sum::<usize>();
        let ends = objectness.maps.iter().scan(0, |end, [rows, columns]| {
            *end += rows * columns * each;
            Some(*end)
        });
        let ends: Vec<usize> = ends.collect();
        let logits = numbers(objectness.logits.clone());
        let best: Vec<Vec<Vec<(usize, f32)>>> = logits
            .par_chunks_exact(anchors.len())
            .map(|logits| of_levels(logits, &ends, keep.before))
            .collect();
        // A few thousand deltas of hundreds of thousands: the others stay on the device.
        let chosen = best.iter().enumerate().flat_map(|(image, levels)| {
            levels.iter().flatten().map(move |&(at, _)| image * anchors.len() + at)
        });
        let chosen: Vec<usize> = chosen.collect();
        let deltas = objectness.deltas.clone().detach().reshape([-1, 4]);
        let deltas = numbers(deltas.clone().select(0, rows(&chosen, &deltas)));
        let mut rest = deltas.as_slice();
        let of_image = best.iter().map(|levels| {
            let (own, after) = rest.split_at(4 * levels.iter().map(Vec::len).sum::<usize>());
            rest = after;
            (levels, own)
        });
        let of_image: Vec<_> = of_image.collect();
        of_image
            .into_par_iter()
            .map(|(levels, deltas)| self.kept(levels, deltas, anchors, image, keep))
            .collect()
    }

    /// Of an image's best anchors, level by level, with the deltas of each in the same order.
    fn kept(
        &self,
        levels: &[Vec<(usize, f32)>],
        deltas: &[f32],
        anchors: &[BBox<f32>],
        image: Size,
        keep: Proposals,
    ) -> Vec<Detection> {
        let frame = frame(image);
        let all =
            levels.iter().enumerate().flat_map(|(level, best)| best.iter().map(move |&best| (level, best)));
        let found = all.zip(deltas.chunks_exact(4)).filter_map(|((level, (at, logit)), delta)| {
            let delta = [delta[0], delta[1], delta[2], delta[3]];
            let bbox = BoxCoder::UNIT.decode(delta, &anchors[at]).clip(&frame);
            let wide = bbox.width() >= self.min_side && bbox.height() >= self.min_side;
            let score = 1.0 / (1.0 + (-logit).exp());
            wide.then_some(Detection { bbox, class: level, score })
        });
        let mut kept = class_wise_nms(&found.collect::<Vec<_>>(), self.iou);
        kept.truncate(keep.after);
        kept
    }

    /// The cross entropy of the anchors that teach, and the distance of those that answer for an
    /// object; each divided by the number of the former.
    pub(super) fn losses(
        &self,
        objectness: &Objectness,
        anchors: &[BBox<f32>],
        targets: &[Targets],
        rng: &mut dyn Rng,
    ) -> [Tensor<1>; 2] {
        let sampler = Sampler { count: self.samples, positive: self.positive };
        let (mut chosen, mut labels) = (Vec::new(), Vec::new());
        let (mut answering, mut wanted) = (Vec::new(), Vec::new());
        let matches: Vec<Vec<Match>> =
            targets.par_iter().map(|targets| self.matcher().run(anchors, &targets.boxes)).collect();
        for (image, (targets, matches)) in targets.iter().zip(matches).enumerate() {
            for at in sampler.choose(&matches, rng) {
                let row = image * anchors.len() + at;
                chosen.push(row);
                labels.push(f32::from(u8::from(matches!(matches[at], Match::Object(_)))));
                if let Match::Object(object) = matches[at] {
                    answering.push(row);
                    wanted.extend(BoxCoder::UNIT.encode(&targets.boxes[object], &anchors[at]));
                }
            }
        }
        let [batch, count, _] = objectness.deltas.dims();
        let logits = objectness.logits.clone().reshape([batch * count, 1]);
        let deltas = objectness.deltas.clone().reshape([batch * count, 4]);
        let device = logits.device();
        let normal = 1.0 / chosen.len().max(1) as f32;
        let teaching: Tensor<1> = logits.clone().select(0, rows(&chosen, &logits)).squeeze_dim(1);
        let labels = Tensor::from_data(TensorData::new(labels, [chosen.len()]), &device);
        let classification = binary_cross_entropy(teaching, labels).sum().mul_scalar(normal);
        if answering.is_empty() {
            return [classification, deltas.sum().mul_scalar(0.0)];
        }
        let wanted = Tensor::<2>::from_data(TensorData::new(wanted, [answering.len(), 4]), &device);
        let answers = deltas.clone().select(0, rows(&answering, &deltas));
        [classification, smooth_l1(answers - wanted, BETA).sum().mul_scalar(normal)]
    }
}

/// The anchors of the largest logits of each level, and those, best first; `ends` are the levels' last anchors, plus one.
fn of_levels(logits: &[f32], ends: &[usize], count: usize) -> Vec<Vec<(usize, f32)>> {
    let mut start = 0;
    let level = |&end: &usize| {
        let mut best: Vec<(usize, f32)> = (start..end).zip(logits[start..end].iter().copied()).collect();
        best_first(&mut best, count);
        start = end;
        best
    };
    ends.iter().map(level).collect()
}
