use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use scarf_core::{Annotation, Size};
use serde::{Deserialize, Serialize};

use super::edit::{Window, holds_center};
use super::{range, uniform};

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
        if !(1..=1000).contains(&self.trials) {
            return Err(format!("`trials` is {}, expected 1 to 1000", self.trials));
        }
        Ok(())
    }

    /// The window, or none for the whole image.
    pub(super) fn draw(
        &self,
        size: Size,
        annotations: &[Annotation],
        rng: &mut ChaCha8Rng,
    ) -> Option<Window> {
        if annotations.is_empty() || self.options.is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let least = self.options[rng.random_range(0..self.options.len())];
            if least >= 1.0 {
                return None;
            }
            for _ in 0..self.trials {
                let window = self.window(size, rng);
                if window.is_some_and(|window| fits(&window, annotations, least)) {
                    return window;
                }
            }
        }
        None
    }

    /// One window in whole pixels, or none where its aspect is not in range or its area is 0.
    fn window(&self, size: Size, rng: &mut ChaCha8Rng) -> Option<Window> {
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let [w, h] = [width, height].map(|side| (side * uniform(self.scale, rng)).floor().clamp(0.0, side));
        let aspect = w / h;
        if !(aspect >= self.aspect[0] && aspect <= self.aspect[1]) || w < 1.0 || h < 1.0 {
            return None;
        }
        let [left, top] = [width - w, height - h].map(|room| (room * rng.random::<f64>()).floor());
        let [left, top, w, h] = [left, top, w, h].map(|v| v as u32);
        Some(Window { left, top, size: Size::new(w, h) })
    }
}

fn fits(window: &Window, annotations: &[Annotation], least: f64) -> bool {
    let window = window.bbox();
    annotations.iter().any(|a| holds_center(&window, &a.bbox) && a.bbox.iou(&window) >= least)
}
