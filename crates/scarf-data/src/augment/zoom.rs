use rand_chacha::ChaCha8Rng;
use scarf_core::Size;
use serde::{Deserialize, Serialize};

use super::edit::Canvas;
use super::{happens, range, uniform, within};

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

    pub(super) fn draw(&self, size: Size, rng: &mut ChaCha8Rng) -> Option<Canvas> {
        if !happens(self.p, rng) {
            return None;
        }
        let side = uniform(self.side, rng).clamp(1.0, 16.0);
        let [width, height] = [size.width, size.height].map(|old| ((f64::from(old) * side) as u32).max(old));
        let mut offset = |room: u32| (f64::from(room) * uniform([0.0, 1.0], rng)) as u32;
        let (left, top) = (offset(width - size.width), offset(height - size.height));
        Some(Canvas { size: Size::new(width, height), left, top, fill: self.fill })
    }
}
