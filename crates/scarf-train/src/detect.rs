//! Detection with a trained model: once an image, or by looking at it several times.

use burn::tensor::{Device, Tensor};
use scarf_backbones::Backbone;
use scarf_core::{BBox, Detection, Size, weighted_boxes_fusion};
use scarf_heads::{Detector, Head, Neck};
use serde::{Deserialize, Serialize};

use crate::batch::{Recipe, Samples, for_each_batch};

/// How a trained model looks at an image (test-time augmentation).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectConfig {
    /// Which mirror images are looked at beside the image itself; each takes as long as that.
    pub flips: Flips,
    /// How large the image and its mirror images are shown, one look after the other: 1 is the size that the detector
    /// was trained with. A side is made a multiple of the largest power of two up to 64 that divides that one, if what was
    /// asked for is within a twentieth of it: maps are halved as they were in training, and anchors keep their places.
    pub scales: Vec<f32>,
    /// IoU above which what several looks found is one object ([`weighted_boxes_fusion`]), in `0..=1`.
    pub fusion_iou: f64,
}

/// How small and how large an image may be shown.
const SCALES: [f32; 2] = [0.25, 4.0];

/// Mirror images of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flips {
    /// None.
    #[default]
    None,
    /// Left is right.
    Horizontal,
    /// Above is below.
    Vertical,
    /// Either, and both at once: four looks.
    All,
}

impl Default for DetectConfig {
    /// One look; the fusion's published threshold.
    fn default() -> Self {
        Self { flips: Flips::None, scales: vec![1.0], fusion_iou: 0.55 }
    }
}

impl Flips {
    /// Of each look, whether left and right and whether above and below change places; the image as it is comes first.
    fn looks(self) -> &'static [[bool; 2]] {
        match self {
            Self::None => &[[false, false]],
            Self::Horizontal => &[[false, false], [true, false]],
            Self::Vertical => &[[false, false], [false, true]],
            Self::All => &[[false, false], [true, false], [false, true], [true, true]],
        }
    }
}

impl DetectConfig {
    /// What is wrong with the numbers, if anything: the key, and what would be right.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.fusion_iou) {
            return Err(format!("`detect.fusion_iou` is {}; an IoU from 0 to 1 is needed", self.fusion_iou));
        }
        let [least, most] = SCALES;
        if self.scales.is_empty() || !self.scales.iter().all(|scale| (least..=most).contains(scale)) {
            let given = &self.scales;
            return Err(format!(
                "`detect.scales` is {given:?}; one scale or more from {least} to {most} are needed"
            ));
        }
        Ok(())
    }

    /// The sizes in which images are shown to a detector that was trained with `size`.
    pub fn sizes(&self, size: Size) -> impl Iterator<Item = Size> {
        self.scales.iter().map(move |&scale| Size::new(shown(size.width, scale), shown(size.height, scale)))
    }

    /// What there is on each image, best score first, in pixels of `size`, which the detector was trained with. `images`
    /// shows them all in a size, `[batch, 3, height, width]`, RGB in `0..=255`.
    pub fn detect<B: Backbone, N: Neck, H: Head>(
        &self,
        detector: &Detector<B, N, H>,
        size: Size,
        images: impl Fn(Size) -> Tensor<4>,
    ) -> Vec<Vec<Detection>> {
        let mut looks = Vec::new();
        for shown in self.sizes(size) {
            let images = images(shown);
            for &[across, down] in self.flips.looks() {
                let axes = [(across, 3), (down, 2)].into_iter().filter(|(flipped, _)| *flipped);
                let mirrored = axes.fold(images.clone(), |images, (_, axis)| images.flip([axis]));
                let mut found = detector.detect(mirrored);
                for detection in found.iter_mut().flatten() {
                    detection.bbox = mirror(&detection.bbox, across, down, shown);
                }
                let found = found.into_iter().map(|found| scaled(found, shown, size));
                looks.push(found.collect::<Vec<_>>());
            }
        }
        if looks.len() == 1 {
            return looks.remove(0);
        }
        let images = looks[0].len();
        let of = |image: usize| looks.iter().map(|look| look[image].clone()).collect::<Vec<_>>();
        (0..images).map(|image| weighted_boxes_fusion(&of(image), self.fusion_iou)).collect()
    }
}

/// The side of an image that is shown `scale` times as large.
fn shown(side: u32, scale: f32) -> u32 {
    let wanted = (side as f32 * scale).max(1.0);
    let steps = [64, 32, 16, 8, 4, 2].into_iter().filter(|step| side.is_multiple_of(*step));
    let mut rounded = steps.map(|step| (wanted / step as f32).round() * step as f32);
    let near = |side: &f32| (side - wanted).abs() <= wanted / 20.0;
    rounded.find(near).unwrap_or(wanted.round()) as u32
}

/// Where a box of an image lies on its mirror image.
fn mirror(bbox: &BBox<f32>, across: bool, down: bool, size: Size) -> BBox<f32> {
    let [mut x1, mut y1, mut x2, mut y2] = bbox.to_array();
    if across {
        (x1, x2) = (size.width as f32 - x2, size.width as f32 - x1);
    }
    if down {
        (y1, y2) = (size.height as f32 - y2, size.height as f32 - y1);
    }
    BBox::new(x1, y1, x2, y2)
}

