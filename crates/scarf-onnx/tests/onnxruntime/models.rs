//! Every published SSD by name, with random weights at its own size, on a photograph: onnxruntime's scores and
//! boxes are ours. (`faster_rcnn.rs` has the rest of the zoo.)

use crate::common::{Jobs, difference, lived_in, numbers, photograph, python, spread, weakened};
use burn::tensor::Device;
use burn::tensor::activation::{sigmoid, softmax};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_core::Classes;
use scarf_heads::{AnyHead, BoxCoder, HeadConfig, Scores, models};
use scarf_onnx::{ExportOptions, export};

const CLASSES: usize = 6;

/// Names that differ in the data they were trained on alone are one model with `CLASSES` classes.
fn distinct() -> Vec<&'static str> {
    models::names().filter(|name| !name.ends_with("-voc")).collect()
}

#[test]
fn published_detectors() {
    let Some(python) = python() else { return };
    let classes = Classes::new((0..CLASSES).map(|class| class.to_string())).unwrap();
    for (at, name) in distinct().into_iter().enumerate() {
        let config = models::get(name).unwrap().model;
        let side = config.size as usize;
        if matches!(config.head, HeadConfig::FasterRcnn(_)) {
            continue;
        }
        let Some(images) = photograph(at, side) else { return };
        let detector = config.init(CLASSES, &Device::default(), &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        // Drawn statistics make MobileNet v3 amplify last bits: images times 1 + 1.2e-7 move its own logits by 6e-4.
        let mut detector = if name.contains("mobilenet_v3") { detector } else { lived_in(detector, 1) };
        if let AnyHead::Ssd(head) = &detector.head {
            // Scores that are all 0 or 1 would say little.
            let said = head.predict(detector.features(images.clone()), config.image());
            detector = weakened(detector, r"^head\..*cls\.conv\.", spread(said.logits));
            detector = weakened(detector, r"^head\..*boxes\.conv\.", spread(said.deltas));
        }
        let mut jobs = Jobs::new();
        for nms in [false, true] {
            let graph = export(&detector, &config, &classes, &ExportOptions { nms, half: false }).unwrap();
            jobs.add(&graph, &images);
        }
        let [raw, whole] = &jobs.run(&python)[..] else { unreachable!("two jobs") };
        assert_eq!(whole.shape("labels")[0], 1, "{name}");
        let (AnyHead::Ssd(head), HeadConfig::Ssd(settings)) = (&detector.head, &config.head) else {
            panic!("{name} has another head");
        };
        let said = head.predict(detector.features(images), config.image());
        let scores = match settings.scores {
            Scores::Softmax => softmax(said.logits, 2),
            Scores::Sigmoid => sigmoid(said.logits),
        };
        let scores = numbers(scores.slice([0..1, 0..said.anchors.len(), 1..CLASSES + 1]));
        let boxes: Vec<f32> = numbers(said.deltas)
            .chunks_exact(4)
            .zip(&said.anchors)
            .flat_map(|(d, anchor)| BoxCoder::SSD.decode([d[0], d[1], d[2], d[3]], anchor).to_array())
            .collect();
        for (part, ours) in [("scores", scores), ("boxes", boxes)] {
            let difference = difference(&raw.floats(part), &ours);
            println!("{name}: {part} differ by {difference:.1e}");
            assert!(difference < 1e-4, "{name}: {part} differ by {difference:e}");
        }
    }
}
