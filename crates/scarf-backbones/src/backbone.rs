//! What every backbone promises.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::feature_map::FeatureMap;
use crate::layers::NormConfig;
use scarf_weights::{Rename, WeightsError};

/// One feature map of a [`Pyramid`], announced before there is a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Its channels.
    pub channels: usize,
    /// Pixels of the image between two of its cells, in rows and in columns.
    pub stride: usize,
}

/// Feature maps of a batch of images, finest first:
/// each `[batch, channels, ceil(height / stride), ceil(width / stride)]`.
#[derive(Clone, Debug)]
pub struct Pyramid<M = Tensor<4>>(pub Vec<M>);

/// A network that turns images into a [`Pyramid`].
pub trait Backbone: Module + ModuleDisplay + Sync {
    /// The levels of every pyramid that [`forward`](Self::forward) gives, finest first.
    fn levels(&self) -> Vec<Level>;

    /// The features of `images`, `[batch, 3, height, width]`, normalised as the recipe's
    /// [`normalization`](crate::BackboneConfig::normalization) says; any height and width from 1.
    fn forward<M: FeatureMap>(&self, images: M) -> Pyramid<M>;

    /// The stages of the network, from the image on: of each a pattern that its parameters' paths
    /// match, and no other stage's. [`freeze_stages`](crate::freeze_stages) counts them.
    fn stages(&self) -> Vec<String>;
}

/// How pixels become a network's input: `(x - mean) / std` for `x` in 0..=255, per channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Subtracted from red, green and blue.
    pub mean: [f32; 3],
    /// Divides red, green and blue; above 0.
    pub std: [f32; 3],
}

impl Normalization {
    /// To -1..=1, TensorFlow's `x / 127.5 - 1`.
    pub const TENSORFLOW: Self = Self { mean: [127.5; 3], std: [127.5; 3] };
    /// torchvision's for ImageNet.
    pub const TORCHVISION: Self = Self { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] };
    /// The mean of Caffe's ImageNet models over torchvision's spread.
    pub const CAFFE: Self = Self { mean: [123.68, 116.779, 103.939], std: [58.395, 57.12, 57.375] };

    /// The input `[batch, 3, height, width]` of a network for pixels in 0..=255 of
    /// `[batch, 3, height, width]`, or of `[batch, 1, height, width]` for gray ones.
    pub fn apply(&self, pixels: Tensor<4>) -> Tensor<4> {
        let device = pixels.device();
        let row = |values: [f32; 3]| Tensor::<1>::from_floats(values, &device).reshape([1, 3, 1, 1]);
        (pixels - row(self.mean)) / row(self.std)
    }
}

/// A recipe that describes no network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("backbone.{backbone}.{field}: {problem}")]
pub struct ConfigError {
    /// The backbone's name in a study file.
    pub backbone: &'static str,
    /// The wrong field.
    pub field: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(backbone: &'static str, field: &'static str, problem: impl Into<String>) -> Self {
        Self { backbone, field, problem: problem.into() }
    }
}

/// Refuses `outputs` that are empty, not increasing, or outside `first..=last`.
pub(crate) fn check_outputs(
    backbone: &'static str,
    field: &'static str,
    outputs: &[usize],
    first: usize,
    last: usize,
) -> Result<(), ConfigError> {
    let increasing = outputs.windows(2).all(|pair| pair[0] < pair[1]);
    let inside = outputs.iter().all(|output| (first..=last).contains(output));
    if outputs.is_empty() || !increasing || !inside {
        let problem = format!("{outputs:?} is not an increasing, non-empty list of {first}..={last}");
        return Err(ConfigError::new(backbone, field, problem));
    }
    Ok(())
}

/// Refuses a normalisation whose numbers are outside their ranges.
pub(crate) fn check_norm(backbone: &'static str, norm: &NormConfig) -> Result<(), ConfigError> {
    norm.check().map_err(|problem| ConfigError::new(backbone, "norm", problem))
}

/// Gluon's names of a norm's parts to ours.
pub(crate) fn gluon_norms() -> Result<[Rename; 2], WeightsError> {
    Ok([Rename::new(r"\.norm\.gamma$", ".norm.weight")?, Rename::new(r"\.norm\.beta$", ".norm.bias")?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn pixels_become_inputs_per_channel_and_gray_ones_three() {
        let device = Device::default();
        let normalization = Normalization { mean: [0.0, 10.0, 20.0], std: [1.0, 2.0, 4.0] };
        let gray = Tensor::<4>::from_floats([[[[20.0, 40.0]]]], &device);
        let expected = [20.0, 40.0, 5.0, 15.0, 0.0, 5.0];
        for pixels in [gray.clone(), gray.repeat_dim(1, 3)] {
            let input = normalization.apply(pixels);
            assert_eq!(input.dims(), [1, 3, 1, 2]);
            let values: Vec<f32> = input.into_data().try_into_vec().unwrap();
            assert_eq!(values, expected);
        }
    }
}
