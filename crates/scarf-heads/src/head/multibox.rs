//! SSD's loss (Liu et al., 2016, section 2.2; torchvision's `SSD.compute_loss`; MXNet's `MultiBoxTarget` and the
//! `valid` normalization of its `SoftmaxOutput` and `MakeLoss`).

use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Int, Tensor, TensorData};
use rayon::prelude::*;
use scarf_core::BBox;
use scarf_kernels::largest;
use serde::{Deserialize, Serialize};

use super::box_loss::{BoxLoss, Pair};
use super::terms::{rows, smooth_l1};
use crate::{BoxCoder, Losses, Matching, Scores, Targets};

/// What the sums of a loss are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalizer {
    /// Both by the anchors that answer for an object, as in the paper.
    #[default]
    Objects,
    /// Each by what counts in it, as in MXNet: the entropy by its anchors, background among them, the distance by
    /// its coordinates above 0. About a quarter of the other.
    Counted,
}

/// SSD's loss: how predictions on anchors are compared with targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiboxLoss {
    /// IoU from which an anchor answers for an object.
    pub threshold: f32,
    /// Which anchor an object has whatever the IoU.
    pub matching: Matching,
    /// Background anchors that count, for each anchor that answers for an object.
    pub negatives: f32,
    /// Which cross entropy: over all classes together, or over each by itself.
    pub scores: Scores,
    /// What the sums are divided by.
    pub normalizer: Normalizer,
    /// How far a box is from its object.
    pub box_loss: BoxLoss,
    /// How boxes are written.
    pub coder: BoxCoder,
}

/// What the anchors of a batch should have said, image after image.
struct Assignment {
    /// 0 for background, the class plus one for an object.
    labels: Vec<i64>,
    /// Anchors with an object, for each image.
    positives: Vec<usize>,
    /// The same anchors, numbered through all images, and their objects.
    answering: Vec<usize>,
    pairs: Vec<Pair>,
}

impl MultiboxLoss {
    /// `logits` `[batch, anchors, classes + 1]` (background first), `deltas` `[batch, anchors, 4]`.
    ///
    /// Both terms are sums over the anchors that count in the whole batch, divided as the normalizer says:
    /// cross entropy over the objects' anchors and the hardest background of each image, the box loss
    /// (smooth L1 with a beta of 1) over the objects' alone. An image without objects teaches nothing, as in torchvision.
    pub fn losses(
        &self,
        logits: Tensor<3>,
        deltas: Tensor<3>,
        anchors: &[BBox<f32>],
        targets: &[Targets],
    ) -> Losses {
        let [batch, count, _] = logits.dims();
        let device = logits.device();
        let assignment = self.assign(anchors, targets);
        let labels = Tensor::<3, Int>::from_data(
            TensorData::new(assignment.labels.clone(), [batch, count, 1]),
            &device,
        );
        let entropy: Tensor<2> = match self.scores {
            Scores::Softmax => log_softmax(logits, 2).gather(2, labels).neg().squeeze_dim(2),
            Scores::Sigmoid => {
                // -log(1 - sigmoid(x)) of every class, but -log(sigmoid(x)) of the right one: they differ by x.
                let right: Tensor<2> = logits.clone().gather(2, labels).squeeze_dim(2);
                let wrong: Tensor<2> = log_sigmoid(logits.neg()).neg().sum_dim(2).squeeze_dim(2);
                wrong - right
            }
        };
        let (weights, counted) = self.mine(&entropy, &assignment);
        let entropy = (entropy * weights).sum();
        let objects = assignment.positives.iter().sum::<usize>();
        let classification = entropy.mul_scalar(match self.normalizer {
            Normalizer::Objects => 1.0 / objects.max(1) as f32,
            Normalizer::Counted => 1.0 / counted.max(1) as f32,
        });
        let localization = match self.box_loss {
            BoxLoss::Giou { .. } if objects > 0 => {
                let deltas = deltas.reshape([batch * count, 4]);
                let own = rows(&assignment.answering, &deltas);
                let pairs = &assignment.pairs;
                self.localization(
                    self.box_loss.distances(deltas.select(0, own), pairs, &self.coder, 1.0),
                    objects,
                )
            }
            // All anchors at once: none need be picked, and background has no distance.
            _ => {
                let mut wanted = vec![0.0; batch * count * 4];
                for (&at, pair) in assignment.answering.iter().zip(&assignment.pairs) {
                    let encoded = self.coder.encode(&pair.object, &pair.anchor);
                    wanted[4 * at..4 * at + 4].copy_from_slice(&encoded);
                }
                let wanted = TensorData::new(wanted, [batch, count, 4]);
                let object: Vec<f32> =
                    assignment.labels.iter().map(|&l| f32::from(u8::from(l > 0))).collect();
                let object = Tensor::<3>::from_data(TensorData::new(object, [batch, count, 1]), &device);
                let distance = smooth_l1(deltas - Tensor::from_data(wanted, &device), 1.0) * object;
                self.localization(distance, objects)
            }
        };
        Losses(vec![("classification", classification), ("localization", localization)])
    }

