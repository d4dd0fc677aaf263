//! Faster R-CNN with FPN against torchvision's, with weights by formula; the numbers are made by
//! `python crates/scarf-heads/tests/data/faster_rcnn_torchvision.py`.

use crate::formula::{Fixture, Zeros, close, image, same_detections, values};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{Allow, ModuleWeights, Rename, Weights};
use scarf_core::Size;
use scarf_heads::{Detector, DetectorConfig, Head, Targets};

const RECIPE: &str = r#"
    size = 128
    backbone.resnet = { depth = 18, variant = "v1.5", outputs = [1, 2, 3, 4], norm = { frozen = { epsilon = 1e-5 } } }
    neck.fpn = {}
    head.faster_rcnn.roi = { hidden = 64 }
    [head.faster_rcnn.rpn.anchors.rcnn]
    sizes = [[8], [16], [32], [64], [128]]
    ratios = [0.5, 1.0, 2.0]
"#;
const SIDE: Size = Size::new(128, 128);

fn fixture() -> Fixture {
    Fixture::new(include_bytes!("../data/faster_rcnn_torchvision.safetensors"))
}

fn detector(device: &Device) -> Detector {
    let config: DetectorConfig = RECIPE.parse().unwrap();
    let detector = config.init(6, device, &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
    let weights = config.adapt(fixture().weights()).unwrap();
    let (detector, report) = weights.load_into(detector, &Allow::default()).unwrap();
    assert!(report.is_exact(), "{report}");
    detector
}

/// The published file is older than torchvision 0.15, and so are its names; its backbone's norms are frozen here, which
/// concerns no bias of the head.
#[test]
fn files_from_before_torchvision_0_15_lose_nothing() {
    let config: DetectorConfig = RECIPE.parse().unwrap();
    let renames = [
        (r"^rpn\.head\.conv\.0\.0\.", "rpn.head.conv."),
        (r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.0\.", "$1."),
    ];
    let renames = renames.map(|(from, to)| Rename::new(from, to).unwrap());
    let legacy = fixture().weights().rename(&renames).unwrap();
    assert!(legacy.get("rpn.head.conv.bias").is_some());
    assert_eq!(config.adapt(legacy).unwrap(), config.adapt(fixture().weights()).unwrap());
}

fn images(device: &Device) -> Tensor<4> {
    Tensor::cat((0..3).map(|index| image(&format!("image{index}"), 128, device)).collect(), 0)
}

#[test]
fn what_the_network_says_is_torchvisions() {
    let (fixture, device) = (fixture(), Device::flex());
    let detector = detector(&device);
    let anchors: Vec<f32> = detector
        .head
        .anchors(&[[32, 32], [16, 16], [8, 8], [4, 4], [2, 2]], SIDE)
        .iter()
        .flat_map(|anchor| anchor.to_array())
        .collect();
    assert_eq!(anchors, fixture.floats("anchors"));
    let features = detector.features(images(&device));
    for (level, map) in features.0.iter().enumerate() {
        let mean = map.clone().mean_dim(3).mean_dim(2);
        close(&values(mean), &fixture.floats(&format!("level{level}_mean")), 1e-4, "level");
    }
    let scarf_heads::AnyHead::FasterRcnn(head) = &detector.head else { panic!("another head") };
    let objectness = head.rpn.predict(&features);
    let count = anchors.len() / 4;
    close(&values(objectness.logits.narrow(0, 0, 1)), &fixture.floats("objectness"), 1e-4, "objectness");
    close(&values(objectness.deltas.narrow(0, 0, 1)), &fixture.floats("deltas"), 1e-4, "deltas");
    assert_eq!(count, 4092);

    let proposals = head.proposals(&features, SIDE);
    let counts: Vec<f32> = proposals.iter().map(|boxes| boxes.len() as f32).collect();
    assert_eq!(counts, fixture.floats("proposal_counts"));
    let boxes: Vec<f32> = proposals[0][..300].iter().flat_map(|proposal| proposal.bbox.to_array()).collect();
    close(&boxes, &fixture.floats("proposals"), 1e-4, "proposals");
    let regions: Vec<scarf_kernels::Region> = proposals[0][..200]
        .iter()
        .map(|proposal| scarf_kernels::Region { image: 0, bbox: proposal.bbox.to_array() })
        .collect();
    let verdicts = head.roi.judge(&features, &regions);
    close(&values(verdicts.logits), &fixture.floats("logits"), 1e-4, "logits");
    close(&values(verdicts.deltas), &fixture.floats("places"), 1e-4, "places");
}

#[test]
fn detections_are_torchvisions() {
    let (fixture, device) = (fixture(), Device::flex());
    let found = detector(&device).detect(images(&device));
    for (index, found) in found.iter().enumerate() {
        same_detections(found, &fixture, index);
    }
}

#[test]
fn losses_and_a_step_of_sgd_are_torchvisions() {
    let (fixture, device) = (fixture(), Device::flex().autodiff());
    let detector = detector(&device);
    let targets: Vec<Targets> = (0..3).map(|index| fixture.targets(index)).collect();
    let losses = detector.loss(images(&device), &targets, &mut Zeros);
    let named: Vec<_> = losses.0.iter().map(|(name, _)| *name).collect();
    assert_eq!(named, ["objectness", "proposal", "classification", "localization"]);
    let ours: Vec<f32> = losses.0.iter().flat_map(|(_, loss)| values(loss.clone())).collect();
    for (name, (ours, theirs)) in named.iter().zip(ours.iter().zip(fixture.floats("losses"))) {
        close(&[*ours], &[theirs], 1e-4, name);
    }
    let before = Weights::of(&detector);
    let gradients = GradientsParams::from_grads(losses.total().backward(), &detector);
    let momentum = burn::optim::momentum::MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
    let sgd = SgdConfig::new()
        .with_momentum(Some(momentum))
        .with_weight_decay(Some(burn::optim::decay::WeightDecayConfig::new(1e-4)));
    let after = Weights::of(&sgd.init().step(0.01, detector, gradients));
    for (theirs, ours) in our_names(&fixture) {
        let Some(expected) = fixture.names().find(|name| *name == format!("step.{theirs}")) else { continue };
        let (before, after) = (before.get(&ours).unwrap(), after.get(&ours).unwrap());
        let stride = (before.values.len() / 16).max(1);
        let moved: Vec<f32> =
            before.values.iter().zip(&after.values).map(|(a, b)| b - a).step_by(stride).take(16).collect();
        close(&moved, &fixture.floats(expected), 1e-3, &ours);
    }
}

/// Our name of each of the reference's tensors, found by sending numbered ones through.
fn our_names(fixture: &Fixture) -> Vec<(String, String)> {
    let config: DetectorConfig = RECIPE.parse().unwrap();
    let weights = fixture.weights();
    let theirs: Vec<String> = weights.names().map(str::to_owned).collect();
    let mut numbered = Weights::default();
    for (number, name) in theirs.iter().enumerate() {
        let mut array = weights.get(name).unwrap().clone();
        array.values.fill(number as f32);
        numbered.insert(name, array);
    }
    let adapted = config.adapt(numbered).unwrap();
    let names = adapted.names().map(|ours| {
        let number = adapted.get(ours).unwrap().values[0] as usize;
        (theirs[number].clone(), ours.to_owned())
    });
    names.collect()
}
