//! The second stage of Faster R-CNN (Girshick 2015; torchvision's `RoIHeads` with `TwoMLPHead`), or one of a cascade's:
//! each proposal read from the map of its size, classified and placed anew.

use burn::module::Module;
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use scarf_backbones::layers::Linear;
use scarf_backbones::{Level, Pyramid};
use scarf_core::{BBox, Detection, Size, class_wise_nms};
use scarf_kernels::{Region, RoiAlign, roi_align, single};
use serde::{Deserialize, Serialize};

use super::box_loss::{BoxLoss, Pair};
use super::rpn::BETA;
use super::terms::rows;
use super::{frame, numbers};
use crate::matcher::{Match, Matcher};
use crate::sampling::Sampler;
use crate::{BoxCoder, ConfigError, Targets, error};

/// The recipe of a [`RoiHead`]; the defaults are torchvision's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoiConfig {
    /// Levels that proposals are read from, finest first; fewer where the neck gives fewer.
    pub levels: usize,
    /// Rows and columns of bins that each proposal is read in.
    pub bins: usize,
    /// Points along each side of a bin.
    pub points: usize,
    /// Numbers between the two hidden layers, and after them.
    pub hidden: usize,
    /// IoU from which a proposal answers for an object; under it, it is background.
    pub foreground: f32,
    /// Proposals an image that teach.
    pub samples: usize,
    /// How many of those may answer for an object, as a part of all.
    pub positive: f32,
    /// How far a box is from its object.
    pub box_loss: BoxLoss,
    /// Scores up to this one are dropped.
    pub score: f32,
    /// Pixels that each side of a detection has at least.
    pub min_side: f32,
    /// IoU above which the lesser of two detections of a class goes.
    pub iou: f32,
    /// Detections kept on an image.
    pub detections: usize,
}

impl Default for RoiConfig {
    fn default() -> Self {
        Self {
            levels: 4,
            bins: 7,
            points: 2,
            hidden: 1024,
            foreground: 0.5,
            samples: 512,
            positive: 0.25,
            box_loss: BoxLoss::SmoothL1,
            score: 0.05,
            min_side: 1e-2,
            iou: 0.5,
            detections: 100,
        }
    }
}

/// What tells the stages of a cascade apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    /// IoU from which a region answers for an object.
    pub(super) foreground: f32,
    /// How a box is written.
    pub(super) coder: BoxCoder,
    /// A region has one box whatever its class, so that the next stage can begin there.
    pub(super) shared: bool,
}

impl RoiConfig {
    /// A proposal of this side, in pixels, is read from the level of stride 16 (Lin et al. 2017, equation 1).
    pub const CANONICAL: f32 = 224.0;

    /// The head for these levels and this many classes, its weights drawn from `rng`.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub(super) fn init(
        &self,
        stage: Stage,
        levels: &[Level],
        classes: usize,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Result<RoiHead, ConfigError> {
        error::count("head.faster_rcnn.roi.levels", self.levels)?;
        error::count("head.faster_rcnn.roi.bins", self.bins)?;
        error::count("head.faster_rcnn.roi.points", self.points)?;
        error::count("head.faster_rcnn.roi.hidden", self.hidden)?;
        error::count("head.faster_rcnn.roi.samples", self.samples)?;
        error::count("head.faster_rcnn.roi.detections", self.detections)?;
        error::iou("head.faster_rcnn.roi.foreground", self.foreground)?;
        error::iou("head.faster_rcnn.roi.iou", self.iou)?;
        error::share("head.faster_rcnn.roi.positive", self.positive)?;
        error::score("head.faster_rcnn.roi.score", self.score)?;
        error::pixels("head.faster_rcnn.roi.min_side", self.min_side)?;
        self.box_loss.check("head.faster_rcnn.roi.box_loss.giou.weight")?;
        let strides: Vec<usize> = levels.iter().take(self.levels).map(|level| level.stride).collect();
        let channels = levels.first().map_or(0, |level| level.channels);
        let mut linear = |input, output| Linear::new(input, output, device, rng);
        Ok(RoiHead {
            fc6: linear(channels * self.bins * self.bins, self.hidden),
            fc7: linear(self.hidden, self.hidden),
            cls: linear(self.hidden, classes + 1),
            boxes: linear(self.hidden, if stage.shared { 4 } else { 4 * (classes + 1) }),
            strides,
            stage,
            config: self.clone(),
        })
    }
}

/// Made by [`RoiConfig`].
#[derive(Module, Debug)]
pub struct RoiHead {
    /// From the bins, channel by channel and row by row.
    pub fc6: Linear,
    /// Between.
    pub fc7: Linear,
    /// Background, and then each class.
    pub cls: Linear,
    /// Background and each class, or all of them together in a cascade: `dx, dy, dw, dh`.
    pub boxes: Linear,
    strides: Vec<usize>,
    #[module(skip)]
    stage: Stage,
    #[module(skip)]
    config: RoiConfig,
}

