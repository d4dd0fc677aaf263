use image::imageops;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use scarf_core::{Annotation, BBox, Size};
use serde::{Deserialize, Serialize};

use super::{Labeled, range, uniform};

/// SSD's crop (Liu et al., 2016), as torchvision's `RandomIoUCrop` does it: a window that has an IoU
/// of at least a random one of `options` with some object; objects stay whose center is inside,
/// cut at its edges. An image without objects is left as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IouCrop {
    /// The window's sides over the image's, from and to; each side has its own.
    pub scale: [f64; 2],
    /// The window's width over its height, from and to.
    pub aspect: [f64; 2],
    /// The IoUs to draw from; one of 1 or more stands for the whole image.
    pub options: Vec<f64>,
    /// How many windows are tried for one option before another is drawn.
    pub trials: u32,
}

impl Default for IouCrop {
    fn default() -> Self {
        let options = vec![0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0];
        Self { scale: [0.3, 1.0], aspect: [0.5, 2.0], options, trials: 40 }
    }
}

/// torchvision draws options until one fits; this many are enough for any that can.
const DRAWS: u32 = 50;

impl IouCrop {
    pub(super) fn check(&self) -> Result<(), String> {
        range("scale", self.scale, 0.01, 1.0)?;
        range("aspect", self.aspect, 0.01, 100.0)?;
        if self.options.is_empty() || self.options.iter().any(|v| !v.is_finite()) {
            return Err("`options` needs at least one number; 1 stands for the whole image".into());
        }
        Ok(())
    }

    pub(super) fn apply(&self, labeled: Labeled, rng: &mut ChaCha8Rng) -> Labeled {
        match self.window(&labeled, rng) {
            Some(window) => cut(labeled, window),
            None => labeled,
        }
    }

    /// The window, or none for the whole image.
    fn window(&self, labeled: &Labeled, rng: &mut ChaCha8Rng) -> Option<BBox<f64>> {
        if labeled.annotations.is_empty() || self.options.is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let least = self.options[rng.random_range(0..self.options.len())];
            if least >= 1.0 {
                return None;
            }
            for _ in 0..self.trials {
                let window = self.draw(labeled.size(), rng);
                if window.is_some_and(|window| fits(&window, &labeled.annotations, least)) {
                    return window;
                }
            }
        }
        None
    }

    /// One window in whole pixels, or none where its aspect is not in range or its area is 0.
    fn draw(&self, size: Size, rng: &mut ChaCha8Rng) -> Option<BBox<f64>> {
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let [w, h] = [width, height].map(|side| (side * uniform(self.scale, rng)).floor().clamp(0.0, side));
        let aspect = w / h;
        if !(aspect >= self.aspect[0] && aspect <= self.aspect[1]) || w < 1.0 || h < 1.0 {
            return None;
        }
        let [left, top] = [width - w, height - h].map(|room| (room * rng.random::<f64>()).floor());
        Some(BBox::from_xywh(left, top, w, h))
    }
}

fn holds_center(window: &BBox<f64>, bbox: &BBox<f64>) -> bool {
    let (x, y) = bbox.center();
    window.x1 < x && x < window.x2 && window.y1 < y && y < window.y2
}

fn fits(window: &BBox<f64>, annotations: &[Annotation], least: f64) -> bool {
    annotations.iter().any(|a| holds_center(window, &a.bbox) && a.bbox.iou(window) >= least)
}

/// The window of the image, with the objects whose center it holds. An object that loses a part is
/// truncated, and its area shrinks as its box does.
fn cut(labeled: Labeled, window: BBox<f64>) -> Labeled {
    let [left, top, width, height] =
        [window.x1, window.y1, window.width(), window.height()].map(|v| v as u32);
    let image = imageops::crop_imm(&labeled.image, left, top, width, height).to_image();
    let kept = labeled.annotations.into_iter().filter(|a| holds_center(&window, &a.bbox));
    let annotations = kept.map(|a| {
        let inside = a.bbox.clip(&window);
        let part = if inside == a.bbox { 1.0 } else { inside.area() / a.bbox.area() };
        Annotation {
            bbox: inside.translate(-window.x1, -window.y1),
            area: if a.area == a.bbox.area() { inside.area() } else { a.area * part },
            truncated: a.truncated || part < 1.0,
            ..a
        }
    });
    Labeled { image, annotations: annotations.collect() }
}
