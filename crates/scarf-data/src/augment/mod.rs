//! Augmentation that moves boxes along: pure functions of an image, its boxes and a generator. A [`Transform`] draws
//! an [`Edit`], which is done at once ([`apply`]) or joins others in a [`View`] of the image.
//!
//! Names, order and figures are those of torchvision's `transforms.v2` and of its reference
//! recipe `ssd` (`references/detection/presets.py`). Images are u8; boxes are exact.

mod crop;
mod edit;
mod photometric;
mod view;
mod zoom;

use image::RgbImage;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use scarf_core::{Annotation, Size};
use serde::{Deserialize, Serialize};

pub use crop::IouCrop;
pub use edit::{Canvas, Edit, Window};
pub use photometric::{Colors, Photometric};
pub use view::View;
pub use zoom::ZoomOut;

/// An image with its objects, the boxes xyxy in its pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Labeled {
    /// The pixels.
    pub image: RgbImage,
    /// The objects; none is legal.
    pub annotations: Vec<Annotation>,
}

impl Labeled {
    /// The image's size.
    pub fn size(&self) -> Size {
        Size::new(self.image.width(), self.image.height())
    }

    /// The image resized (see [`crate::images::resize`]), the boxes scaled with it.
    pub fn resize(&self, size: Size) -> Self {
        let sx = f64::from(size.width) / f64::from(self.image.width());
        let sy = f64::from(size.height) / f64::from(self.image.height());
        let image = crate::images::resize(&self.image, size);
        let scaled = |a: &Annotation| Annotation { area: a.area * sx * sy, bbox: a.bbox.scale(sx, sy), ..*a };
        Self { image, annotations: self.annotations.iter().map(scaled).collect() }
    }
}

/// With which probability something is done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chance {
    /// In `0..=1`; 0.5 unless told.
    pub p: f64,
}

impl Default for Chance {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}

/// One step of augmentation. As written in a study file: `{ horizontal_flip = { p = 0.5 } }`,
/// or `{ iou_crop = {} }` with torchvision's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Transform {
    /// Left becomes right.
    HorizontalFlip(Chance),
    /// Top becomes bottom.
    VerticalFlip(Chance),
    /// A turn by 90, 180 or 270 degrees, each as likely.
    Rotate90(Chance),
    /// Brightness, contrast, saturation, hue, order of the channels.
    Photometric(Photometric),
    /// The image somewhere on a larger canvas.
    ZoomOut(ZoomOut),
    /// SSD's crop.
    IouCrop(IouCrop),
}

/// torchvision's recipe `ssd`: photometric, zoom out, crop, flip.
pub fn ssd() -> Vec<Transform> {
    vec![
        Transform::Photometric(Photometric::default()),
        Transform::ZoomOut(ZoomOut::default()),
        Transform::IouCrop(IouCrop::default()),
        Transform::HorizontalFlip(Chance::default()),
    ]
}

/// torchvision's recipe `ssdlite`: crop and flip.
pub fn ssdlite() -> Vec<Transform> {
    vec![Transform::IouCrop(IouCrop::default()), Transform::HorizontalFlip(Chance::default())]
}

/// Does the steps in their order. The same input and generator give the same result anywhere; an
/// image without boxes comes out without boxes; every box that comes out is valid and within its image
/// if those that came in were.
pub fn apply(steps: &[Transform], labeled: Labeled, rng: &mut ChaCha8Rng) -> Labeled {
    steps.iter().fold(labeled, |labeled, step| step.apply(labeled, rng))
}

impl Transform {
    /// What this step does to an image of that size with these objects; none where chance leaves it as it is.
    pub fn draw(&self, size: Size, annotations: &[Annotation], rng: &mut ChaCha8Rng) -> Option<Edit> {
        match self {
            Self::HorizontalFlip(Chance { p }) => happens(*p, rng).then_some(Edit::FlipHorizontal),
            Self::VerticalFlip(Chance { p }) => happens(*p, rng).then_some(Edit::FlipVertical),
            Self::Rotate90(Chance { p }) => happens(*p, rng).then(|| Edit::Turn(rng.random_range(1..=3))),
            Self::Photometric(photometric) => Some(Edit::Colors(photometric.draw(rng))),
            Self::ZoomOut(zoom) => zoom.draw(size, rng).map(Edit::Canvas),
            Self::IouCrop(crop) => crop.draw(size, annotations, rng).map(Edit::Window),
        }
    }

    /// Does this step.
    pub fn apply(&self, labeled: Labeled, rng: &mut ChaCha8Rng) -> Labeled {
        match self.draw(labeled.size(), &labeled.annotations, rng) {
            Some(edit) => edit.apply(labeled),
            None => labeled,
        }
    }

    /// Whether the figures make sense; if not, what is wrong and what would be right.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::HorizontalFlip(c) | Self::VerticalFlip(c) | Self::Rotate90(c) => within("p", c.p, 0.0, 1.0),
            Self::Photometric(photometric) => photometric.check(),
            Self::ZoomOut(zoom) => zoom.check(),
            Self::IouCrop(crop) => crop.check(),
        }
    }
}

/// True with probability `p`; one draw whatever `p` is.
fn happens(p: f64, rng: &mut ChaCha8Rng) -> bool {
    rng.random::<f64>() < p
}

/// A number from `low` up to `high`, evenly.
fn uniform([low, high]: [f64; 2], rng: &mut ChaCha8Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

fn within(name: &str, value: f64, low: f64, high: f64) -> Result<(), String> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(format!("`{name}` is {value}, expected {low} to {high}"))
}

fn range(name: &str, [from, to]: [f64; 2], low: f64, high: f64) -> Result<(), String> {
    within(name, from, low, high)?;
    within(name, to, low, high)?;
    if from > to {
        return Err(format!("`{name}` is [{from}, {to}], expected the smaller first"));
    }
    Ok(())
}
