//! Faster R-CNN on FPN and MFN with random weights, small ones on drawn pixels and the published ones at their own
//! size on photographs: onnxruntime's proposals and detections are ours.

use std::ops::Range;
use std::path::Path;

use crate::common::{
    Answer, Jobs, assert_same, classes, detections, lived_in, numbers, photograph, pixels, python, spread,
    weakened,
};
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_core::{BBox, Classes, Size};
use scarf_heads::{AnyHead, Detector, DetectorConfig, FasterRcnn, Head, HeadConfig, models};
use scarf_kernels::Region;
use scarf_onnx::{ExportOptions, export};

const SMALL: [&str; 6] = [
    // Large enough for proposals of every level.
    "size = 470
    backbone.resnet = { depth = 18, variant = 'v1.5', outputs = [1, 2, 3, 4] }
    neck.fpn = {}
    head.faster_rcnn.roi = { hidden = 64 }
    head.faster_rcnn.rpn.anchors.rcnn = { sizes = [[16], [40], [100], [230], [460]], ratios = [0.5, 1.0, 2.0] }",
    "size = 351
    backbone.resnet = { depth = 18, variant = 'v1.5', outputs = [2, 3, 4] }
    neck.fpn = { channels = 32, pool = false }
    head.faster_rcnn.roi = { hidden = 32, levels = 2, bins = 5, points = 3 }
    [head.faster_rcnn.rpn]
    test = { before = 90, after = 60 }
    iou = 0.5
    min_side = 6.0
    anchors.rcnn = { sizes = [[16, 24], [32, 48], [240, 300]], ratios = [0.5, 2.0] }",
    "size = 97
    backbone.resnet = { depth = 18, outputs = [1, 2, 3, 4] }
    neck.mfn = {}
    head.faster_rcnn.roi = { hidden = 48, detections = 30 }
    head.faster_rcnn.rpn.convolutions = 2
    head.faster_rcnn.rpn.anchors.rcnn = { sizes = [[16, 32, 64]], ratios = [0.5, 1.0, 2.0] }",
    // A cascade.
    "size = 160
    backbone.resnet = { depth = 18, outputs = [2, 3, 4] }
    neck.fpn = { channels = 32, pool = false }
    head.faster_rcnn.roi = { hidden = 32 }
    head.faster_rcnn.cascade = [0.6, 0.7]
    head.faster_rcnn.rpn.test = { before = 90, after = 60 }
    head.faster_rcnn.rpn.anchors.rcnn = { sizes = [[16], [32], [64]], ratios = [0.5, 1.0, 2.0] }",
    // Nothing is found.
    "size = 64
    backbone.resnet = { depth = 18, outputs = [3, 4] }
    neck.fpn = { channels = 16 }
    head.faster_rcnn.roi = { hidden = 8, score = 0.9999 }
    head.faster_rcnn.rpn.anchors.rcnn = { sizes = [[16], [32], [64]], ratios = [1.0] }",
    // Nothing is proposed.
    "size = 64
    backbone.resnet = { depth = 18, outputs = [3, 4] }
    neck.fpn = { channels = 16 }
    head.faster_rcnn.roi = { hidden = 8 }
    head.faster_rcnn.rpn.min_side = 1e9
    head.faster_rcnn.rpn.anchors.rcnn = { sizes = [[16], [32], [64]], ratios = [1.0] }",
];

fn head(detector: &Detector) -> &FasterRcnn {
    let AnyHead::FasterRcnn(head) = &detector.head else { panic!("another head") };
    head
}

/// A detector and the images that it is asked about.
struct Case {
    name: String,
    config: DetectorConfig,
    classes: Classes,
    detector: Detector,
    images: Tensor<4>,
}

