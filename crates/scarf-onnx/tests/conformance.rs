//! Every backbone, neck and head with random weights: onnxruntime's maps, scores and boxes are ours.

mod common;

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor};
use common::{Jobs, detections, difference, lived_in, numbers, pixels, python};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::layers::{Conv2dConfig, MaxPool2d};
use scarf_backbones::{Allow, Backbone, BackboneConfig, FeatureMap, Weights};
use scarf_core::{Classes, Detection};
use scarf_heads::{AnyHead, BoxCoder, Detector, DetectorConfig, HeadConfig, Neck, Predictions, Scores};
use scarf_onnx::{ExportOptions, Trace, export};

/// The recipes of `crates/scarf-backbones/tests/conformance.rs`.
const BACKBONES: [&str; 11] = [
    "[mobilenet_v1]",
    "mobilenet_v1 = { width = 0.25, outputs = [3, 5, 11], norm = 'none' }",
    "[mobilenet_v2]",
    "mobilenet_v2 = { width = 0.35, flavor = 'tensorflow', \
     outputs = [{ block = 3 }, { block = 6 }, { expansion = 14 }], norm = { frozen = { epsilon = 1e-3 } } }",
    "resnet = { depth = 18, outputs = [1, 2, 3, 4] }",
    "resnet = { depth = 34, outputs = [2] }",
    "[resnet]",
    "resnet = { depth = 101, variant = 'v1.5', outputs = [1, 3] }",
    "vgg = { form = { plain = [1, 3, 5] } }",
    "vgg = { form = { plain = [4] }, norm = { batch = { epsilon = 1e-5, momentum = 0.1 } } }",
    "[vgg]",
];
/// Batch, rows and columns.
const SIZES: [[usize; 3]; 3] = [[1, 1, 1], [2, 33, 50], [3, 64, 31]];