/// Regions that are judged at once: of a batch in training all, in detection about two images'.
const AT_ONCE: usize = 2048;

/// One below the other.
fn joined(mut parts: Vec<Tensor<2>>) -> Tensor<2> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) }
}

/// What the head says of proposals, in their order.
#[derive(Clone, Debug)]
pub struct Verdicts {
    /// `[proposals, classes + 1]`, background first.
    pub logits: Tensor<2>,
    /// `[proposals, 4 (classes + 1)]`, or `[proposals, 4]` in a cascade: `dx, dy, dw, dh` of each class, by
    /// [`RoiHead::coder`].
    pub deltas: Tensor<2>,
}

/// What the proposals of a batch should have said, in the order of the regions.
#[derive(Default)]
pub(super) struct Lessons {
    pub(super) regions: Vec<Region>,
    /// 0 for background, the class plus one for an object.
    labels: Vec<usize>,
    /// Of those with an object: which, and the object.
    answering: Vec<usize>,
    pairs: Vec<Pair>,
}

impl Lessons {
    fn add(&mut self, image: usize, bbox: BBox<f32>, matched: Match, targets: &Targets) {
        if let Match::Object(object) = matched {
            self.answering.push(self.labels.len());
            self.pairs.push(Pair { anchor: bbox, object: targets.boxes[object] });
            self.labels.push(targets.classes[object] + 1);
        } else {
            self.labels.push(0);
        }
        self.regions.push(Region { image, bbox: bbox.to_array() });
    }
}

fn bbox(region: &Region) -> BBox<f32> {
    let [x1, y1, x2, y2] = region.bbox;
    BBox::new(x1, y1, x2, y2)
}

impl RoiHead {
    /// How the head writes boxes.
    pub fn coder(&self) -> BoxCoder {
        self.stage.coder
    }

    /// What there is in each region of the batch, of which there is at least one.
    pub fn judge(&self, features: &Pyramid, regions: &[Region]) -> Verdicts {
        let parts = regions.chunks(AT_ONCE).map(|regions| self.judge_at_once(features, regions));
        let (logits, deltas) = parts.map(|part| (part.logits, part.deltas)).unzip();
        Verdicts { logits: joined(logits), deltas: joined(deltas) }
    }