    /// The distances of so many objects, divided as the normalizer says.
    fn localization<const D: usize>(&self, distances: Tensor<D>, objects: usize) -> Tensor<1> {
        let sum = distances.clone().sum();
        match self.normalizer {
            Normalizer::Objects => sum.mul_scalar(1.0 / objects.max(1) as f32),
            Normalizer::Counted => sum / distances.greater_elem(0.0).float().sum().clamp_min(1.0),
        }
    }

    fn assign(&self, anchors: &[BBox<f32>], targets: &[Targets]) -> Assignment {
        let mut labels = Vec::with_capacity(targets.len() * anchors.len());
        let mut positives = Vec::with_capacity(targets.len());
        let (mut answering, mut pairs) = (Vec::new(), Vec::new());
        let matched: Vec<Vec<Option<usize>>> = targets
            .par_iter()
            .map(|image| self.matching.run(anchors, &image.boxes, self.threshold))
            .collect();
        for (image, matched) in targets.iter().zip(matched) {
            positives.push(matched.iter().flatten().count());
            for (anchor, object) in anchors.iter().zip(matched) {
                if let Some(object) = object {
                    answering.push(labels.len());
                    pairs.push(Pair { anchor: *anchor, object: image.boxes[object] });
                }
                labels.push(object.map_or(0, |object| image.classes[object] as i64 + 1));
            }
        }
        Assignment { labels, positives, answering, pairs }
    }