#[test]
fn backbones() {
    let Some(python) = python() else { return };
    let device = Device::default();
    let (mut jobs, mut expected) = (Jobs::new(), Vec::new());
    for (seed, recipe) in (0..).zip(BACKBONES) {
        let config: BackboneConfig = toml::from_str(recipe).unwrap();
        let backbone = config.init(&device, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        let backbone = lived_in(backbone, seed);
        for [batch, rows, columns] in SIZES {
            let images = pixels([batch, 3, rows, columns], seed) / 64.0 - 2.0;
            let trace = Trace::new(&backbone);
            let maps = backbone.forward(trace.input("images", [3, rows, columns])).0;
            for (level, map) in maps.iter().enumerate() {
                trace.output(&format!("level{level}"), map);
            }
            jobs.add(&trace.finish(), &images);
            expected.push((recipe, [batch, rows, columns], backbone.forward(images).0));
        }
    }
    for (answer, (recipe, size, maps)) in jobs.run(&python).iter().zip(expected) {
        for (level, map) in maps.into_iter().enumerate() {
            let name = format!("level{level}");
            assert_eq!(answer.shape(&name), map.dims(), "{recipe} {size:?}");
            let difference = difference(&answer.floats(&name), &numbers(map));
            println!("{difference:.1e} {recipe} {size:?} {name}");
            assert!(difference < 1e-4, "{recipe} {size:?} {name}: {difference:e}");
        }
    }
}

/// What no backbone above does: the rest of [`FeatureMap`].
fn odd<M: FeatureMap>(x: M, conv: &scarf_backbones::layers::Conv2d) -> Vec<M> {
    use scarf_backbones::layers::Activation::{HardSigmoid, HardSwish, None};
    let [_, _, rows, columns] = x.dims();
    let y = conv.forward(x.clone(), HardSwish);
    let gate = y.clone().mean_pixel().activate(HardSigmoid);
    let pool = |kernel, stride, padding, ceil| MaxPool2d { kernel, stride, padding, ceil };
    vec![
        y.clone().times(gate),
        M::cat_channels(vec![x.clone(), y.clone(), conv.forward(x.clone(), None)]),
        y.clone().resize_nearest([2 * rows, 2 * columns - 1]),
        y.clone().resize_nearest([3 * rows + 1, columns]),
        y.clone().max_pool(pool(3, 2, 1, true)),
        y.clone().max_pool(pool(2, 2, 1, true)),
        y.max_pool(pool(1, 2, 0, false)),
    ]
}

#[test]
fn other_operations() {
    let Some(python) = python() else { return };
    let (mut jobs, mut expected) = (Jobs::new(), Vec::new());
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let conv = Conv2dConfig::new(3, 3, 3).with_bias(true).init(&Device::default(), &mut rng);
    for [batch, rows, columns] in [[1, 7, 10], [2, 12, 9], [1, 2, 3]] {
        let images = pixels([batch, 3, rows, columns], 9) / 64.0 - 2.0;
        let trace = Trace::new(&conv);
        for (level, map) in odd(trace.input("images", [3, rows, columns]), &conv).iter().enumerate() {
            trace.output(&format!("level{level}"), map);
        }
        let graph = trace.finish();
        assert_eq!(graph.cost().parameters, 3 * 3 * 9 + 3, "a layer used twice has its parameters once");
        jobs.add(&graph, &images);
        expected.push(odd(images, &conv));
    }
    for (answer, maps) in jobs.run(&python).iter().zip(expected) {
        for (level, map) in maps.into_iter().enumerate() {
            let name = format!("level{level}");
            assert_eq!(answer.shape(&name), map.dims(), "{name}");
            let difference = difference(&answer.floats(&name), &numbers(map));
            assert!(difference < 1e-5, "{name}: {difference:e}");
        }
    }
}

/// Detectors of every neck and head, odd sizes among them.
const DETECTORS: [&str; 6] = [
    "size = 97\nbackbone.mobilenet_v1 = { width = 0.25 }\n[neck.ssd_extras]\n[head.ssd]",
    "size = 128\nbackbone.resnet = { depth = 18 }\nneck.ssd_extras = { channels = [64, 32], norm = 'none' }\n\
     head.ssd = { kernel = 1, scores = 'sigmoid', postprocess = { score = 0.3, detections = 17 } }",
    "size = 150\nbackbone.mobilenet_v2 = { flavor = 'tensorflow' }\nneck.ssd_extras = { lite = true }\n\
     head.ssd = { kernel = 1, lite = true, scores = 'sigmoid', postprocess = { candidates = 20, iou = 0.6 } }",
    "size = 75\nbackbone.vgg = {}\nneck.ssd_extras = { channels = [64] }\n\
     head.ssd = { anchors.torchvision = { ratios = [[2.0], [2.0, 3.0], [2.0]], scales = [0.1, 0.3, 0.6, 1.05] } }",
    // Nothing is found.
    "size = 64\nbackbone.mobilenet_v1 = { width = 0.25 }\nneck.ssd_extras = { channels = [] }\n\
     head.ssd = { postprocess = { score = 0.999 } }",
    // More detections are asked for than there are anchors.
    "size = 16\nbackbone.mobilenet_v1 = { width = 0.25 }\nneck.ssd_extras = { channels = [16] }\n\
     head.ssd = { postprocess = { score = 0.0, iou = 1.0 } }",
];
const BATCH: usize = 3;

fn classes() -> Classes {
    Classes::new(["crazing", "inclusion", "patches"]).unwrap()
}

fn detector(recipe: &str, seed: u64) -> (DetectorConfig, Detector) {
    let config: DetectorConfig = toml::from_str(recipe).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let detector = config.init(classes().len(), &Device::default(), &mut rng).unwrap();
    let detector = lived_in(detector, seed);
    let side = config.size as usize;
    let Predictions { logits, deltas, .. } = predict(&config, &detector, pixels([1, 3, side, side], 77));
    let detector = weakened(detector, r"^head\..*cls\.conv\.", spread(logits));
    (config, weakened(detector, r"^head\..*boxes\.conv\.", spread(deltas)))
}

fn spread(x: Tensor<3>) -> f32 {
    let [_, count, width] = x.dims();
    x.reshape([1, count * width]).var(1).sqrt().into_scalar()
}

/// The weights whose names match divided: scores that are all 1 have no order.
fn weakened(detector: Detector, pattern: &str, by: f32) -> Detector {
    let mut weights = Weights::of(&detector).matching(pattern).unwrap();
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    for name in names {
        let mut array = weights.remove(&name).unwrap();
        array.values.iter_mut().for_each(|value| *value /= by);
        weights.insert(name, array);
    }
    weights.load_into(detector, &Allow::default().missing("").unwrap()).unwrap().0
}

fn predict(config: &DetectorConfig, detector: &Detector, images: Tensor<4>) -> Predictions {
    let images = config.backbone.normalization().apply(images);
    let features = detector.neck.forward(detector.backbone.forward(images));
    let AnyHead::Ssd(head) = &detector.head;
    head.predict(features, config.image())
}

/// Scores `[batch, anchors, classes]` and boxes `[batch, anchors, 4]`, row by row.
fn predictions(config: &DetectorConfig, detector: &Detector, images: Tensor<4>) -> [Vec<f32>; 2] {
    let HeadConfig::Ssd(settings) = &config.head;
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
fn detectors() {
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
            let close = |a: &Detection, b: &Detection| {
                let [a_box, b_box] = [a, b].map(|detection| detection.bbox.to_array());
                a.class == b.class
                    && (a.score - b.score).abs() < 1e-4
                    && a_box.iter().zip(b_box).all(|(a, b)| (a - b).abs() < 2e-2)
            };
            assert_eq!(theirs.len(), ours.len(), "image {image} of {recipe}");
            assert!(theirs.windows(2).all(|pair| pair[0].score >= pair[1].score));
            // Scores a last bit apart may change places.
            let mut left = theirs.clone();
            for (row, ours) in ours.iter().enumerate() {
                let at = left.iter().position(|theirs| close(theirs, ours));
                let at = at.unwrap_or_else(|| panic!("image {image}, row {row} of {recipe}: no {ours:?}"));
                left.remove(at);
            }
        }
        total.push(found.iter().map(Vec::len).sum::<usize>());
    }
    println!("detections: {total:?}");
    assert!(total[4] == 0 && total.iter().sum::<usize>() > 100, "{total:?}");
}

#[test]
fn what_cannot_be_exported_is_said() {
    let (config, detector) = detector(DETECTORS[0], 0);
    let two = Classes::new(["a", "b"]).unwrap();
    let error = export(&detector, &config, &two, &ExportOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "2 classes are named, but the detector tells 3 apart: name each of those");
}