    /// Level by level: the bins are the largest tensors of all, and no second one is made of them.
    fn judge_at_once(&self, features: &Pyramid, regions: &[Region]) -> Verdicts {
        let bins = self.config.bins;
        let (mut parts, mut order) = (Vec::new(), Vec::with_capacity(regions.len()));
        // Coarsest first, for gradients come the other way round: the finest level, of most regions, has the least beside it.
        for (level, (map, &stride)) in features.0.iter().zip(&self.strides).enumerate().rev() {
            let on_level: Vec<usize> =
                (0..regions.len()).filter(|&at| self.level(&regions[at]) == level).collect();
            if on_level.is_empty() {
                continue;
            }
            let options =
                RoiAlign { size: [bins; 2], scale: 1.0 / stride as f32, samples: self.config.points };
            let own: Vec<Region> = on_level.iter().map(|&at| regions[at]).collect();
            let bins = roi_align(map.clone(), &own, options).flatten::<2>(1, 3);
            parts.push(relu(self.fc6.forward(bins)));
            order.extend(on_level);
        }
        let parts = joined(parts);
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(row, &at)| places[at] = row);
        let ordered = if places.is_sorted() { parts } else { parts.clone().select(0, rows(&places, &parts)) };
        let hidden = relu(self.fc7.forward(ordered));
        Verdicts {
            logits: single(self.cls.forward(hidden.clone())),
            deltas: single(self.boxes.forward(hidden)),
        }
    }

    /// The level that a region is read from: the larger, the coarser.
    fn level(&self, region: &Region) -> usize {
        let [x1, y1, x2, y2] = region.bbox;
        let side = ((x2 - x1) * (y2 - y1)).max(0.0).sqrt();
        let octave = (4.0 + (side / RoiConfig::CANONICAL).log2() + 1e-6).floor();
        let finest = self.strides[0].ilog2() as f32;
        (octave.max(finest) - finest).min((self.strides.len() - 1) as f32) as usize
    }

    /// The cross entropy of the regions that teach, and the distance of those that answer for an object; each divided by
    /// the number of the former, of which there is at least one.
    pub(super) fn losses(&self, verdicts: Verdicts, lessons: &Lessons) -> [Tensor<1>; 2] {
        let count = lessons.regions.len();
        let Verdicts { logits, deltas } = verdicts;
        let device = logits.device();
        let [_, width] = logits.dims();
        let labels: Vec<i64> = lessons.labels.iter().map(|&label| label as i64).collect();
        let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [count, 1]), &device);
        let normal = 1.0 / count as f32;
        let entropy = log_softmax(logits, 1).gather(1, labels).neg().sum().mul_scalar(normal);
        if lessons.answering.is_empty() {
            return [entropy, deltas.sum().mul_scalar(0.0)];
        }
        let of_class = |&at: &usize| if self.stage.shared { at } else { at * width + lessons.labels[at] };
        let own: Vec<usize> = lessons.answering.iter().map(of_class).collect();
        let deltas = deltas.reshape([-1, 4]);
        let own = rows(&own, &deltas);
        let loss = self.config.box_loss;
        let distances = loss.distances(deltas.select(0, own), &lessons.pairs, &self.stage.coder, BETA);
        [entropy, distances.sum().mul_scalar(normal)]
    }

    fn matcher(&self) -> Matcher {
        let iou = self.stage.foreground;
        Matcher { foreground: iou, background: iou, low_quality: false }
    }

    /// The proposals that teach, the objects themselves among them.
    pub(super) fn lessons(
        &self,
        proposals: &[Vec<Detection>],
        targets: &[Targets],
        rng: &mut dyn Rng,
    ) -> Lessons {
        let sampler = Sampler { count: self.config.samples, positive: self.config.positive };
        let mut lessons = Lessons::default();
        let matched = |(proposals, targets): (&Vec<Detection>, &Targets)| {
            let objects = targets.boxes.iter().copied();
            let boxes: Vec<_> = proposals.iter().map(|proposal| proposal.bbox).chain(objects).collect();
            let matches = self.matcher().run(&boxes, &targets.boxes);
            (boxes, matches)
        };
        let matched: Vec<_> = proposals.par_iter().zip(targets).map(matched).collect();
        for (image, ((boxes, matches), targets)) in matched.into_iter().zip(targets).enumerate() {
            for at in sampler.choose(&matches, rng) {
                lessons.add(image, boxes[at], matches[at], targets);
            }
        }
        lessons
    }

    /// What regions teach that another stage has made.
    pub(super) fn lessons_of(&self, regions: &[Region], targets: &[Targets]) -> Lessons {
        let mut lessons = Lessons::default();
        for regions in regions.chunk_by(|a, b| a.image == b.image) {
            let image = regions[0].image;
            let boxes: Vec<BBox<f32>> = regions.iter().map(bbox).collect();
            let matches = self.matcher().run(&boxes, &targets[image].boxes);
            for (bbox, matched) in boxes.into_iter().zip(matches) {
                lessons.add(image, bbox, matched, &targets[image]);
            }
        }
        lessons
    }

    /// Where the regions lie by the head's deltas of them, one for all classes.
    pub(super) fn moved(&self, deltas: &Tensor<2>, regions: &[Region], image: Size) -> Vec<Region> {
        let frame = frame(image);
        let deltas = numbers(deltas.clone());
        let moved = |(region, delta): (&Region, &[f32])| {
            let delta = [delta[0], delta[1], delta[2], delta[3]];
            let moved = self.stage.coder.decode(delta, &bbox(region)).clip(&frame);
            Region { image: region.image, bbox: moved.to_array() }
        };
        regions.iter().zip(deltas.chunks_exact(4)).map(moved).collect()
    }

    /// What there is on each of so many images, best first. `scores` `[regions, classes + 1]`, and the head's deltas of the
    /// same regions, which lie image by image.
    pub(super) fn detections(
        &self,
        scores: Tensor<2>,
        deltas: Tensor<2>,
        regions: &[Region],
        images: usize,
        image: Size,
    ) -> Vec<Vec<Detection>> {
        let width = scores.dims()[1];
        let each = deltas.dims()[1];
        let (scores, deltas) = (numbers(scores), numbers(deltas));
        let mut start = 0;
        let own: Vec<_> = regions
            .chunk_by(|a, b| a.image == b.image)
            .map(|regions| {
                let from = start;
                start += regions.len();
                (regions, &scores[from * width..start * width], &deltas[from * each..start * each])
            })
            .collect();
        let of_image = |(regions, scores, deltas): (&[Region], &[f32], &[f32])| {
            (regions[0].image, self.of_image(scores, deltas, regions, image))
        };
        let mut found = vec![Vec::new(); images];
        for (image, own) in own.into_par_iter().map(of_image).collect::<Vec<_>>() {
            found[image] = own;
        }
        found
    }

    fn of_image(&self, scores: &[f32], deltas: &[f32], regions: &[Region], image: Size) -> Vec<Detection> {
        let frame = frame(image);
        let width = scores.len() / regions.len();
        let mut found = Vec::new();
        for (at, &score) in scores.iter().enumerate() {
            let (region, label) = (at / width, at % width);
            if label == 0 || score <= self.config.score {
                continue;
            }
            let delta = &deltas[4 * if self.stage.shared { region } else { at }..][..4];
            let delta = [delta[0], delta[1], delta[2], delta[3]];
            let bbox = self.stage.coder.decode(delta, &bbox(&regions[region])).clip(&frame);
            if bbox.width() >= self.config.min_side && bbox.height() >= self.config.min_side {
                found.push(Detection { bbox, class: label - 1, score });
            }
        }
        let mut kept = class_wise_nms(&found, self.config.iou);
        kept.truncate(self.config.detections);
        kept
    }
}
