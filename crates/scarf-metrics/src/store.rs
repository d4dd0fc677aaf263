use crate::shelves::Shelves;
use crate::{EvalError, GroundTruth, Prediction};

/// A ground truth in COCO's own numbers: left, top, width, height, so that a file's areas and
/// sides are not rounded a second time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Truth {
    pub(crate) xywh: [f64; 4],
    pub(crate) area: f64,
    pub(crate) image: u32,
    pub(crate) class: u32,
    pub(crate) crowd: bool,
    /// Ignored in every area range; true for a crowd.
    pub(crate) ignore: bool,
    pub(crate) difficult: bool,
    /// Annotation id 0, which pycocotools takes for "no match": see `json::CocoSet::warnings`.
    pub(crate) id_zero: bool,
}

/// A detection, left, top, width, height. Its class is known by where it lies.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    pub(crate) xywh: [f64; 4],
    pub(crate) score: f64,
    pub(crate) image: u32,
    /// How many detections, of all classes, came before it.
    pub(crate) order: u32,
}

/// All labels of an evaluation. Images are numbered in the order that breaks ties of score.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    pub(crate) classes: usize,
    pub(crate) images: usize,
    pub(crate) truths: Vec<Truth>,
    /// In parts, each behind the one before: one for each thread that read a file.
    pub(crate) found: Vec<Shelves>,
}

impl Store {
    pub(crate) fn push_image(
        &mut self,
        truths: &[GroundTruth],
        found: &[Prediction],
    ) -> Result<(), EvalError> {
        let image = u32::try_from(self.images).map_err(|_| EvalError::TooMany { what: "images" })?;
        for (what, len) in [
            ("ground truths", self.truths.len() + truths.len()),
            ("predictions", self.detections() + found.len()),
        ] {
            u32::try_from(len).map_err(|_| EvalError::TooMany { what })?;
        }
        check_truths(truths, self.classes)?;
        check_found(found, self.classes)?;
        self.truths.extend(truths.iter().map(|t| Truth {
            xywh: xywh(t.bbox.to_array()),
            area: t.area,
            image,
            class: t.class as u32,
            crowd: t.crowd,
            ignore: t.ignore || t.crowd,
            difficult: t.difficult,
            id_zero: false,
        }));
        let shelves = self.last_shelves();
        found.iter().for_each(|f| shelves.push(f.class as u32, xywh(f.bbox.to_array()), f.score, image));
        self.images += 1;
        Ok(())
    }

    /// How many detections there are.
    pub(crate) fn detections(&self) -> usize {
        self.found.iter().map(Shelves::len).sum()
    }

    /// The detections of a class in the order they came, in parts.
    pub(crate) fn found_of(&self, class: usize) -> impl Iterator<Item = &[Found]> {
        self.found.iter().flat_map(move |shelves| shelves.of_class(class))
    }

    /// The ground truths in the order of classes.
    pub(crate) fn truths_by_class(&self) -> ByClass {
        ByClass::of(self.classes, self.truths.iter().map(|t| t.class))
    }

    fn last_shelves(&mut self) -> &mut Shelves {
        if self.found.is_empty() {
            self.found.push(Shelves::new(self.classes));
        }
        self.found.last_mut().expect("one was put there")
    }

    /// Forgets all images and keeps the memory they took.
    pub(crate) fn clear(&mut self) {
        self.images = 0;
        self.truths.clear();
        self.found.truncate(1);
        self.found.iter_mut().for_each(Shelves::clear);
    }

    /// Appends the other's images behind ours.
    pub(crate) fn append(&mut self, other: Store) -> Result<(), EvalError> {
        let too_many = |what| move |_| EvalError::TooMany { what };
        let shift = u32::try_from(self.images).map_err(too_many("images"))?;
        u32::try_from(self.images + other.images).map_err(too_many("images"))?;
        u32::try_from(self.truths.len() + other.truths.len()).map_err(too_many("ground truths"))?;
        u32::try_from(self.detections() + other.detections()).map_err(too_many("predictions"))?;
        self.truths.extend(other.truths.into_iter().map(|t| Truth { image: t.image + shift, ..t }));
        other.found.iter().for_each(|found| self.last_shelves().append(found, shift));
        self.images += other.images;
        Ok(())
    }
}

/// Indices in the order of classes: of class `c` those at `starts[c]..starts[c + 1]`.
pub(crate) struct ByClass {
    order: Vec<u32>,
    starts: Vec<usize>,
}

impl ByClass {
    /// A stable counting sort.
    fn of(classes: usize, of: impl Iterator<Item = u32> + Clone) -> Self {
        let mut starts = vec![0usize; classes + 1];
        of.clone().for_each(|class| starts[class as usize + 1] += 1);
        for class in 0..classes {
            starts[class + 1] += starts[class];
        }
        let mut next = starts.clone();
        let mut order = vec![0u32; starts[classes]];
        for (class, index) in of.zip(0..) {
            order[next[class as usize]] = index;
            next[class as usize] += 1;
        }
        Self { order, starts }
    }

    pub(crate) fn indices(&self, class: usize) -> &[u32] {
        &self.order[self.starts[class]..self.starts[class + 1]]
    }
}

fn xywh([x1, y1, x2, y2]: [f64; 4]) -> [f64; 4] {
    [x1, y1, x2 - x1, y2 - y1]
}

fn check_truths(truths: &[GroundTruth], classes: usize) -> Result<(), EvalError> {
    let what = "ground truth";
    for (index, t) in truths.iter().enumerate() {
        check(what, index, t.class, classes, "box", &t.bbox.to_array())?;
        check(what, index, t.class, classes, "area", &[t.area])?;
    }
    Ok(())
}

fn check_found(found: &[Prediction], classes: usize) -> Result<(), EvalError> {
    let what = "prediction";
    for (index, f) in found.iter().enumerate() {
        check(what, index, f.class, classes, "box", &f.bbox.to_array())?;
        check(what, index, f.class, classes, "score", &[f.score])?;
    }
    Ok(())
}

fn check(
    what: &'static str,
    index: usize,
    class: usize,
    classes: usize,
    number: &'static str,
    numbers: &[f64],
) -> Result<(), EvalError> {
    if class >= classes {
        return Err(EvalError::Class { what, index, class, classes });
    }
    if !numbers.iter().all(|v| v.is_finite()) {
        return Err(EvalError::NotFinite { what, index, number });
    }
    Ok(())
}
