//! Cascade R-CNN's stages by hand: each begins where the one before it put its boxes.

use burn::module::Param;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_core::{BBox, Detection, Size, class_wise_nms};
use scarf_heads::{AnyHead, Detector, DetectorConfig, FasterRcnn, Targets};
use scarf_kernels::Region;

const SIDE: Size = Size::new(96, 96);
const CLASSES: usize = 3;

fn detector(cascade: &str, device: &Device) -> Detector {
    let recipe = format!(
        "size = 96
         backbone.mobilenet_v1 = {{ width = 0.25, outputs = [5, 11, 13] }}
         neck.fpn = {{ channels = 16, pool = false }}
         [head.faster_rcnn]
         roi = {{ hidden = 16, score = 0.0 }}
         rpn.anchors.rcnn = {{ sizes = [[16], [32], [64]], ratios = [0.5, 1.0, 2.0] }}
         {cascade}"
    );
    let config: DetectorConfig = recipe.parse().unwrap();
    config.init(CLASSES, device, &mut ChaCha8Rng::seed_from_u64(0)).unwrap()
}

fn head(detector: &Detector) -> &FasterRcnn {
    let AnyHead::FasterRcnn(head) = &detector.head else { panic!("another head") };
    head
}

fn head_mut(detector: &mut Detector) -> &mut FasterRcnn {
    let AnyHead::FasterRcnn(head) = &mut detector.head else { panic!("another head") };
    head
}

