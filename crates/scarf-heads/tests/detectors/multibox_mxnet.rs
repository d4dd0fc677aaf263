//! The loss of the SSD of MXNet's examples against MXNet's own operators, on fixed predictions, made by
//! `python crates/scarf-heads/tests/data/multibox_mxnet.py`: which anchors answer for which objects, and the
//! gradients, which are all that MXNet's loss layers say.

use crate::common::{array, assert_close, boxes, values};
use burn::tensor::{Device, Tensor, TensorData};
use scarf_backbones::Weights;
use scarf_heads::{BoxCoder, BoxLoss, Matching, MultiboxLoss, Normalizer, Scores, Targets};

const LOSS: MultiboxLoss = MultiboxLoss {
    threshold: 0.5,
    matching: Matching::Multibox,
    negatives: 3.0,
    scores: Scores::Softmax,
    normalizer: Normalizer::Counted,
    box_loss: BoxLoss::SmoothL1,
    coder: BoxCoder::SSD,
};

fn fixture() -> Weights {
    Weights::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/multibox_mxnet.safetensors")).unwrap()
}

/// The objects of each image; rows of class -1 are none.
fn targets(file: &Weights) -> Vec<Targets> {
    let labels = array(file, "labels");
    let boxes = boxes(file, "boxes");
    let rows = labels.shape[1];
    (0..labels.shape[0])
        .map(|image| {
            let rows = (image * rows..(image + 1) * rows).filter(|&row| labels.values[row] >= 0.0);
            let (boxes, classes) = rows.map(|row| (boxes[row], labels.values[row] as usize)).unzip();
            Targets { boxes, classes }
        })
        .collect()
}

#[test]
fn anchors_answer_for_the_same_objects() {
    let file = fixture();
    let anchors = boxes(&file, "anchors");
    let target = array(&file, "target").values.chunks_exact(anchors.len());
    let mut objects = 0;
    for (image, target) in targets(&file).iter().zip(target) {
        let matched = LOSS.matching.run(&anchors, &image.boxes, LOSS.threshold);
        let ours: Vec<f32> =
            matched.iter().map(|m| m.map_or(0.0, |object| image.classes[object] as f32 + 1.0)).collect();
        // -1 is background that does not count.
        let theirs: Vec<f32> = target.iter().map(|class| class.max(0.0)).collect();
        assert_eq!(ours, theirs);
        objects += matched.iter().flatten().count();
    }
    assert_eq!(objects, 7);
}

#[test]
fn gradients_are_mxnets() {
    let file = fixture();
    let anchors = boxes(&file, "anchors");
    let device = Device::flex().autodiff();
    let tensor = |name| {
        let array = array(&file, name).clone();
        Tensor::<3>::from_data(TensorData::new(array.values, array.shape), &device).require_grad()
    };
    let (logits, deltas) = (tensor("logits"), tensor("deltas"));
    let gradients = LOSS.losses(logits.clone(), deltas.clone(), &anchors, &targets(&file)).total().backward();
    for (name, tensor) in [("logits_grad", logits), ("deltas_grad", deltas)] {
        let ours = values(tensor.grad(&gradients).unwrap());
        let theirs = &array(&file, name).values;
        assert!(theirs.iter().filter(|gradient| gradient.abs() > 1e-3).count() > 15, "{name}");
        assert_close(name, &ours, theirs, 1e-6);
    }
}
