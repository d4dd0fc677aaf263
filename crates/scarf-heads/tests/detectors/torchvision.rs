//! SSD against torchvision on fixed tensors, made by `python crates/scarf-heads/tests/data/ssd_torchvision.py`.

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use scarf_core::{BBox, Size};
use scarf_heads::{
    AnchorConfig, BoxCoder, BoxLoss, Matching, MultiboxLoss, Normalizer, Postprocess, Scores, Targets,
    anchors, match_anchors,
};

const FIXTURE: &[u8] = include_bytes!("../data/ssd_torchvision.safetensors");
const SIDE: Size = Size::new(300, 300);
const MAPS: [[usize; 2]; 4] = [[10, 10], [5, 5], [3, 3], [1, 1]];
const CLASSES: usize = 6;

const LOSS: MultiboxLoss = MultiboxLoss {
    threshold: 0.5,
    matching: Matching::Forced,
    negatives: 3.0,
    scores: Scores::Softmax,
    normalizer: Normalizer::Objects,
    box_loss: BoxLoss::SmoothL1,
    coder: BoxCoder::SSD,
};

struct Fixture(SafeTensors<'static>);

impl Fixture {
    fn open() -> Self {
        Self(SafeTensors::deserialize(FIXTURE).unwrap())
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let bytes = self.0.tensor(name).unwrap().data();
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    fn rows(&self, name: &str) -> Vec<[f32; 4]> {
        self.floats(name).chunks_exact(4).map(|r| [r[0], r[1], r[2], r[3]]).collect()
    }

    fn boxes(&self, name: &str) -> Vec<BBox<f32>> {
        self.rows(name).into_iter().map(|[x1, y1, x2, y2]| BBox::new(x1, y1, x2, y2)).collect()
    }

    fn tensor(&self, name: &str, device: &Device) -> Tensor<3> {
        let shape = self.0.tensor(name).unwrap().shape().to_vec();
        Tensor::from_data(TensorData::new(self.floats(name), shape), device)
    }

    fn targets(&self, image: usize) -> Targets {
        let labels = self.floats(&format!("target_labels{image}"));
        Targets {
            boxes: self.boxes(&format!("target_boxes{image}")),
            classes: labels.into_iter().map(|label| label as usize - 1).collect(),
        }
    }
}

fn close(ours: &[f32], theirs: &[f32], tolerance: f32, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (at, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what} {at}: {a}, torchvision {b}");
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn config() -> AnchorConfig {
    AnchorConfig::Torchvision {
        ratios: vec![vec![2.0], vec![2.0, 3.0], vec![2.0, 3.0], vec![2.0]],
        scales: vec![0.1, 0.3, 0.5, 0.8, 1.05],
        steps: Some(vec![30.0, 60.0, 100.0, 300.0]),
    }
}

#[test]
fn anchors_are_torchvisions() {
    let ours: Vec<f32> = anchors(&config(), &MAPS, SIDE).unwrap().iter().flat_map(|b| b.to_array()).collect();
    close(&ours, &Fixture::open().floats("anchors"), 1e-5, "anchor");
}

#[test]
fn matches_are_torchvisions() {
    let fixture = Fixture::open();
    let anchors = fixture.boxes("anchors");
    for image in 0..2 {
        let ours = match_anchors(&anchors, &fixture.targets(image).boxes, 0.5);
        let ours: Vec<f32> = ours.into_iter().map(|m| m.map_or(-1.0, |index| index as f32)).collect();
        assert_eq!(ours, fixture.floats(&format!("matched{image}")), "image {image}");
    }
}

#[test]
fn the_coder_is_torchvisions() {
    let fixture = Fixture::open();
    let (anchors, target) = (fixture.boxes("anchors"), fixture.boxes("target_boxes0")[0]);
    let encoded: Vec<f32> = anchors.iter().flat_map(|a| BoxCoder::SSD.encode(&target, a)).collect();
    close(&encoded, &fixture.floats("encoded"), 1e-5, "encoded");
    let deltas = fixture.rows("deltas");
    let decoded: Vec<f32> =
        anchors.iter().zip(deltas).flat_map(|(a, d)| BoxCoder::SSD.decode(d, a).to_array()).collect();
    close(&decoded, &fixture.floats("decoded"), 1e-4, "decoded");
}

#[test]
fn losses_and_their_gradients_are_torchvisions() {
    let fixture = Fixture::open();
    let device = Device::flex().autodiff();
    let logits = fixture.tensor("logits", &device).require_grad();
    let deltas = fixture.tensor("deltas", &device).require_grad();
    let targets = [fixture.targets(0), fixture.targets(1)];
    let losses = LOSS.losses(logits.clone(), deltas.clone(), &fixture.boxes("anchors"), &targets);
    let named: Vec<_> = losses.0.iter().map(|(name, _)| *name).collect();
    assert_eq!(named, ["classification", "localization"]);
    let ours: Vec<f32> = losses.0.iter().flat_map(|(_, loss)| values(loss.clone())).collect();
    close(&ours, &fixture.floats("losses"), 1e-5, "loss");
    let gradients = losses.total().backward();
    close(&values(logits.grad(&gradients).unwrap()), &fixture.floats("logits_gradient"), 1e-6, "d logit");
    close(&values(deltas.grad(&gradients).unwrap()), &fixture.floats("deltas_gradient"), 1e-6, "d delta");
}

#[test]
fn an_image_without_objects_is_legal() {
    let fixture = Fixture::open();
    let device = Device::flex().autodiff();
    let logits = fixture.tensor("logits", &device).require_grad();
    let empty = [Targets::default(), Targets::default()];
    let losses = LOSS.losses(logits, fixture.tensor("deltas", &device), &fixture.boxes("anchors"), &empty);
    assert_eq!(values(losses.total()), [0.0]);
}

#[test]
fn detections_are_torchvisions() {
    let fixture = Fixture::open();
    let device = Device::flex();
    let scores = softmax(fixture.tensor("logits", &device), 2);
    let [_, count, width] = scores.dims();
    let deltas = fixture.rows("deltas");
    let anchors = fixture.boxes("anchors");
    for image in 0..2 {
        let own = scores.clone().slice([image..image + 1, 0..count, 1..width]);
        let boxes: Vec<_> = anchors
            .iter()
            .zip(&deltas[image * count..])
            .map(|(anchor, &delta)| BoxCoder::SSD.decode(delta, anchor))
            .collect();
        let found = Postprocess::default().run(&values(own), CLASSES, &boxes, SIDE);
        let labels: Vec<f32> = found.iter().map(|d| d.class as f32 + 1.0).collect();
        assert_eq!(labels, fixture.floats(&format!("found_labels{image}")), "image {image}");
        let scores: Vec<f32> = found.iter().map(|d| d.score).collect();
        close(&scores, &fixture.floats(&format!("found_scores{image}")), 1e-5, "score");
        let boxes: Vec<f32> = found.iter().flat_map(|d| d.bbox.to_array()).collect();
        close(&boxes, &fixture.floats(&format!("found_boxes{image}")), 1e-4, "box");
    }
}