fn images(batch: usize, device: &Device) -> Tensor<4> {
    let pixels: Vec<f32> =
        (0..batch * 3 * 96 * 96).map(|at| 127.0 + 127.0 * (0.37 * at as f32).sin()).collect();
    Tensor::from_data(TensorData::new(pixels, [batch, 3, 96, 96]), device)
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

#[test]
fn detections_are_those_of_the_stages_one_after_the_other() {
    let device = Device::flex();
    let detector = detector("cascade = [0.6, 0.7]", &device);
    let head = head(&detector);
    let features = detector.features(images(1, &device));
    let frame = BBox::new(0.0, 0.0, 96.0, 96.0);
    let proposals = head.proposals(&features, SIDE).remove(0);
    let mut boxes: Vec<BBox<f32>> = proposals.iter().map(|proposal| proposal.bbox).collect();
    let mut scores = vec![0.0; boxes.len() * (CLASSES + 1)];
    for (stage, times) in head.stages().zip([1.0, 2.0, 3.0]) {
        assert_eq!(stage.coder().weights, [10.0 * times, 10.0 * times, 5.0 * times, 5.0 * times]);
        let regions: Vec<Region> =
            boxes.iter().map(|bbox| Region { image: 0, bbox: bbox.to_array() }).collect();
        let verdicts = stage.judge(&features, &regions);
        for (sum, own) in scores.iter_mut().zip(numbers(softmax(verdicts.logits, 1))) {
            *sum += own;
        }
        let deltas = numbers(verdicts.deltas);
        assert_eq!(deltas.len(), 4 * boxes.len(), "one box for all classes");
        for (bbox, d) in boxes.iter_mut().zip(deltas.chunks_exact(4)) {
            *bbox = stage.coder().decode([d[0], d[1], d[2], d[3]], bbox).clip(&frame);
        }
    }
    let moved = boxes.iter().zip(&proposals).filter(|(bbox, proposal)| bbox.iou(&proposal.bbox) < 0.99);
    assert!(moved.count() > 10, "the stages move boxes");
    let found: Vec<Detection> = scores
        .iter()
        .enumerate()
        .filter(|(at, _)| at % (CLASSES + 1) > 0)
        .map(|(at, score)| Detection {
            bbox: boxes[at / (CLASSES + 1)],
            class: at % (CLASSES + 1) - 1,
            score: score / 3.0,
        })
        .filter(|found| found.bbox.width() >= 1e-2 && found.bbox.height() >= 1e-2)
        .collect();
    let mut expected = class_wise_nms(&found, 0.5);
    expected.truncate(100);
    assert!(expected.len() > 10);
    assert_eq!(detector.detect(images(1, &device)).remove(0), expected);
}

/// Stages that move no box and say the same of it: they have the same lessons, and count 1, 1/2 and 1/4.
#[test]
fn each_stage_counts_half_of_the_one_before_it() {
    let device = Device::flex().autodiff();
    let targets = [Targets {
        boxes: vec![BBox::new(8.0, 8.0, 40.0, 30.0), BBox::new(50.0, 20.0, 90.0, 90.0)],
        classes: vec![0, 2],
    }];
    let losses = |cascade: &str| {
        let mut detector = detector(cascade, &device);
        let head = head_mut(&mut detector);
        let still = Tensor::zeros_like(&head.roi.boxes.weight.val());
        head.roi.boxes.weight = Param::from_tensor(still);
        for stage in &mut head.cascade {
            (stage.fc6, stage.fc7) = (head.roi.fc6.clone(), head.roi.fc7.clone());
            (stage.cls, stage.boxes) = (head.roi.cls.clone(), head.roi.boxes.clone());
        }
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        detector.loss(images(1, &device), &targets, rng).numbers()
    };
    let (one, three) = (losses(""), losses("cascade = [0.5, 0.5]"));
    assert_eq!((&one[..2], one.len()), (&three[..2], three.len()), "the first stage is the same");
    // But for what reaches beyond the image, which later stages have clipped.
    assert!((three[2] / one[2] - 1.75).abs() < 1e-3, "{one:?} {three:?}");
    assert!(three[3] > 1.75 * one[3], "later stages write boxes larger: {one:?} {three:?}");
    // Nothing but the objects themselves answers for an object by an IoU of 1.
    let strict = losses("cascade = [1.0, 1.0]");
    assert!(strict[3] < three[3] && strict[3] >= one[3], "{one:?} {strict:?} {three:?}");
}

#[test]
fn numbers_without_sense_are_refused_by_their_key() {
    let error = |setting: &str| {
        let recipe = format!(
            "size = 96\nbackbone.mobilenet_v1 = {{ outputs = [5, 11, 13] }}\nneck.fpn = {{ pool = false }}\n\
             head.faster_rcnn.rpn.anchors.rcnn = {{ sizes = [[8], [16], [32]], ratios = [1.0] }}\n\
             head.faster_rcnn.{setting}"
        );
        let config: DetectorConfig = recipe.parse().unwrap();
        config.init(CLASSES, &Device::flex(), &mut ChaCha8Rng::seed_from_u64(0)).unwrap_err().to_string()
    };
    let iou = "an IoU above 0 up to 1 is needed";
    for (setting, said) in [
        ("cascade = [1.5]", format!("`head.faster_rcnn.cascade` is 1.5; {iou}")),
        // At 0 whatever there is would answer, for an object that need not be there.
        ("cascade = [0.6, 0.0]", format!("`head.faster_rcnn.cascade` is 0; {iou}")),
        ("roi.foreground = 50.0", format!("`head.faster_rcnn.roi.foreground` is 50; {iou}")),
        ("roi.iou = 0.0", format!("`head.faster_rcnn.roi.iou` is 0; {iou}")),
        (
            "rpn.background = 0.0",
            "`head.faster_rcnn.rpn.background` is 0 under 0.7; 0 < background <= foreground is needed".into(),
        ),
        ("rpn.samples = 0", "`head.faster_rcnn.rpn.samples` is 0; at least 1 is needed".into()),
        (
            "roi.positive = 25.0",
            "`head.faster_rcnn.roi.positive` is 25; a part of all, above 0 up to 1, is needed".into(),
        ),
        (
            "roi.score = 1.0",
            "`head.faster_rcnn.roi.score` is 1; a number from 0 up to, not with, 1 is needed".into(),
        ),
    ] {
        assert_eq!(error(setting), said);
    }
}