impl Case {
    /// Random weights, scaled for what is seen in the images: scores that are all 0 or 1 would have no order.
    fn new(
        name: impl Into<String>,
        config: DetectorConfig,
        classes: Classes,
        images: Tensor<4>,
        seed: u64,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let detector = config.init(classes.len(), &Device::default(), &mut rng).unwrap();
        let detector = lived_in(detector, seed);
        let features = detector.features(images.clone().narrow(0, 0, 1));
        let objectness = head(&detector).rpn.predict(&features);
        let detector = weakened(detector, r"^head\.rpn\.cls\.", spread(objectness.logits));
        let detector = weakened(detector, r"^head\.rpn\.boxes\.", 2.0 * spread(objectness.deltas));
        let anchors = detector.head.anchors(&objectness.maps, config.image());
        let regions: Vec<Region> = anchors
            .iter()
            .step_by(anchors.len().div_ceil(100))
            .map(|anchor| Region { image: 0, bbox: anchor.to_array() })
            .collect();
        let mut detector = detector;
        for (index, further) in head(&detector).cascade.clone().iter().enumerate() {
            let verdicts = further.judge(&features, &regions);
            let name = format!(r"^head\.cascade\.{index}\.");
            detector = weakened(detector, &format!(r"{name}cls\."), spread(verdicts.logits) / 2.0);
            detector = weakened(detector, &format!(r"{name}boxes\."), spread(verdicts.deltas) / 2.0);
        }
        let verdicts = head(&detector).roi.judge(&features, &regions);
        let detector = weakened(detector, r"^head\.roi\.cls\.", spread(verdicts.logits) / 2.0);
        let detector = weakened(detector, r"^head\.roi\.boxes\.", spread(verdicts.deltas) / 2.0);
        Self { name: name.into(), config, classes, detector, images }
    }
}

fn small() -> Vec<Case> {
    let case = |((recipe, classes), seed): ((&str, Classes), u64)| {
        let config: DetectorConfig = recipe.parse().unwrap();
        let side = config.size as usize;
        Case::new(recipe, config, classes, pixels([2, 3, side, side], seed), seed)
    };
    // Of one class each second stage has a box for it and one for the background, or one for all as a cascade has.
    let one = || Classes::new(["crazing"]).unwrap();
    let of_one = [SMALL[1], SMALL[3]].map(|recipe| (recipe, one()));
    SMALL.map(|recipe| (recipe, classes())).into_iter().chain(of_one).zip(0..).map(case).collect()
}

/// Of models with the same recipe the first alone.
fn published() -> Option<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for name in models::names() {
        let config = models::get(name).unwrap().model;
        let other = matches!(config.head, HeadConfig::Ssd(_));
        if other || cases.iter().any(|case| case.config == config) {
            continue;
        }
        let images = photograph(cases.len(), config.size as usize)?;
        cases.push(Case::new(name, config, classes(), images, 1));
    }
    Some(cases)
}

/// Of each proposal of an image its box, and those of the classes, clipped, and their scores.
fn judged(case: &Case) -> Vec<(Vec<f32>, Vec<f32>)> {
    let Case { config, classes, detector, images, .. } = case;
    let features = detector.features(images.clone());
    let proposals = head(detector).proposals(&features, config.image());
    let Size { width, height } = config.image();
    let frame = BBox::new(0.0, 0.0, width as f32, height as f32);
    let width = classes.len() + 1;
    let of_image = |(image, proposals): (usize, &Vec<scarf_core::Detection>)| {
        if proposals.is_empty() {
            return (vec![], vec![]);
        }
        let stages: Vec<_> = head(detector).stages().collect();
        let mut boxes: Vec<BBox<f32>> = proposals.iter().map(|own| own.bbox).collect();
        let mut scores = vec![0.0; boxes.len() * classes.len()];
        for stage in &stages {
            let regions: Vec<Region> =
                boxes.iter().map(|own| Region { image, bbox: own.to_array() }).collect();
            let verdicts = stage.judge(&features, &regions);
            let own = burn::tensor::activation::softmax(verdicts.logits, 1);
            let own = numbers(own.slice([0..regions.len(), 1..width]));
            scores.iter_mut().zip(own).for_each(|(sum, own)| *sum += own / stages.len() as f32);
            let deltas = numbers(verdicts.deltas);
            let each = deltas.len() / 4 / regions.len();
            let moved = deltas.chunks_exact(4).enumerate().filter(|(at, _)| each == 1 || at % each > 0);
            let moved = moved.map(|(at, d)| {
                stage.coder().decode([d[0], d[1], d[2], d[3]], &boxes[at / each]).clip(&frame)
            });
            boxes = moved.collect();
        }
        // In a cascade a box is that of all classes.
        let repeated = scores.len() / boxes.len();
        (scores, boxes.iter().flat_map(|bbox| vec![bbox.to_array(); repeated]).flatten().collect())
    };
    proposals.iter().enumerate().map(of_image).collect()
}

