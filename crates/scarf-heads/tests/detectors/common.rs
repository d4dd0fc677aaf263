//! What the tests on whole detectors share.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use scarf_backbones::{Array, Pyramid, Weights};
use scarf_core::{BBox, Size};
use scarf_heads::{AnyHead, Detector, DetectorConfig, SsdHead};

/// Runs a script of this crate, and fails with what it says.
pub(crate) fn run_script(python: &Path, script: &str, arguments: &[&OsStr]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The detector with weights drawn from seed 0.
pub(crate) fn build(config: &DetectorConfig, classes: usize, device: &Device) -> Detector {
    config.init(classes, device, &mut ChaCha8Rng::seed_from_u64(0)).unwrap()
}

/// Its head, which is SSD's.
pub(crate) fn ssd(detector: &Detector) -> &SsdHead {
    let AnyHead::Ssd(head) = &detector.head else { panic!("not SSD's head") };
    head
}

/// SSD leaves nothing to chance.
pub(crate) fn unused_chance() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(0)
}

/// A tensor of a file.
pub(crate) fn array<'a>(file: &'a Weights, name: &str) -> &'a Array {
    file.get(name).unwrap_or_else(|| panic!("the file has no {name}"))
}

/// Boxes of a file, xyxy in rows.
pub(crate) fn boxes(file: &Weights, name: &str) -> Vec<BBox<f32>> {
    let rows = array(file, name).values.chunks_exact(4);
    rows.map(|row| BBox::new(row[0], row[1], row[2], row[3])).collect()
}

/// Images of a file in 0..=1, as pixels in 0..=255.
pub(crate) fn scaled(file: &Weights, name: &str, device: &Device) -> Tensor<4> {
    let Array { shape, values } = array(file, name).clone();
    Tensor::from_data(TensorData::new(values, shape), device) * 255.0
}

/// What the head sees of images, and their size.
pub(crate) fn forward(config: &DetectorConfig, detector: &Detector, images: Tensor<4>) -> (Pyramid, Size) {
    (detector.features(images), config.image())
}

pub(crate) fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec().unwrap()
}

/// Fails where the Euclidean norm of the difference is more than `limit` of the expected one.
pub(crate) fn assert_close(what: &str, actual: &[f32], expected: &[f32], limit: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut actual.iter().zip(expected).map(|(a, b)| f64::from(a - b)));
    let relative = difference / norm(&mut expected.iter().map(|&v| v.into())).max(f64::MIN_POSITIVE);
    println!("{what}: relative error {relative:.1e}");
    assert!(relative <= limit, "{what}: relative error {relative:e}");
}
