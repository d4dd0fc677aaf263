//! What augmentation does to an image once chance has been drawn.

use image::{Rgb, RgbImage, imageops};
use scarf_core::{Annotation, BBox, Size};

use super::{Colors, Labeled};

/// One thing that is done to an image and its objects; nothing in it is left to chance.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Left becomes right.
    FlipHorizontal,
    /// Top becomes bottom.
    FlipVertical,
    /// So many quarter turns clockwise.
    Turn(u32),
    /// Other colors.
    Colors(Colors),
    /// The image on a larger canvas.
    Canvas(Canvas),
    /// A part of the image.
    Window(Window),
}

/// A canvas that an image is put on, in pixels of the canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canvas {
    /// No side is shorter than the image's.
    pub size: Size,
    /// Where the image's left edge lies.
    pub left: u32,
    /// Where its upper edge lies.
    pub top: u32,
    /// The color around it, RGB.
    pub fill: [u8; 3],
}

/// A part of an image, in whole pixels of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The part's left edge.
    pub left: u32,
    /// Its upper edge.
    pub top: u32,
    /// Its size, within the image.
    pub size: Size,
}

impl Window {
    pub(super) fn bbox(&self) -> BBox<f64> {
        let [left, top, width, height] =
            [self.left, self.top, self.size.width, self.size.height].map(f64::from);
        BBox::from_xywh(left, top, width, height)
    }
}

impl Edit {
    /// The image, and its objects where they lie afterwards.
    pub fn apply(&self, labeled: Labeled) -> Labeled {
        let annotations = self.moved(labeled.size(), labeled.annotations);
        Labeled { image: self.painted(labeled.image), annotations }
    }

    /// The size of what becomes of an image of that size.
    pub fn size(&self, before: Size) -> Size {
        match self {
            Self::Turn(turns) if turns % 2 == 1 => Size::new(before.height, before.width),
            Self::Canvas(Canvas { size, .. }) | Self::Window(Window { size, .. }) => *size,
            _ => before,
        }
    }

    /// The objects of an image of that size where they lie afterwards; those that a window leaves out are gone.
    pub fn moved(&self, size: Size, annotations: Vec<Annotation>) -> Vec<Annotation> {
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let place = |map: &dyn Fn(BBox<f64>) -> BBox<f64>| {
            annotations.iter().map(|a| Annotation { bbox: map(a.bbox), ..*a }).collect()
        };
        match *self {
            Self::FlipHorizontal => place(&|b| BBox::new(width - b.x2, b.y1, width - b.x1, b.y2)),
            Self::FlipVertical => place(&|b| BBox::new(b.x1, height - b.y2, b.x2, height - b.y1)),
            Self::Turn(turns) => match turns % 4 {
                1 => place(&|b| BBox::new(height - b.y2, b.x1, height - b.y1, b.x2)),
                2 => place(&|b| BBox::new(width - b.x2, height - b.y2, width - b.x1, height - b.y1)),
                3 => place(&|b| BBox::new(b.y1, width - b.x2, b.y2, width - b.x1)),
                _ => annotations,
            },
            Self::Colors(_) => annotations,
            Self::Canvas(Canvas { left, top, .. }) => place(&|b| b.translate(left.into(), top.into())),
            Self::Window(window) => within(&window.bbox(), annotations),
        }
    }

    fn painted(&self, mut image: RgbImage) -> RgbImage {
        match self {
            Self::FlipHorizontal => imageops::flip_horizontal_in_place(&mut image),
            Self::FlipVertical => imageops::flip_vertical_in_place(&mut image),
            Self::Turn(turns) => return (0..turns % 4).fold(image, |image, _| imageops::rotate90(&image)),
            Self::Colors(colors) => colors.paint(&mut image),
            Self::Canvas(Canvas { size, left, top, fill }) => {
                let mut canvas = RgbImage::from_pixel(size.width, size.height, Rgb(*fill));
                imageops::replace(&mut canvas, &image, (*left).into(), (*top).into());
                return canvas;
            }
            Self::Window(Window { left, top, size }) => {
                return imageops::crop_imm(&image, *left, *top, size.width, size.height).to_image();
            }
        }
        image
    }
}

pub(super) fn holds_center(window: &BBox<f64>, bbox: &BBox<f64>) -> bool {
    let (x, y) = bbox.center();
    window.x1 < x && x < window.x2 && window.y1 < y && y < window.y2
}

/// The objects whose center a window holds, cut at its edges. An object that loses a part is truncated, and its area
/// shrinks as its box does.
fn within(window: &BBox<f64>, annotations: Vec<Annotation>) -> Vec<Annotation> {
    let kept = annotations.into_iter().filter(|a| holds_center(window, &a.bbox));
    let cut = |a: Annotation| {
        let inside = a.bbox.clip(window);
        let part = if inside == a.bbox { 1.0 } else { inside.area() / a.bbox.area() };
        Annotation {
            bbox: inside.translate(-window.x1, -window.y1),
            area: if a.area == a.bbox.area() { inside.area() } else { a.area * part },
            truncated: a.truncated || part < 1.0,
            ..a
        }
    };
    kept.map(cut).collect()
}
