//! What the tests against references share: fixtures, weights by formula, comparison.

use std::collections::BTreeMap;
use std::convert::Infallible;

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use scarf_backbones::{Array, Weights};
use scarf_core::{BBox, Detection};
use scarf_heads::Targets;

/// Tensors that a reference made.
pub(crate) struct Fixture {
    bytes: &'static [u8],
    tensors: SafeTensors<'static>,
}

impl Fixture {
    pub(crate) fn new(bytes: &'static [u8]) -> Self {
        Self { bytes, tensors: SafeTensors::deserialize(bytes).unwrap() }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.names().into_iter()
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        let tensor = self.tensors.tensor(name).unwrap_or_else(|_| panic!("no {name} in the fixture"));
        let bytes = tensor.data();
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    pub(crate) fn boxes(&self, name: &str) -> Vec<BBox<f32>> {
        self.floats(name).chunks_exact(4).map(|r| BBox::new(r[0], r[1], r[2], r[3])).collect()
    }

    /// Boxes and labels (1 for the first class) of an image.
    pub(crate) fn targets(&self, image: usize) -> Targets {
        let labels = self.floats(&format!("target_labels{image}"));
        Targets {
            boxes: self.boxes(&format!("target_boxes{image}")),
            classes: labels.into_iter().map(|label| label as usize - 1).collect(),
        }
    }

    /// A line of the header.
    pub(crate) fn header(&self, key: &str) -> String {
        let (_, metadata) = SafeTensors::read_metadata(self.bytes).unwrap();
        metadata.metadata().as_ref().unwrap()[key].clone()
    }

    /// The reference's weights: by formula from the names and shapes in the header.
    pub(crate) fn weights(&self) -> Weights {
        let shapes: BTreeMap<String, Vec<usize>> = serde_json::from_str(&self.header("shapes")).unwrap();
        let mut weights = Weights::default();
        for (name, shape) in shapes {
            if name.ends_with("num_batches_tracked") {
                continue;
            }
            let values = weight(&name, &shape);
            weights.insert(name, Array { shape, values });
        }
        weights
    }
}

/// Layers whose outputs are predictions.
const PREDICTORS: [&str; 3] = ["cls_logits", "bbox_pred", "cls_score"];

/// `uniform` of `tests/data/formula.py`.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (1..=count as u64).map(move |index| {
        let z = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

/// `weight` of `tests/data/formula.py`.
fn weight(name: &str, shape: &[usize]) -> Vec<f32> {
    let values = uniform(name, shape.iter().product());
    if shape.len() > 1 {
        let fan_in: usize = shape[1..].iter().product();
        let predicts = PREDICTORS.iter().any(|predictor| name.contains(predictor));
        let bound = (6.0 / fan_in as f64).sqrt();
        let small = if predicts { 0.02 } else { 1.0 };
        values.map(|value| (value * bound * small) as f32).collect()
    } else if name.ends_with("running_var") {
        values.map(|value| (1.0 + 0.5 * value) as f32).collect()
    } else if name.ends_with("weight") {
        values.map(|value| (1.0 + 0.1 * value) as f32).collect()
    } else {
        values.map(|value| (value * 0.1) as f32).collect()
    }
}

/// `image` of `tests/data/formula.py`: a batch of one, `[1, 3, side, side]`.
pub(crate) fn image(name: &str, side: usize, device: &Device) -> Tensor<4> {
    let waves: Vec<f64> = uniform(name, 36).collect();
    let mut pixels = Vec::with_capacity(3 * side * side);
    for channel in waves.chunks_exact(12) {
        for y in 0..side {
            for x in 0..side {
                let (x, y) = (x as f64, y as f64);
                let wave = |w: &[f64]| w[0] * (0.4 * w[1] * x + 0.4 * w[2] * y + 3.0 * w[3]).sin();
                let value: f64 = channel.chunks_exact(4).map(wave).sum();
                pixels.push((128.0 + 90.0 * value).round_ties_even().clamp(0.0, 255.0) as f32);
            }
        }
    }
    Tensor::from_data(TensorData::new(pixels, [1, 3, side, side]), device)
}

/// Takes the first of everything, as the scripts do.
pub(crate) struct Zeros;

impl rand::TryRng for Zeros {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        Ok(())
    }
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// Fails unless `ours` is `theirs` to `tolerance` of the largest value.
pub(crate) fn close(ours: &[f32], theirs: &[f32], tolerance: f32, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}: as many values");
    let scale = theirs.iter().fold(1e-6f32, |largest, value| largest.max(value.abs()));
    let differ = |(a, b): (&f32, &f32)| (a - b).abs() / scale;
    let worst = ours.iter().zip(theirs).map(differ).fold(0.0, f32::max);
    println!("{what}: {worst:.1e} of the largest value");
    for (at, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "{what} {at}: {a}, reference {b} (largest {scale})");
    }
}

/// Fails unless `found` is the reference's list of an image; detections whose scores differ by less than
/// 1e-5 may have changed places.
pub(crate) fn same_detections(found: &[Detection], fixture: &Fixture, image: usize) {
    let [boxes, scores, labels] =
        ["boxes", "scores", "labels"].map(|what| fixture.floats(&format!("found_{what}{image}")));
    assert_eq!(found.len(), labels.len(), "image {image}");
    let mut left: Vec<&Detection> = found.iter().collect();
    for ((bbox, score), label) in boxes.chunks_exact(4).zip(scores).zip(labels) {
        let near = |a: f32, b: f32, tolerance: f32| (a - b).abs() <= tolerance;
        let place = left.iter().position(|own| {
            let same = own.bbox.to_array().into_iter().zip(bbox).all(|(a, b)| near(a, *b, 0.01));
            own.class as f32 + 1.0 == label && near(own.score, score, 1e-5) && same
        });
        left.remove(place.unwrap_or_else(|| panic!("image {image}: no {label} of {score} at {bbox:?}")));
    }
}
