use crate::{EvalError, GroundTruth, Prediction};

/// A ground truth in COCO's own numbers: left, top, width, height, so that a file's areas and
/// sides are not rounded a second time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth {
    pub(crate) xywh: [f64; 4],
    pub(crate) area: f64,
    pub(crate) image: u32,
    pub(crate) class: u32,
    pub(crate) crowd: bool,
    /// Ignored in every area range; true for a crowd.
    pub(crate) ignore: bool,
    pub(crate) difficult: bool,
    /// Annotation id 0, which pycocotools takes for "no match": see `json::Loaded::warnings`.
    pub(crate) id_zero: bool,
}

/// A detection, left, top, width, height.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) xywh: [f64; 4],
    pub(crate) score: f64,
    pub(crate) image: u32,
    pub(crate) class: u32,
}

/// All labels of an evaluation. Images are numbered in the order that breaks ties of score.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    pub(crate) classes: usize,
    pub(crate) images: usize,
    pub(crate) truths: Vec<Truth>,
    pub(crate) found: Vec<Found>,
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
            ("predictions", self.found.len() + found.len()),
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
        self.found.extend(found.iter().map(|f| Found {
            xywh: xywh(f.bbox.to_array()),
            score: f.score,
            image,
            class: f.class as u32,
        }));
        self.images += 1;
        Ok(())
    }

    /// Appends the other's images behind ours.
    pub(crate) fn append(&mut self, other: Store) -> Result<(), EvalError> {
        let too_many = |what| move |_| EvalError::TooMany { what };
        let shift = u32::try_from(self.images).map_err(too_many("images"))?;
        u32::try_from(self.images + other.images).map_err(too_many("images"))?;
        u32::try_from(self.truths.len() + other.truths.len()).map_err(too_many("ground truths"))?;
        u32::try_from(self.found.len() + other.found.len()).map_err(too_many("predictions"))?;
        self.truths.extend(other.truths.into_iter().map(|t| Truth { image: t.image + shift, ..t }));
        self.found.extend(other.found.into_iter().map(|f| Found { image: f.image + shift, ..f }));
        self.images += other.images;
        Ok(())
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
