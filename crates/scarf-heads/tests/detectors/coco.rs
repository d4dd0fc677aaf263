//! Whole detectors of TensorFlow's model zoo, from the weights of SCARF_WEIGHTS, against what the original makes
//! of two pictures (`reference/NAME.ref.safetensors` there).

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_backbones::{Allow, ModuleWeights, Weights};
use scarf_core::{BBox, Size};
use scarf_heads::{AnyHead, BoxCoder, Detector, DetectorConfig, Predictions, models};
use serde_json::json;

/// Classes of COCO's 91 labels, the background left out: COCO's ids less one.
const CLASSES: usize = 90;
const CAT: usize = 16;
const PERSON: usize = 0;
const IMAGE: Size = Size { width: 300, height: 300 };

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SCARF_WEIGHTS").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: SCARF_WEIGHTS names no folder of published weights");
    }
    folder
}

fn ssdlite() -> DetectorConfig {
    models::get("ssdlite300_mobilenet_v2_coco").unwrap().model
}

fn ssd_mobilenet_v1_075() -> DetectorConfig {
    serde_json::from_value(json!({
        "size": 300,
        "backbone": {"mobilenet_v1": {"width": 0.75, "norm": "none"}},
        "neck": {"ssd_extras": {"channels": [384, 192, 192, 96], "norm": "none"}},
        "head": {"ssd": {"kernel": 1, "scores": "sigmoid", "postprocess": {"iou": 0.6}}},
    }))
    .unwrap()
}

fn load(config: &DetectorConfig, folder: &Path, name: &str) -> Detector {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let detector = config.init(CLASSES, &Device::default(), &mut rng).unwrap();
    let weights = Weights::open(folder.join(format!("{name}.safetensors"))).unwrap();
    let weights = config.adapt(weights).unwrap();
    // The file's anchors are numbers of its own; nothing of ours may be missing.
    let allow = Allow::default().unexpected("^anchors_yxyx_f32$").unwrap();
    weights.load_into(detector, &allow).unwrap().0
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec().unwrap()
}

/// Fails where the Euclidean norm of the difference is more than `limit` of the expected one.
fn assert_close(what: &str, actual: &[f32], expected: &[f32], limit: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut actual.iter().zip(expected).map(|(a, b)| f64::from(a - b)));
    let relative = difference / norm(&mut expected.iter().map(|&v| v.into()));
    println!("{what}: relative error {relative:.1e}");
    assert!(relative <= limit, "{what}: relative error {relative:e}");
}

/// `y, x, h, w` or `y1, x1, y2, x2` to the order with x first.
fn x_first(values: &[f32]) -> Vec<f32> {
    values.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect()
}

/// Everything of one detector; then the best detection on each picture, as (class, score).
fn compare(config: &DetectorConfig, name: &str) -> Option<[(usize, f32); 2]> {
    let folder = folder()?;
    let detector = load(config, &folder, name);
    let reference = Weights::open(folder.join(format!("reference/{name}.ref.safetensors"))).unwrap();
    let expected = |name: &str| reference.get(name).unwrap_or_else(|| panic!("no {name}"));
    let picture = expected("image_u8_nhwc");
    let pixels = TensorData::new(picture.values.clone(), picture.shape.clone());
    let pixels = Tensor::<4>::from_data(pixels, &Device::default()).permute([0, 3, 1, 2]);

    let features = {
        let normalized = scarf_backbones::Normalization::TENSORFLOW.apply(pixels.clone());
        use scarf_backbones::Backbone;
        use scarf_heads::Neck;
        detector.neck.forward(detector.backbone.forward(normalized))
    };
    for (level, map) in features.0.iter().enumerate() {
        let means = map.clone().mean_dim(3).mean_dim(2);
        assert_close(
            &format!("map {level}"),
            &values(means),
            &expected(&format!("map{level}_mean")).values,
            1e-4,
        );
    }
    let AnyHead::Ssd(head) = &detector.head else { panic!("another head") };
    let Predictions { logits, deltas, anchors } = head.predict(features, IMAGE);
    let [_, count, width] = logits.dims();
    let first = |all: Vec<f32>, width: usize| all[..count * width].to_vec();
    let (logits, all_deltas) = (values(logits), values(deltas));
    assert_close("logits", &first(logits, width), &expected("logits_raw_image0").values, 1e-4);
    for image in 0..2 {
        let ours = &all_deltas[image * count * 4..][..count * 4];
        let theirs = x_first(&expected(&format!("boxes_raw_image{image}")).values);
        assert_close(&format!("boxes of picture {image}"), ours, &theirs, 1e-4);
    }
    // TensorFlow's ratio is .3333, ours 1/3.
    let share = |b: &BBox<f32>| [b.x1, b.y1, b.x2, b.y2].map(|side| side / 300.0);
    let ours: Vec<f32> = anchors.iter().flat_map(share).collect();
    assert_close("anchors", &ours, &x_first(&expected("anchors_yxyx").values), 1e-5);
    let ours: Vec<f32> = all_deltas
        .chunks_exact(4)
        .zip(&anchors)
        .flat_map(|(d, anchor)| share(&BoxCoder::SSD.decode([d[0], d[1], d[2], d[3]], anchor)))
        .collect();
    assert_close("decoded boxes", &ours, &x_first(&expected("decoded_yxyx_image0").values), 1e-4);

    let found = detector.detect(pixels);
    Some([0, 1].map(|image| (found[image][0].class, found[image][0].score)))
}

#[test]
fn ssdlite_on_mobilenet_v2_finds_the_cat_and_the_person() {
    let Some([cat, person]) = compare(&ssdlite(), "ssdlite_mobilenet_v2_coco") else { return };
    assert_eq!((cat.0, person.0), (CAT, PERSON));
    assert!((cat.1 - 0.94).abs() < 0.01 && (person.1 - 0.65).abs() < 0.01, "{cat:?} {person:?}");
}

#[test]
fn ssd_on_mobilenet_v1_finds_the_cat_and_the_person() {
    let Some([cat, person]) = compare(&ssd_mobilenet_v1_075(), "ssd_mobilenet_v1_075_coco") else { return };
    assert_eq!((cat.0, person.0), (CAT, PERSON));
    assert!((cat.1 - 0.63).abs() < 0.01 && (person.1 - 0.64).abs() < 0.01, "{cat:?} {person:?}");
}
