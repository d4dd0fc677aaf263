//! TensorFlow's COCO detectors, from the weights of SCARF_WEIGHTS, exported and run by onnxruntime on two
//! photographs: the raw numbers are ours and the original's, the detections ours, the cat and the person first.

use crate::common::{Jobs, detections, difference, numbers, photographs, python, weights};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{Allow, ModuleWeights, Weights};
use scarf_core::{BBox, Classes, Detection};
use scarf_heads::{AnyHead, BoxCoder, Detector, DetectorConfig, Predictions};
use scarf_onnx::{ExportOptions, export};

const CAT: usize = 16;
const PERSON: usize = 0;
const SSDLITE: &str = "
    size = 300
    backbone.mobilenet_v2 = { flavor = 'tensorflow', norm = 'none' }
    neck.ssd_extras = { channels = [512, 256, 256, 128], norm = 'none', lite = true }
    head.ssd = { kernel = 1, lite = true, norm = 'none', scores = 'sigmoid', postprocess = { iou = 0.6 } }";
const SSD: &str = "
    size = 300
    backbone.mobilenet_v1 = { width = 0.75, norm = 'none' }
    neck.ssd_extras = { channels = [384, 192, 192, 96], norm = 'none' }
    head.ssd = { kernel = 1, scores = 'sigmoid', postprocess = { iou = 0.6 } }";

/// COCO's labels 1 to 90.
fn classes() -> Classes {
    Classes::new((1..=90).map(|label| format!("label {label}"))).unwrap()
}

/// Scores `[2, anchors, 90]` and boxes `[2, anchors, 4]`, row by row.
fn predictions(config: &DetectorConfig, detector: &Detector, pixels: Tensor<4>) -> [Vec<f32>; 2] {
    let features = detector.features(pixels);
    let AnyHead::Ssd(head) = &detector.head else { panic!("another head") };
    let Predictions { logits, deltas, anchors } = head.predict(features, config.image());
    let boxes = numbers(deltas)
        .chunks_exact(4)
        .zip(anchors.iter().cycle())
        .flat_map(|(d, anchor)| BoxCoder::SSD.decode([d[0], d[1], d[2], d[3]], anchor).to_array())
        .collect();
    [numbers(sigmoid(logits.slice([0..2, 0..anchors.len(), 1..91]))), boxes]
}

fn compare(recipe: &str, name: &str) -> Option<[Detection; 2]> {
    let (folder, python) = (weights()?, python()?);
    let config: DetectorConfig = recipe.parse().unwrap();
    let device = Device::default();
    let detector = config.init(90, &device, &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
    let own = Weights::open(folder.join(format!("{name}.safetensors"))).unwrap();
    let allow = Allow::default().unexpected("^anchors_yxyx_f32$").unwrap();
    let detector = config.adapt(own).unwrap().load_into(detector, &allow).unwrap().0;
    let reference = Weights::open(folder.join(format!("reference/{name}.ref.safetensors"))).unwrap();
    let pixels = photographs(&reference);

    let mut jobs = Jobs::new();
    for (nms, half) in [(false, false), (true, false), (true, true)] {
        let graph = export(&detector, &config, &classes(), &ExportOptions { nms, half }).unwrap();
        println!("{name}: {:?}", graph.cost());
        jobs.add(&graph, &pixels);
    }
    let [raw, whole, half] = &jobs.run(&python)[..] else { unreachable!("three jobs") };
    let [scores, boxes] = predictions(&config, &detector, pixels.clone());
    for (part, ours) in [("scores", scores), ("boxes", boxes)] {
        let difference = difference(&raw.floats(part), &ours);
        println!("{name}: {part} differ by {difference:.1e}");
        assert!(difference < 1e-4, "{name}: {part} differ by {difference:e}");
    }
    let theirs: Vec<f32> = raw.floats("boxes")[..raw.shape("boxes")[1] * 4].to_vec();
    let original = reference.get("decoded_yxyx_image0").unwrap().values.chunks_exact(2);
    let original: Vec<f32> = original.flat_map(|yx| [300.0 * yx[1], 300.0 * yx[0]]).collect();
    assert!(difference(&theirs, &original) < 1e-4, "{name}: boxes are not the original's");

    let found = detections(whole);
    for (theirs, ours) in found.iter().zip(detector.detect(pixels)) {
        assert_eq!(theirs.len(), ours.len());
        for (row, (a, b)) in theirs.iter().zip(&ours).enumerate() {
            let corners = a.bbox.to_array().into_iter().zip(b.bbox.to_array());
            let close =
                (a.score - b.score).abs() < 1e-4 && corners.clone().all(|(a, b)| (a - b).abs() < 0.03);
            assert!(a.class == b.class && close, "{name}, row {row}: {a:?} is not {b:?}");
        }
    }
    println!("{name}: {:?} detections", found.iter().map(Vec::len).collect::<Vec<_>>());
    // Half precision moves scores a little.
    for (rough, exact) in detections(half).iter().zip(&found) {
        let (rough, exact) = (rough[0], exact[0]);
        assert_eq!(rough.class, exact.class);
        let iou = |a: BBox<f32>, b: BBox<f32>| a.iou(&b);
        assert!((rough.score - exact.score).abs() < 0.01 && iou(rough.bbox, exact.bbox) > 0.98);
    }
    Some([found[0][0], found[1][0]])
}

#[test]
fn ssdlite_on_mobilenet_v2_finds_the_cat_and_the_person() {
    let Some([cat, person]) = compare(SSDLITE, "ssdlite_mobilenet_v2_coco") else { return };
    assert_eq!((cat.class, person.class), (CAT, PERSON));
    assert!((cat.score - 0.94).abs() < 0.01 && (person.score - 0.65).abs() < 0.01, "{cat:?} {person:?}");
}

#[test]
fn ssd_on_mobilenet_v1_finds_the_cat_and_the_person() {
    let Some([cat, person]) = compare(SSD, "ssd_mobilenet_v1_075_coco") else { return };
    assert_eq!((cat.class, person.class), (CAT, PERSON));
    assert!((cat.score - 0.63).abs() < 0.01 && (person.score - 0.64).abs() < 0.01, "{cat:?} {person:?}");
}