/// What a detector finds on each of the samples, in their order: best score first, in pixels of the
/// image as it lies on disk.
pub fn detect<B: Backbone, N: Neck, H: Head>(
    detector: &Detector<B, N, H>,
    samples: Samples<'_>,
    size: Size,
    batch: usize,
    how: &DetectConfig,
    device: &Device,
) -> Vec<Vec<Detection>> {
    let mut found = Vec::with_capacity(samples.indices.len());
    // Those that are shown first are made beside the detector's work.
    let first = how.sizes(size).next().unwrap_or(size);
    let recipe = Recipe { size: first, batch, augment: &[], resident: None };
    let done: Result<(), std::convert::Infallible> =
        for_each_batch(samples, recipe, samples.indices, 0, 0, |batch| {
            let shown = |size| match size == batch.size {
                true => batch.images(device),
                false => samples.as_they_are(&batch.indices, size).images(device),
            };
            found.extend(on_disk(how.detect(detector, size, shown), size, samples, &batch.indices));
            Ok(())
        });
    let Ok(()) = done;
    found
}

/// What was found on some images of that size, in pixels of the images as they lie on disk.
pub(crate) fn on_disk(
    found: Vec<Vec<Detection>>,
    size: Size,
    samples: Samples<'_>,
    indices: &[usize],
) -> impl Iterator<Item = Vec<Detection>> {
    let images = found.into_iter().zip(indices);
    images.map(move |(detections, &index)| scaled(detections, size, samples.set.samples[index].size))
}

/// Detections on an image of one size as they lie on the same image of another.
pub(crate) fn scaled(found: Vec<Detection>, from: Size, to: Size) -> Vec<Detection> {
    let (sx, sy) = (to.width as f32 / from.width as f32, to.height as f32 / from.height as f32);
    found.into_iter().map(|d| Detection { bbox: d.bbox.scale(sx, sy), ..d }).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::small;

    /// An image and its mirror image are looked at alike: what is found on one is the mirror image of what is found on
    /// the other. A single look of a network that was not trained to that does not do so.
    #[test]
    fn mirror_images_have_mirrored_detections() {
        let device = Device::flex();
        let detector = small::detector(1, &device);
        let pixels: Vec<f32> = (0..3 * 48 * 64).map(|at| 127.0 + 127.0 * (0.37 * at as f32).sin()).collect();
        let image = Tensor::<4>::from_data(TensorData::new(pixels, [1, 3, 48, 64]), &device);
        let size = Size::new(64, 48);
        let is_alike = |flips: Flips, across: bool, down: bool| {
            let how = DetectConfig { flips, ..DetectConfig::default() };
            let other = if across { image.clone().flip([3]) } else { image.clone() };
            let other = if down { other.flip([2]) } else { other };
            let [plain, other] =
                [image.clone(), other].map(|image| how.detect(&detector, size, |_| image.clone()));
            assert!(plain[0].len() > 20);
            plain[0].len() == other[0].len()
                && plain[0].iter().zip(&other[0]).all(|(a, b)| {
                    let back = mirror(&b.bbox, across, down, size).to_array();
                    let near = a.bbox.to_array().into_iter().zip(back).all(|(a, b)| (a - b).abs() < 1e-2);
                    near && a.class == b.class && (a.score - b.score).abs() < 1e-5
                })
        };
        assert!(!is_alike(Flips::None, true, false));
        assert!(is_alike(Flips::Horizontal, true, false) && !is_alike(Flips::Horizontal, false, true));
        assert!(is_alike(Flips::Vertical, false, true) && !is_alike(Flips::Vertical, true, false));
        assert!(is_alike(Flips::All, true, false) && is_alike(Flips::All, true, true));
    }

    #[test]
    fn maps_are_halved_as_in_training() {
        for (side, scale, pixels) in [
            (320, 1.0, 320),
            (320, 1.25, 384),
            (320, 0.8, 256),
            (224, 1.25, 288),
            (128, 1.25, 160),
            (300, 1.5, 452),
            (7, 1.3, 9),
        ] {
            assert_eq!(shown(side, scale), pixels, "{side} times {scale}");
        }
    }

    /// A look at a larger image finds what the detector finds there, in pixels of the smaller one.
    #[test]
    fn detections_of_a_larger_image_lie_on_the_smaller_one() {
        let device = Device::flex();
        let detector = small::detector(1, &device);
        let show = |size: Size| {
            let pixels = (0..3 * size.width * size.height)
                .map(|at| 127.0 + 127.0 * (0.37 * at as f32).sin())
                .collect();
            let shape = [1, 3, size.height as usize, size.width as usize];
            Tensor::<4>::from_data(TensorData::new::<f32, _>(pixels, shape), &device)
        };
        let (small, large) = (Size::new(64, 48), Size::new(96, 72));
        let found = |scales: &[f32], size: Size| {
            let how = DetectConfig { scales: scales.to_vec(), ..DetectConfig::default() };
            how.detect(&detector, size, show).remove(0)
        };
        assert_eq!(found(&[1.5], small), scaled(found(&[1.0], large), large, small));
        let both = found(&[1.0, 1.5], small);
        assert_eq!(both, weighted_boxes_fusion(&[found(&[1.0], small), found(&[1.5], small)], 0.55));
        let wrong = |scales: &[f32]| {
            DetectConfig { scales: scales.to_vec(), ..DetectConfig::default() }.check().is_err()
        };
        assert!(wrong(&[]) && wrong(&[0.0]) && wrong(&[1.0, f32::NAN]) && !wrong(&[0.5, 1.0]));
    }
}
