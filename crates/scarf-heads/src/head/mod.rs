//! Heads: from a pyramid to losses, or to detections.

mod any;
mod box_loss;
mod faster_rcnn;
#[cfg(test)]
mod gradients;
mod multibox;
mod postprocess;
mod roi;
mod rpn;
mod ssd;
mod terms;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{Level, Pyramid};
use scarf_core::{BBox, Detection, Size};
use scarf_kernels::single;

pub use any::{AnyHead, HeadConfig};
pub use box_loss::BoxLoss;
pub use faster_rcnn::{FasterRcnn, FasterRcnnConfig};
pub use multibox::{MultiboxLoss, Normalizer};
pub use postprocess::Postprocess;
pub use roi::{RoiConfig, RoiHead, Verdicts};
pub use rpn::{Objectness, Proposals, Rpn, RpnConfig};
pub use ssd::{LevelHead, Predictions, Predictor, Scores, SsdHead, SsdHeadConfig};

use crate::{ConfigError, Losses, Targets};

/// The last part of a detector.
pub trait Head: Module + ModuleDisplay + Sync {
    /// What training minimises. `features` as the neck gives them, one [`Targets`] an image;
    /// `image` is the size of the batch's images in pixels; what is chosen at random is chosen by `rng`.
    fn loss(&self, features: Pyramid, targets: &[Targets], image: Size, rng: &mut dyn Rng) -> Losses;

    /// What there is on each image, best score first, in pixels of the batch's images.
    fn detect(&self, features: Pyramid, image: Size) -> Vec<Vec<Detection>>;

    /// The anchors over maps of `[rows, columns]` cells, finest first, in the order of the
    /// predictions, in pixels of an image of that size.
    fn anchors(&self, maps: &[[usize; 2]], image: Size) -> Vec<BBox<f32>>;
}

/// A recipe of a [`Head`].
pub trait InitHead {
    /// What it makes.
    type Head: Head;

    /// The head for these levels and this many classes, its weights drawn from `rng`.
    ///
    /// # Errors
    /// Where the settings do not fit the levels.
    fn init(
        &self,
        levels: &[Level],
        classes: usize,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self::Head, ConfigError>;
}

/// `[batch, anchors * width, rows, columns]` to `[batch, rows * columns * anchors, width]`, in `f32`: what is said of
/// anchors is the end of half precision.
fn flatten(map: Tensor<4>, width: usize) -> Tensor<3> {
    let [batch, channels, rows, columns] = map.dims();
    single(map).permute([0, 2, 3, 1]).reshape([batch, rows * columns * channels / width, width])
}

/// All of an image.
fn frame(image: Size) -> BBox<f32> {
    BBox::new(0.0, 0.0, image.width as f32, image.height as f32)
}

/// The numbers of a tensor on the host, row by row.
fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.detach().into_data().convert::<f32>().try_into_vec().expect("the data was converted to f32")
}
