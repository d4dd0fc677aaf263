use rand_chacha::ChaCha8Rng;
use scarf_core::Size;

use super::field::Field;
use super::shape::Mask;

/// How the images of one class look.
pub(super) struct Look {
    /// The class.
    pub(super) name: &'static str,
    /// The surface without defects, in gray levels.
    pub(super) surface: fn(Size, &mut ChaCha8Rng) -> Field,
    /// One defect.
    pub(super) defect: fn(Size, &mut ChaCha8Rng) -> Defect,
    /// Fewest and most defects an image.
    pub(super) count: [usize; 2],
    /// What whoever marks the images leaves around a defect, in pixels of an image of 200.
    pub(super) margin: f32,
}

/// A defect before it is laid on the surface.
pub(super) struct Defect {
    pub(super) mask: Mask,
    pub(super) tone: Tone,
}

/// What a defect does to the levels it covers.
pub(super) enum Tone {
    /// Adds so many levels.
    Shift(f32),
    /// Moves the levels towards one, keeping `texture` of their deviation from it.
    Toward {
        level: f32,
        /// 0: as smooth as can be; 1: no change at all.
        texture: f32,
    },
    /// Adds so many levels on one side of the center and takes them off on the other.
    Tilt { center: [f32; 2], radii: [f32; 2], levels: f32, way: [f32; 2] },
}

impl Defect {
    pub(super) fn lay(&self, surface: &mut Field) {
        let width = self.mask.width;
        for (at, (value, &part)) in surface.data.iter_mut().zip(&self.mask.data).enumerate() {
            if part > 0.0 {
                *value += part * self.tone.change(*value, [(at % width) as f32, (at / width) as f32]);
            }
        }
    }
}

impl Tone {
    /// The levels to add at a pixel that is covered in full.
    fn change(&self, value: f32, [x, y]: [f32; 2]) -> f32 {
        match *self {
            Self::Shift(levels) => levels,
            Self::Toward { level, texture } => (level - value) * (1.0 - texture),
            Self::Tilt { center, radii, levels, way } => {
                levels * ((x - center[0]) / radii[0] * way[0] + (y - center[1]) / radii[1] * way[1])
            }
        }
    }
}

/// Pixels per pixel of an image of 200: lengths of looks are given for that size.
pub(super) fn scale(size: Size) -> f32 {
    size.width.min(size.height) as f32 / 200.0
}

/// Adds the light: brighter by `x` levels from left to right and `y` from top to bottom.
pub(super) fn light(field: &mut Field, x: f32, y: f32) {
    let (w, h) = (field.width as f32, field.height as f32);
    let width = field.width;
    for (row, values) in field.data.chunks_exact_mut(width).enumerate() {
        let down = y * (row as f32 / h - 0.5);
        for (column, value) in values.iter_mut().enumerate() {
            *value += down + x * (column as f32 / w - 0.5);
        }
    }
}
