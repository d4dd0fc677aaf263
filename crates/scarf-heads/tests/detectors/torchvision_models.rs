//! torchvision's SSD300 and SSDLite320 whole, with weights drawn from a seed: anchors, raw outputs, losses, boxes
//! and one step of training (`tests/data/torchvision_models.py`, run by the Python of SCARF_TORCH).

use std::path::PathBuf;

use crate::common::{
    array, assert_close, boxes, build, forward, run_script, scaled, ssd, unused_chance, values,
};
use burn::optim::GradientsParams;
use burn::tensor::Device;
use scarf_backbones::{Allow, ModuleWeights, Weights};
use scarf_heads::{DetectorConfig, Head, Targets, models};

const CLASSES: usize = 6;

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("SCARF_TORCH").map(PathBuf::from);
    if python.is_none() {
        println!("not run: SCARF_TORCH names no Python with torchvision");
    }
    python
}

/// The weights in a file of the script, under torchvision's own names.
fn state_dict(file: &Weights) -> Weights {
    let mut weights = Weights::default();
    for name in file.names() {
        if let (Some(own), Some(array)) = (name.strip_prefix("model."), file.get(name)) {
            weights.insert(own, array.clone());
        }
    }
    weights
}

fn targets(file: &Weights, image: usize) -> Targets {
    let classes = array(file, &format!("labels{image}")).values.iter().map(|label| *label as usize - 1);
    Targets { boxes: boxes(file, &format!("boxes{image}")), classes: classes.collect() }
}

fn compare(config: &DetectorConfig, file: &Weights, what: &str) {
    let device = Device::flex();
    let weights = config.adapt(state_dict(file)).unwrap();
    let (detector, report) = weights
        .load_into(build(config, CLASSES, &device), &Allow::default())
        .unwrap_or_else(|e| panic!("{e}"));
    assert!(report.is_exact());
    let images = scaled(file, "images", &device);
    let (features, image) = forward(config, &detector, images.clone());
    let head = ssd(&detector);
    let found = head.predict(features.clone(), image);
    let anchors: Vec<f32> = found.anchors.iter().flat_map(|anchor| anchor.to_array()).collect();
    assert_close(&format!("{what} anchors"), &anchors, &array(file, "anchors").values, 1e-6);
    assert_close(&format!("{what} logits"), &values(found.logits), &array(file, "logits").values, 1e-4);
    assert_close(&format!("{what} deltas"), &values(found.deltas), &array(file, "deltas").values, 1e-4);
    let losses = head.loss(features, &[targets(file, 0), targets(file, 1)], image, &mut unused_chance());
    let ours: Vec<f32> = losses.0.into_iter().flat_map(|(_, loss)| values(loss)).collect();
    assert_close(&format!("{what} losses"), &ours, &array(file, "losses").values, 1e-4);
    for (at, mut found) in detector.detect(images).into_iter().enumerate() {
        let expected = |key: &str| &array(file, &format!("found_{key}{at}")).values;
        // torchvision keeps boxes that lie outside the image, cut to nothing; ours go, and make room at the end.
        let theirs = boxes(file, &format!("found_boxes{at}"));
        let real: Vec<usize> = (0..theirs.len()).filter(|&index| theirs[index].is_valid()).collect();
        assert!(real.len() + 10 > theirs.len() && found.len() >= real.len());
        found.truncate(real.len());
        let of = |key| real.iter().map(|&index| expected(key)[index]).collect::<Vec<f32>>();
        let labels: Vec<f32> = found.iter().map(|d| d.class as f32 + 1.0).collect();
        assert_eq!(labels, of("labels"), "{what}, image {at}");
        let scores: Vec<f32> = found.iter().map(|d| d.score).collect();
        assert_close(&format!("{what} scores"), &scores, &of("scores"), 1e-4);
        let ours: Vec<f32> = found.iter().flat_map(|d| d.bbox.to_array()).collect();
        let theirs: Vec<f32> = real.iter().flat_map(|&index| theirs[index].to_array()).collect();
        assert_close(&format!("{what} boxes"), &ours, &theirs, 1e-4);
    }
}

#[test]
fn ssdlite320_and_ssd300_are_torchvisions() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    run_script(&python, "tests/data/torchvision_models.py", &[folder.path().as_os_str()]);
    let open = |name: &str| Weights::open(folder.path().join(name)).unwrap();
    let [ssd300, lite] =
        ["ssd300_vgg16", "ssdlite320_mobilenet_v3_large"].map(|name| models::get(name).unwrap().model);
    compare(&lite, &open("ssdlite320.safetensors"), "SSDLite320");
    let file = open("ssd300.safetensors");
    compare(&ssd300, &file, "SSD300");
    one_step(&ssd300, &file, &open("ssd300_stepped.safetensors"));
    differences_are_listed(&ssd300, &file);
}

/// What one step of SGD takes from each parameter, relative to the norm of what torchvision's takes.
fn one_step(config: &DetectorConfig, file: &Weights, stepped: &Weights) {
    let device = Device::flex().autodiff();
    let before = config.adapt(state_dict(file)).unwrap();
    let (detector, _) = before.load_into(build(config, CLASSES, &device), &Allow::default()).unwrap();
    let losses = detector.loss(
        scaled(file, "images", &device),
        &[targets(file, 0), targets(file, 1)],
        &mut unused_chance(),
    );
    let gradients = GradientsParams::from_grads(losses.total().backward(), &detector);
    let mut optimizer = burn::optim::SgdConfig::new()
        .with_momentum(Some(
            burn::optim::momentum::MomentumConfig::new().with_momentum(0.9).with_dampening(0.0),
        ))
        .with_weight_decay(Some(burn::optim::decay::WeightDecayConfig::new(5e-4)))
        .init();
    let after = Weights::of(&optimizer.step(1e-3, detector, gradients));
    let expected = config.adapt(stepped.clone()).unwrap();
    for name in before.names() {
        let moved = |to: &Weights| -> Vec<f32> {
            let from = &array(&before, name).values;
            array(to, name).values.iter().zip(from).map(|(to, from)| to - from).collect()
        };
        assert_close(&format!("step of {name}"), &moved(&after), &moved(&expected), 1e-3);
    }
}

fn differences_are_listed(config: &DetectorConfig, file: &Weights) {
    let mut weights = state_dict(file);
    weights.remove("backbone.extra.4.2.bias");
    let stray = array(file, "losses").clone();
    weights.insert("backbone.extra.9.weight", stray);
    let weights = config.adapt(weights).unwrap();
    let detector = build(config, CLASSES + 1, &Device::flex());
    let error = weights.load_into(detector, &Allow::default()).unwrap_err().to_string();
    for part in [
        "1 missing: neck.extras.3.expand.conv.bias",
        "1 unexpected: backbone.extra.9.weight",
        "12 misshapen: head.heads.0.cls.conv.bias [28], not [32]",
    ] {
        assert!(error.contains(part), "{error}");
    }
}
