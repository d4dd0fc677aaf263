//! Every loss against finite differences of itself.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{Level, Pyramid};
use scarf_core::{BBox, Detection, Size};

use super::roi::Stage;
use super::rpn::{Objectness, RpnConfig};
use super::{BoxLoss, MultiboxLoss, Normalizer, RoiConfig, Scores};
use crate::{AnchorConfig, BoxCoder, Matching, Targets, anchors};

const SIDE: Size = Size::new(64, 64);
const MAPS: [[usize; 2]; 2] = [[4, 4], [2, 2]];
/// How far each way: a difference of `f32` losses has about four digits then.
const STEP: f32 = 0.01;

fn numbers(count: usize, seed: u64, scale: f32) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0f32) * scale).collect()
}

fn targets() -> Vec<Targets> {
    let boxes = vec![BBox::new(3.0, 5.0, 30.0, 28.0), BBox::new(35.0, 10.0, 60.0, 62.0)];
    vec![Targets { boxes, classes: vec![0, 2] }, Targets::default()]
}

/// The gradient of `loss` at `values` against central differences, number by number.
fn check<const D: usize>(
    what: &str,
    values: &[f32],
    dims: [usize; D],
    loss: impl Fn(Tensor<D>) -> Tensor<1>,
) {
    let device = Device::flex().autodiff();
    let at = |values: Vec<f32>| Tensor::<D>::from_data(TensorData::new(values, dims), &device);
    let x = at(values.to_vec()).require_grad();
    let gradient = x.grad(&loss(x.clone()).backward()).unwrap();
    let gradient: Vec<f32> = gradient.into_data().try_into_vec().unwrap();
    let largest = gradient.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    assert!(largest > 0.0, "{what}: no gradient at all");
    for index in (0..values.len()).step_by((values.len() / 60).max(1)) {
        let moved = |by: f32| {
            let mut values = values.to_vec();
            values[index] += by;
            loss(at(values)).into_scalar::<f32>()
        };
        let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        let off = (difference - gradient[index]).abs();
        assert!(off <= 0.02 * largest, "{what} {index}: {} is not {difference}", gradient[index]);
    }
}

#[test]
fn multibox() {
    let config = AnchorConfig::Shapes(vec![vec![[0.3, 0.3], [0.4, 0.7]], vec![[0.6, 0.6]]]);
    let anchors = anchors(&config, &MAPS, SIDE).unwrap();
    let count = anchors.len();
    let device = Device::flex().autodiff();
    let fixed =
        |values: Vec<f32>, width| Tensor::<3>::from_data(TensorData::new(values, [2, count, width]), &device);
    let (logits, deltas) = (numbers(2 * count * 4, 1, 2.0), numbers(2 * count * 4, 2, 2.0));
    let giou = BoxLoss::Giou { weight: 2.0 };
    let kinds = [
        (Scores::Softmax, Normalizer::Objects, BoxLoss::SmoothL1),
        (Scores::Sigmoid, Normalizer::Objects, BoxLoss::SmoothL1),
        (Scores::Softmax, Normalizer::Counted, BoxLoss::SmoothL1),
        (Scores::Softmax, Normalizer::Objects, giou),
        (Scores::Softmax, Normalizer::Counted, giou),
    ];
    for (scores, normalizer, box_loss) in kinds {
        // All background counts: which is hardest may not change with the step.
        let matching = Matching::Forced;
        let multibox = MultiboxLoss {
            threshold: 0.5,
            matching,
            negatives: 1e6,
            scores,
            normalizer,
            box_loss,
            coder: BoxCoder::SSD,
        };
        let loss = |logits, deltas| multibox.losses(logits, deltas, &anchors, &targets()).total();
        check("logits", &logits, [2, count, 4], |x| loss(x, fixed(deltas.clone(), 4)));
        check("deltas", &deltas, [2, count, 4], |x| loss(fixed(logits.clone(), 4), x));
    }
}

#[test]
fn proposals() {
    let config = RpnConfig {
        anchors: AnchorConfig::Rcnn { sizes: vec![vec![16.0], vec![32.0]], ratios: vec![0.5, 1.0, 2.0] },
        ..RpnConfig::default()
    };
    let anchors = config.anchors(&MAPS, SIDE);
    let count = anchors.len();
    let device = Device::flex().autodiff();
    let (logits, deltas) = (numbers(2 * count, 3, 2.0), numbers(2 * count * 4, 4, 0.3));
    let loss = |logits: Tensor<2>, deltas: Tensor<3>| {
        let objectness = Objectness { logits, deltas, maps: MAPS.to_vec() };
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        let [objects, places] = config.losses(&objectness, &anchors, &targets(), rng);
        objects + places
    };
    check("logits", &logits, [2, count], |x| {
        loss(x, Tensor::from_data(TensorData::new(deltas.clone(), [2, count, 4]), &device))
    });
    check("deltas", &deltas, [2, count, 4], |x| {
        loss(Tensor::from_data(TensorData::new(logits.clone(), [2, count]), &device), x)
    });
}

#[test]
fn second_stage() {
    let own = Stage { foreground: 0.5, coder: BoxCoder::SSD, shared: false };
    let shared =
        Stage { foreground: 0.6, coder: BoxCoder { weights: [20.0, 20.0, 10.0, 10.0] }, shared: true };
    for (stage, box_loss) in [
        (own, BoxLoss::SmoothL1),
        (own, BoxLoss::Giou { weight: 2.0 }),
        (shared, BoxLoss::SmoothL1),
        (shared, BoxLoss::Giou { weight: 2.0 }),
    ] {
        let config = RoiConfig { hidden: 8, bins: 3, samples: 16, box_loss, ..RoiConfig::default() };
        second_stage_with(config, stage);
    }
}

fn second_stage_with(config: RoiConfig, stage: Stage) {
    let device = Device::flex().autodiff();
    let levels = [Level { channels: 2, stride: 8 }, Level { channels: 2, stride: 16 }];
    let head = config.init(stage, &levels, 3, &device, &mut ChaCha8Rng::seed_from_u64(5)).unwrap();
    let proposal = |x1, y1, x2, y2| Detection { bbox: BBox::new(x1, y1, x2, y2), class: 0, score: 0.5 };
    let proposals = [
        vec![
            proposal(2.0, 4.0, 31.0, 30.0),
            proposal(30.0, 8.0, 63.0, 60.0),
            proposal(0.0, 40.0, 20.0, 60.0),
        ],
        vec![proposal(10.0, 10.0, 50.0, 40.0)],
    ];
    let coarse = Tensor::<4>::from_data(TensorData::new(numbers(64, 6, 1.0), [2, 2, 4, 4]), &device);
    check("features", &numbers(256, 7, 1.0), [2, 2, 8, 8], |fine| {
        let features = Pyramid(vec![fine, coarse.clone()]);
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        let lessons = head.lessons(&proposals, &targets(), rng);
        let verdicts = head.judge(&features, &lessons.regions);
        let [classification, localization] = head.losses(verdicts, &lessons);
        classification + localization
    });
}
