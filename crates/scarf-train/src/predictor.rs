//! A trained model at work on pictures.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use scarf_backbones::{AnyBackbone, Backbone};
use scarf_core::{Detection, Size};
use scarf_data::images::resize;
use scarf_heads::{AnyHead, AnyNeck, Detector, Head, Neck};

use crate::TrainError;
use crate::batch::planar;
use crate::detect::{DetectConfig, scaled};
use crate::model::{self, Card};

/// Pictures of any size in, detections in their own pixels out.
///
/// The first call is slower than the others: a GPU's kernels are made then, and pools of memory filled. After it
/// memory does not grow.
#[derive(Debug)]
pub struct Predictor<B = AnyBackbone, N = AnyNeck, H = AnyHead> {
    detector: Detector<B, N, H>,
    size: Size,
    how: DetectConfig,
    device: Device,
}

impl Predictor {
    /// Opens a model that scarf trained, such as the best.safetensors of a run, and gives what the file says of itself: the
    /// names of the classes among it.
    ///
    /// # Errors
    /// As [`model::open`].
    pub fn open(path: impl AsRef<Path>, device: Device) -> Result<(Self, Card), TrainError> {
        let (detector, card) = model::open(path.as_ref(), &device)?;
        Ok((Self::new(detector, card.model.image(), card.detect.clone(), device), card))
    }
}

impl<B: Backbone, N: Neck, H: Head> Predictor<B, N, H> {
    /// A detector, on `device` and without autodiff, that is fed images of `size` and looks at them as `how` says.
    pub fn new(detector: Detector<B, N, H>, size: Size, how: DetectConfig, device: Device) -> Self {
        Self { detector, size, how, device }
    }

    /// What there is on each picture, in their order: best score first, in pixels of the picture. On a GPU all go through
    /// the network at once.
    pub fn predict(&self, pictures: &[&RgbImage]) -> Vec<Vec<Detection>> {
        if pictures.is_empty() {
            return Vec::new();
        }
        let show = |size: Size| {
            let Size { width, height } = size;
            let each = 3 * width as usize * height as usize;
            let mut pixels = vec![0.0; pictures.len() * each];
            for (picture, planes) in pictures.iter().zip(pixels.chunks_exact_mut(each)) {
                planar(&resize(picture, size), planes);
            }
            let shape = [pictures.len(), 3, height as usize, width as usize];
            Tensor::from_data(TensorData::new(pixels, shape), &self.device)
        };
        let found = self.how.detect(&self.detector, self.size, show);
        let own = |picture: &RgbImage| Size::new(picture.width(), picture.height());
        found
            .into_iter()
            .zip(pictures)
            .map(|(found, picture)| scaled(found, self.size, own(picture)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small;

    fn predictor() -> Predictor {
        let device = Device::flex();
        let detector = small::detector(1, &device);
        Predictor::new(detector, Size::new(64, 64), DetectConfig::default(), device)
    }

    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| image::Rgb([(3 * x) as u8, (5 * y) as u8, (x * y) as u8]))
    }

    #[test]
    fn a_model_that_was_written_is_opened_by_its_own_card() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("best.safetensors");
        let recipe = "size = 64\n[backbone.mobilenet_v1]\nwidth = 0.25\n[neck.ssd_extras]\n[head.ssd]\n";
        let classes = serde_json::from_str(r#"["pit", "scratch"]"#).unwrap();
        let card = Card {
            model: recipe.parse().unwrap(),
            classes,
            epoch: 1,
            val_ap: None,
            detect: DetectConfig::default(),
        };
        model::save(&path, &small::detector(1, &Device::flex()), &card).unwrap();
        let (opened, said) = Predictor::open(&path, Device::flex()).unwrap();
        assert_eq!(said, card);
        let picture = picture(80, 60);
        assert_eq!(opened.predict(&[&picture]), predictor().predict(&[&picture]));
        scarf_backbones::Weights::default().save(&path).unwrap();
        let error = Predictor::open(&path, Device::flex()).unwrap_err().to_string();
        assert!(
            error.ends_with("best.safetensors: holds weights, but no recipe: it was not written by scarf"),
            "{error}"
        );
    }

    #[test]
    fn pictures_of_several_sizes_at_once_are_as_one_by_one() {
        let predictor = predictor();
        let (wide, high) = (picture(200, 100), picture(90, 300));
        let together = predictor.predict(&[&wide, &high]);
        for (picture, found) in [&wide, &high].into_iter().zip(&together) {
            assert_eq!(&predictor.predict(&[picture])[0], found);
            let right = found.iter().map(|d| d.bbox.x2).fold(0.0, f32::max);
            let bottom = found.iter().map(|d| d.bbox.y2).fold(0.0, f32::max);
            let (width, height) = (picture.width() as f32, picture.height() as f32);
            assert!(right > 0.6 * width && right <= width && bottom > 0.6 * height && bottom <= height);
        }
        assert!(predictor.predict(&[]).is_empty());
    }
}
