use crate::store::Found;

/// Detections shelved by class, in the order they came.
///
/// Rows lie in runs of one class each, so that a class is read in long strides, and that a
/// new detection moves no other one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelves {
    rows: Vec<Found>,
    classes: Vec<Shelf>,
    len: usize,
}

/// The rows of one class.
#[derive(Clone, Debug, Default)]
struct Shelf {
    /// The first rows of its runs.
    runs: Vec<usize>,
    /// The row behind its last one.
    next: usize,
}

/// Rows in a run: 3 KiB of them.
const RUN: usize = 64;

impl Shelves {
    pub(crate) fn new(classes: usize) -> Self {
        Self { classes: vec![Shelf::default(); classes], ..Self::default() }
    }

    /// With room for so many detections: memory that is never touched costs nothing, and memory
    /// that is moved costs twice.
    pub(crate) fn with_capacity(classes: usize, detections: usize) -> Self {
        Self { rows: Vec::with_capacity(detections), ..Self::new(classes) }
    }

    /// How many detections there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a detection of a class (which exists).
    #[inline]
    pub(crate) fn push(&mut self, class: u32, xywh: [f64; 4], score: f64, image: u32) {
        self.put(class, Found { xywh, score, image, order: self.len as u32 });
    }

    #[inline]
    fn put(&mut self, class: u32, found: Found) {
        let shelf = &mut self.classes[class as usize];
        if shelf.next.is_multiple_of(RUN) {
            shelf.next = self.rows.len();
            shelf.runs.push(shelf.next);
            self.rows.resize(shelf.next + RUN, Found::default());
        }
        self.rows[shelf.next] = found;
        shelf.next += 1;
        self.len += 1;
    }

    /// Adds all detections of others behind ours, their images' numbers shifted.
    pub(crate) fn append(&mut self, other: &Shelves, images: u32) {
        let before = self.len as u32;
        for class in 0..other.classes.len() {
            for &found in other.of_class(class).flatten() {
                let moved = Found { image: found.image + images, order: found.order + before, ..found };
                self.put(class as u32, moved);
            }
        }
    }

    /// The detections of a class in the order they came, in parts.
    pub(crate) fn of_class(&self, class: usize) -> impl Iterator<Item = &[Found]> {
        let shelf = &self.classes[class];
        shelf.runs.iter().map(|&start| &self.rows[start..shelf.next.clamp(start, start + RUN)])
    }

    /// Forgets all detections and keeps their memory.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.classes.iter_mut().for_each(|shelf| {
            shelf.runs.clear();
            shelf.next = 0;
        });
        self.len = 0;
    }
}