/// What onnxruntime makes of each, up to the verdicts on proposals, or up to detections (`nms`).
fn run(cases: &[Case], nms: bool, python: &Path) -> Vec<Answer> {
    let mut jobs = Jobs::new();
    for Case { config, classes, detector, images, .. } in cases {
        let options = ExportOptions { nms, ..Default::default() };
        jobs.add(&export(detector, config, classes, &options).unwrap(), images);
    }
    jobs.run(python)
}

/// Fails unless the proposals with their verdicts are onnxruntime's. How many there are in each image.
fn compare_proposals(cases: &[Case], python: &Path) -> Vec<usize> {
    let mut proposed = Vec::new();
    for (answer, case) in run(cases, false, python).iter().zip(cases) {
        let Case { name, classes, images, .. } = case;
        let (rows, width) = (answer.shape("scores")[1], classes.len());
        assert_eq!(answer.shape("boxes"), [images.dims()[0], rows, width, 4]);
        let (scores, boxes) = (answer.floats("scores"), answer.floats("boxes"));
        for (image, (our_scores, our_boxes)) in judged(case).iter().enumerate() {
            let count = our_scores.len() / width;
            let (their_scores, behind) =
                scores[image * rows * width..][..rows * width].split_at(count * width);
            assert!(behind.iter().all(|&score| score == 0.0), "{name}");
            let their_boxes = &boxes[image * rows * width * 4..][..count * width * 4];
            let far = |a: &[f32], b: &[f32], by: f32| a.iter().zip(b).any(|(a, b)| (a - b).abs() > by);
            let same = |ours: usize, theirs: usize| {
                let [our, their] = [ours, theirs].map(|row| row * width..(row + 1) * width);
                let corners = |own: &Range<usize>| 4 * own.start..4 * own.end;
                !far(&their_scores[their.clone()], &our_scores[our.clone()], 1e-4)
                    && !far(&their_boxes[corners(&their)], &our_boxes[corners(&our)], 2e-2)
            };
            // Proposals of scores a last bit apart may change places: few of many, or two neighbours of few.
            let off: Vec<usize> = (0..count).filter(|&row| !same(row, row)).collect();
            let neighbours = matches!(off[..], [one, other] if other == one + 1);
            assert!(
                off.len() <= count / 50 || neighbours,
                "{off:?} of {count} differ in image {image} of {name}"
            );
            for &row in &off {
                assert!(off.iter().any(|&other| same(row, other)), "proposal {row} of {name} is not there");
            }
            proposed.push(count);
        }
    }
    proposed
}

/// Fails unless the detections are onnxruntime's. How many there are in each image.
fn compare_detections(cases: &[Case], python: &Path) -> Vec<usize> {
    let mut found = Vec::new();
    for (answer, Case { name, detector, images, .. }) in run(cases, true, python).iter().zip(cases) {
        let ours = detector.detect(images.clone());
        for (image, (theirs, ours)) in detections(answer).iter().zip(ours).enumerate() {
            assert_same(theirs, &ours, &format!("image {image} of {name}"));
            found.push(ours.len());
        }
    }
    found
}

#[test]
fn small_ones_on_drawn_pixels() {
    let Some(python) = python() else { return };
    let cases = small();
    let (proposed, found) = (compare_proposals(&cases, &python), compare_detections(&cases, &python));
    println!("proposals: {proposed:?}, detections: {found:?}");
    let total: Vec<usize> = found.chunks(2).map(|images| images.iter().sum()).collect();
    assert!(
        total[..4].iter().all(|&count| count > 10) && total[4..6] == [0, 0] && proposed[10..12] == [0, 0]
    );
    assert!(total[6..].iter().all(|&count| count > 3));
}

#[test]
fn published_ones_on_photographs() {
    let Some(python) = python() else { return };
    let Some(cases) = published() else { return };
    let found = compare_detections(&cases, &python);
    assert!(found.iter().all(|&count| count > 10), "{found:?}");
}