    /// 1 for the anchors with an object and for the background of highest loss, 0 for the rest; and how many have a 1.
    fn mine(&self, entropy: &Tensor<2>, assignment: &Assignment) -> (Tensor<2>, usize) {
        let [batch, count] = entropy.dims();
        let labels = &assignment.labels;
        let objects = labels.iter().map(|&label| f32::from(u8::from(label > 0))).collect();
        let objects =
            Tensor::from_data(TensorData::new::<f32, _>(objects, [batch, count]), &entropy.device());
        let background: Vec<bool> = labels.iter().map(|&label| label == 0).collect();
        let hard: Vec<usize> = assignment
            .positives
            .iter()
            .map(|&positives| ((self.negatives * positives as f32) as usize).min(count - positives))
            .collect();
        let all = assignment.positives.iter().sum::<usize>() + hard.iter().sum::<usize>();
        (objects + largest(entropy.clone(), &background, &hard), all)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// One anchor on an object, one far off: both count, each with the binary entropies of all classes.
    #[test]
    fn the_entropy_of_each_class_by_itself() {
        let device = Device::default();
        let anchors = [BBox::new(0.0, 0.0, 10.0, 10.0), BBox::new(50.0, 50.0, 60.0, 60.0)];
        let targets = [Targets { boxes: vec![anchors[0]], classes: vec![1] }];
        let logits = [[0.5f32, -1.0, 2.0], [1.5, 0.3, -0.7]];
        let multibox = MultiboxLoss {
            threshold: 0.5,
            matching: Matching::Forced,
            negatives: 3.0,
            scores: Scores::Sigmoid,
            normalizer: Normalizer::Objects,
            box_loss: BoxLoss::SmoothL1,
            coder: BoxCoder::SSD,
        };
        let losses = multibox.losses(
            Tensor::from_data([logits], &device),
            Tensor::zeros([1, 2, 4], &device),
            &anchors,
            &targets,
        );
        let softplus = |x: f64| (1.0 + x.exp()).ln();
        let sum = |row: [f32; 3], right: usize| {
            row.iter().map(|&x| softplus(f64::from(x))).sum::<f64>() - f64::from(row[right])
        };
        let expected = sum(logits[0], 2) + sum(logits[1], 0);
        let (name, loss) = &losses.0[0];
        let loss: f32 = loss.clone().into_scalar();
        assert_eq!(*name, "classification");
        assert!((f64::from(loss) - expected).abs() < 1e-5, "{loss} {expected}");
    }

    /// Losses change as their gradients say, for every number that goes in.
    #[test]
    fn gradients_are_finite_differences() {
        let device = Device::flex().autodiff();
        let anchors: Vec<_> = (0..6).map(|at| BBox::from_xywh(20.0 * at as f32, 5.0, 16.0, 12.0)).collect();
        let objects = vec![BBox::from_xywh(1.0, 6.0, 15.0, 12.0), BBox::from_xywh(42.0, 3.0, 14.0, 14.0)];
        let targets = [Targets { boxes: objects, classes: vec![1, 0] }];
        // Around 0, where smooth L1 bends, too.
        let logits: Vec<f32> = (0..18).map(|at| (1.7 * at as f32).sin()).collect();
        let deltas: Vec<f32> = (0..24).map(|at| 1.5 * (0.9 * at as f32).cos()).collect();
        for scores in [Scores::Softmax, Scores::Sigmoid] {
            // Enough negatives for all four: which ones count does not depend on the numbers.
            let multibox = MultiboxLoss {
                threshold: 0.5,
                matching: Matching::Bipartite,
                negatives: 2.0,
                scores,
                normalizer: Normalizer::Objects,
                box_loss: BoxLoss::SmoothL1,
                coder: BoxCoder::SSD,
            };
            let tensor = |values: &[f32], width| {
                Tensor::<3>::from_data(TensorData::new(values.to_vec(), [1, 6, width]), &device)
                    .require_grad()
            };
            let loss = |logits: &[f32], deltas: &[f32]| -> f32 {
                let losses = multibox.losses(tensor(logits, 3), tensor(deltas, 4), &anchors, &targets);
                losses.total().into_scalar()
            };
            let (x, y) = (tensor(&logits, 3), tensor(&deltas, 4));
            let gradients = multibox.losses(x.clone(), y.clone(), &anchors, &targets).total().backward();
            let of = |tensor: Tensor<3>| -> Vec<f32> {
                tensor.grad(&gradients).unwrap().into_data().try_into_vec().unwrap()
            };
            let analytic = [of(x), of(y)].concat();
            assert!(analytic.iter().filter(|gradient| gradient.abs() > 1e-3).count() >= 18);
            let numbers = [logits.clone(), deltas.clone()].concat();
            let step = 1e-2;
            for (at, gradient) in analytic.iter().enumerate() {
                let moved = |by: f32| {
                    let mut numbers = numbers.clone();
                    numbers[at] += by;
                    loss(&numbers[..18], &numbers[18..])
                };
                let numeric = (moved(step) - moved(-step)) / (2.0 * step);
                assert!((numeric - gradient).abs() < 1e-3, "{scores:?} {at}: {gradient}, but {numeric}");
            }
        }
    }
}
