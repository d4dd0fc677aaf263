//! All that augmentation does to an image in one look at it, for whoever does it at once.

use rand_chacha::ChaCha8Rng;
use scarf_core::{Annotation, BBox, Size};

use super::{Canvas, Colors, Edit, Transform};

/// What becomes of an image: other colors; then of a window, that may reach beyond the image, what is visible of it on
/// one color; then rows and columns change places, then left and right, above and below.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// What is done to the colors of the whole image, before anything else.
    pub colors: Colors,
    /// In whole pixels of the image.
    pub window: BBox<f64>,
    /// The part of the window that shows the image, in whole pixels of the image.
    pub visible: BBox<f64>,
    /// The color of the rest of the window, RGB.
    pub fill: [u8; 3],
    /// Whether rows and columns change places.
    pub transposed: bool,
    /// Whether left and right, and above and below, then do.
    pub mirrored: [bool; 2],
}

impl View {
    /// All of an image as it is.
    pub fn whole(size: Size) -> Self {
        let whole = BBox::new(0.0, 0.0, size.width.into(), size.height.into());
        Self {
            colors: Colors::default(),
            window: whole,
            visible: whole,
            fill: [0; 3],
            transposed: false,
            mirrored: [false; 2],
        }
    }

    /// Whether what these steps do is one view, whatever is drawn: colors change at most once, before the image's
    /// edges do (how much contrast is added hangs on what can be seen), and there is at most one canvas.
    pub fn holds(steps: &[Transform]) -> bool {
        let at = |kind: fn(&Transform) -> bool| steps.iter().enumerate().filter(move |(_, step)| kind(step));
        let mut colors = at(|step| matches!(step, Transform::Photometric(_)));
        let mut edges = at(|step| matches!(step, Transform::ZoomOut(_) | Transform::IouCrop(_)));
        let first_edge = edges.next().map_or(steps.len(), |(at, _)| at);
        let early = colors.next().is_none_or(|(at, _)| at < first_edge);
        early && colors.next().is_none() && at(|step| matches!(step, Transform::ZoomOut(_))).count() <= 1
    }

    /// What [`super::apply`] makes of an image of that size with these objects, from the same generator: the view, and
    /// the objects in pixels of its window as it comes out (see [`View::size`]).
    ///
    /// Steps that no view holds (see [`View::holds`]) give some other view.
    pub fn draw(
        steps: &[Transform],
        mut size: Size,
        mut annotations: Vec<Annotation>,
        rng: &mut ChaCha8Rng,
    ) -> (Self, Vec<Annotation>) {
        let mut view = Self::whole(size);
        for step in steps {
            if let Some(edit) = step.draw(size, &annotations, rng) {
                annotations = edit.moved(size, annotations);
                size = edit.size(size);
                view.then(&edit);
            }
        }
        (view, annotations)
    }

    /// The size of the window as it comes out: turned if rows and columns change places.
    pub fn size(&self) -> Size {
        let (width, height) = (self.window.width() as u32, self.window.height() as u32);
        if self.transposed { Size::new(height, width) } else { Size::new(width, height) }
    }

    fn then(&mut self, edit: &Edit) {
        match edit {
            Edit::FlipHorizontal => self.mirrored[0] ^= true,
            Edit::FlipVertical => self.mirrored[1] ^= true,
            // Clockwise: rows become columns, then left and right change places.
            Edit::Turn(turns) => (0..turns % 4).for_each(|_| {
                self.transposed ^= true;
                self.mirrored = [!self.mirrored[1], self.mirrored[0]];
            }),
            Edit::Colors(colors) => self.colors = colors.clone(),
            Edit::Canvas(Canvas { size, left, top, fill }) => {
                self.reframe(-f64::from(*left), -f64::from(*top), *size);
                self.fill = *fill;
            }
            Edit::Window(window) => {
                self.reframe(window.left.into(), window.top.into(), window.size);
                self.visible = self.visible.clip(&self.window);
            }
        }
    }

    /// Another window: its left upper corner in the pixels that come out now, and its size.
    fn reframe(&mut self, left: f64, top: f64, size: Size) {
        let now = self.size();
        let from_far = |mirrored: bool, near: f64, new: u32, old: u32| {
            if mirrored { f64::from(old) - near - f64::from(new) } else { near }
        };
        let left = from_far(self.mirrored[0], left, size.width, now.width);
        let top = from_far(self.mirrored[1], top, size.height, now.height);
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let [x, y, width, height] =
            if self.transposed { [top, left, height, width] } else { [left, top, width, height] };
        self.window = BBox::from_xywh(self.window.x1 + x, self.window.y1 + y, width, height);
    }
}
