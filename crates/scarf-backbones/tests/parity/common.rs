//! What the tests on published weights share.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{AnyBackbone, BackboneConfig, Normalization, Weights};

/// The folder of published weights, from SCARF_WEIGHTS; without it the test prints why it ends.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SCARF_WEIGHTS").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: SCARF_WEIGHTS names no folder of published weights");
    }
    folder
}

/// A published file of that folder.
pub(crate) fn weights(folder: &std::path::Path, name: &str) -> Weights {
    Weights::open(folder.join(format!("{name}.safetensors"))).unwrap()
}

/// What PyTorch made of it.
pub(crate) fn reference(folder: &std::path::Path, name: &str) -> Weights {
    Weights::open(folder.join(format!("reference/{name}.ref.safetensors"))).unwrap()
}

/// A tensor of a file.
pub(crate) fn tensor<const D: usize>(weights: &Weights, name: &str) -> Tensor<D> {
    let array = weights.get(name).unwrap_or_else(|| panic!("the reference has no {name}"));
    Tensor::from_data(TensorData::new(array.values.clone(), array.shape.clone()), &Device::default())
}

/// A network with weights drawn from seed 0.
pub(crate) fn fresh(config: &BackboneConfig) -> AnyBackbone {
    config.init(&Device::default(), &mut ChaCha8Rng::seed_from_u64(0)).unwrap()
}

/// The network's input for the reference's pictures.
pub(crate) fn images(reference: &Weights, normalization: Normalization) -> Tensor<4> {
    normalization.apply(tensor::<4>(reference, "image_u8_nhwc").permute([0, 3, 1, 2]))
}

/// The mean over rows and columns, `[batch, channels]`.
pub(crate) fn spatial_mean(map: Tensor<4>) -> Tensor<2> {
    map.mean_dim(3).mean_dim(2).squeeze_dims(&[2, 3])
}

/// Fails unless `|actual - expected| / |expected|`, in Euclidean norms, is at most 1e-4, and no
/// element is further off than 1e-3 of the largest.
pub(crate) fn assert_parity<const D: usize>(what: &str, actual: Tensor<D>, expected: Tensor<D>) {
    assert_eq!(actual.dims(), expected.dims(), "{what}");
    let values = |x: Tensor<D>| -> Vec<f32> { x.into_data().try_into_vec().unwrap() };
    let (actual, expected) = (values(actual), values(expected));
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let differences = || actual.iter().zip(&expected).map(|(a, b)| f64::from(*a) - f64::from(*b));
    let relative = norm(&mut differences()) / norm(&mut expected.iter().map(|&v| v.into()));
    let worst = differences().fold(0.0, |worst, d| d.abs().max(worst));
    let largest = expected.iter().fold(0.0f64, |largest, &v| f64::from(v).abs().max(largest));
    println!("{what}: relative error {relative:.1e}, worst element {:.1e} of the largest", worst / largest);
    assert!(relative <= 1e-4, "{what}: relative error {relative:e}");
    assert!(worst <= 1e-3 * largest, "{what}: worst element {worst:e}, largest {largest:e}");
}
