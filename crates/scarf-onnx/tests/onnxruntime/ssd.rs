//! SSD on every backbone and neck with random weights: onnxruntime's scores, boxes and detections are ours.

use crate::common::{
    Jobs, assert_same, classes, detections, difference, lived_in, numbers, pixels, python, spread, weakened,
};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_core::Classes;
use scarf_heads::{AnyHead, BoxCoder, Detector, DetectorConfig, HeadConfig, Predictions, Scores};
use scarf_onnx::{ExportOptions, export};

/// Detectors of every neck and head, odd sizes among them.
const DETECTORS: [&str; 8] = [
    "size = 97\nbackbone.mobilenet_v1 = { width = 0.25 }\n[neck.ssd_extras]\n[head.ssd]",
    "size = 128\nbackbone.resnet = { depth = 18 }\nneck.ssd_extras = { channels = [64, 32], norm = 'none' }\n\
     head.ssd = { kernel = 1, scores = 'sigmoid', postprocess = { score = 0.3, detections = 17 } }",
    "size = 150\nbackbone.mobilenet_v2 = { flavor = 'tensorflow' }\nneck.ssd_extras = { lite = true }\n\
     head.ssd = { kernel = 1, lite = true, scores = 'sigmoid', postprocess = { candidates = 20, iou = 0.6 } }",
    "size = 75\nbackbone.vgg = {}\nneck.ssd_extras = { channels = [64] }\n\
     head.ssd = { anchors.torchvision = { ratios = [[2.0], [2.0, 3.0], [2.0]], scales = [0.1, 0.3, 0.6, 1.05] } }",
    "size = 96\nbackbone.resnet = { depth = 18 }\nneck.ssd_extras = { channels = [64] }\n\
     head.ssd = { postprocess = { pooled = true, clip = false, candidates = 150, detections = 100 } }",
    "size = 96\nbackbone.resnet = { depth = 18 }\nneck.ssd_extras = { channels = [64] }\n\
     head.ssd = { postprocess = { pooled = true, best_class = true, candidates = 60, detections = 40 } }",
    // Nothing is found.
    "size = 64\nbackbone.mobilenet_v1 = { width = 0.25 }\nneck.ssd_extras = { channels = [] }\n\
     head.ssd = { postprocess = { score = 0.999 } }",
    // More detections are asked for than there are anchors.
    "size = 16\nbackbone.mobilenet_v1 = { width = 0.25 }\nneck.ssd_extras = { channels = [16] }\n\
     head.ssd = { postprocess = { score = 0.0, iou = 1.0 } }",
];
const BATCH: usize = 3;

fn detector(recipe: &str, seed: u64) -> (DetectorConfig, Detector) {
    let config: DetectorConfig = recipe.parse().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let detector = config.init(classes().len(), &Device::default(), &mut rng).unwrap();
    let detector = lived_in(detector, seed);
    let side = config.size as usize;
    let Predictions { logits, deltas, .. } = predict(&config, &detector, pixels([1, 3, side, side], 77));
    let detector = weakened(detector, r"^head\..*cls\.conv\.", spread(logits));
    (config, weakened(detector, r"^head\..*boxes\.conv\.", spread(deltas)))
}

fn predict(config: &DetectorConfig, detector: &Detector, images: Tensor<4>) -> Predictions {
    let features = detector.features(images);
    let AnyHead::Ssd(head) = &detector.head else { panic!("another head") };
    head.predict(features, config.image())
}

/// Scores `[batch, anchors, classes]` and boxes `[batch, anchors, 4]`, row by row.
fn predictions(config: &DetectorConfig, detector: &Detector, images: Tensor<4>) -> [Vec<f32>; 2] {
    let HeadConfig::Ssd(settings) = &config.head else { panic!("another head") };
    let Predictions { logits, deltas, anchors } = predict(config, detector, images);
    let scores = match settings.scores {
        Scores::Softmax => softmax(logits, 2),
        Scores::Sigmoid => sigmoid(logits),
    };
    let scores = scores.slice([0..BATCH, 0..anchors.len(), 1..classes().len() + 1]);
    let boxes = numbers(deltas)
        .chunks_exact(4)
        .zip(anchors.iter().cycle())
        .flat_map(|(d, anchor)| BoxCoder::SSD.decode([d[0], d[1], d[2], d[3]], anchor).to_array())
        .collect();
    [numbers(scores), boxes]
}

#[test]
fn scores_boxes_and_detections() {
    let Some(python) = python() else { return };
    let (mut raw, mut whole) = (Jobs::new(), Jobs::new());
    let made: Vec<_> = DETECTORS
        .iter()
        .zip(0..)
        .map(|(recipe, seed)| {
            let (config, detector) = detector(recipe, seed);
            let side = config.size as usize;
            let images = pixels([BATCH, 3, side, side], seed);
            let graph = |nms| {
                let options = ExportOptions { nms, ..Default::default() };
                export(&detector, &config, &classes(), &options).unwrap()
            };
            raw.add(&graph(false), &images);
            whole.add(&graph(true), &images);
            (recipe, config, detector, images)
        })
        .collect();
    for (answer, (recipe, config, detector, images)) in raw.run(&python).iter().zip(&made) {
        let [scores, boxes] = predictions(config, detector, images.clone());
        let anchors = boxes.len() / 4 / BATCH;
        assert_eq!(answer.shape("scores"), [BATCH, anchors, classes().len()], "{recipe}");
        for (name, ours) in [("scores", scores), ("boxes", boxes)] {
            let difference = difference(&answer.floats(name), &ours);
            println!("{difference:.1e} {name} of {recipe:?}");
            assert!(difference < 1e-4, "{name} of {recipe}: {difference:e}");
        }
        assert_eq!(answer.metadata["classes"], r#"["crazing","inclusion","patches"]"#);
        assert_eq!(answer.metadata["size"], config.size.to_string());
        let recipe: DetectorConfig = serde_json::from_str(&answer.metadata["recipe"]).unwrap();
        assert_eq!(recipe, *config);
    }
    let mut total = Vec::new();
    for (answer, (recipe, _, detector, images)) in whole.run(&python).iter().zip(&made) {
        let found = detections(answer);
        for (image, (theirs, ours)) in found.iter().zip(detector.detect(images.clone())).enumerate() {
            assert_same(theirs, &ours, &format!("image {image} of {recipe}"));
        }
        total.push(found.iter().map(Vec::len).sum::<usize>());
    }
    println!("detections: {total:?}");
    assert!(total[6] == 0 && total.iter().sum::<usize>() > 100, "{total:?}");
}

#[test]
fn what_cannot_be_exported_is_said() {
    let (config, detector) = detector(DETECTORS[0], 0);
    let two = Classes::new(["a", "b"]).unwrap();
    let error = export(&detector, &config, &two, &ExportOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "2 classes are named, but the detector tells 3 apart: name each of those");
}
