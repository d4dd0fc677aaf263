use image::{Rgb, RgbImage, imageops};
use rand_chacha::ChaCha8Rng;
use scarf_core::BBox;
use serde::{Deserialize, Serialize};

use super::{Labeled, happens, range, uniform, within};

/// Left becomes right.
pub(super) fn flip_horizontal(mut labeled: Labeled) -> Labeled {
    let width = f64::from(labeled.image.width());
    let mut image = std::mem::take(&mut labeled.image);
    imageops::flip_horizontal_in_place(&mut image);
    labeled.with(image, |b| BBox::new(width - b.x2, b.y1, width - b.x1, b.y2))
}

/// Top becomes bottom.
pub(super) fn flip_vertical(mut labeled: Labeled) -> Labeled {
    let height = f64::from(labeled.image.height());
    let mut image = std::mem::take(&mut labeled.image);
    imageops::flip_vertical_in_place(&mut image);
    labeled.with(image, |b| BBox::new(b.x1, height - b.y2, b.x2, height - b.y1))
}

/// Turns clockwise by 90 degrees, so many times.
pub(super) fn rotate(labeled: Labeled, turns: u32) -> Labeled {
    (0..turns % 4).fold(labeled, |labeled, _| {
        let height = f64::from(labeled.image.height());
        let image = imageops::rotate90(&labeled.image);
        labeled.with(image, |b| BBox::new(height - b.y2, b.x1, height - b.y1, b.x2))
    })
}

/// torchvision's `RandomZoomOut`: the image somewhere on a canvas of one color, so that objects look
/// smaller once the canvas is resized.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ZoomOut {
    /// The color of the canvas, RGB; ImageNet's mean unless told.
    pub fill: [u8; 3],
    /// The canvas' sides over the image's, from and to; within 1 to 16.
    pub side: [f64; 2],
    /// With which probability.
    pub p: f64,
}

impl Default for ZoomOut {
    fn default() -> Self {
        Self { fill: [123, 117, 104], side: [1.0, 4.0], p: 0.5 }
    }
}

impl ZoomOut {
    pub(super) fn check(&self) -> Result<(), String> {
        within("p", self.p, 0.0, 1.0)?;
        range("side", self.side, 1.0, 16.0)
    }

    pub(super) fn apply(&self, labeled: Labeled, rng: &mut ChaCha8Rng) -> Labeled {
        if !happens(self.p, rng) {
            return labeled;
        }
        let (width, height) = labeled.image.dimensions();
        let side = uniform(self.side, rng).clamp(1.0, 16.0);
        let canvas = [width, height].map(|old| ((f64::from(old) * side) as u32).max(old));
        let mut offset = |room: u32| (f64::from(room) * uniform([0.0, 1.0], rng)) as u32;
        let (left, top) = (offset(canvas[0] - width), offset(canvas[1] - height));
        let mut image = RgbImage::from_pixel(canvas[0], canvas[1], Rgb(self.fill));
        imageops::replace(&mut image, &labeled.image, left.into(), top.into());
        labeled.with(image, |bbox| bbox.translate(left.into(), top.into()))
    }
}
