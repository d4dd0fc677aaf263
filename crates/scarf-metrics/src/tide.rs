use crate::Evaluator;
use crate::accumulate::{mean_precision, needed};
use crate::images::{ImageLabels, iou};

/// The kinds of error that TIDE tells apart (Bolya et al. 2020).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The right place, another class.
    Class,
    /// The right class, too far off.
    Location,
    /// Neither class nor place quite right.
    Both,
    /// An object that a better detection has found already.
    Duplicate,
    /// Nothing there.
    Background,
    /// An object that no detection came near.
    Missed,
}

impl ErrorKind {
    /// All kinds, in the paper's order.
    pub const ALL: [Self; 6] =
        [Self::Class, Self::Location, Self::Both, Self::Duplicate, Self::Background, Self::Missed];
}

/// Where average precision at IoU .5 is lost.
#[derive(Clone, Debug, PartialEq)]
pub struct TideReport {
    /// AP at IoU .5 as TIDE's matching has it, in `0..=1`: a class that was found, and of which there is no object, has 0.
    /// `None` without objects and detections.
    pub ap50: Option<f64>,
    /// Each kind in [`ErrorKind::ALL`]'s order: how many, and how much AP rises when they alone are mended.
    pub errors: [(ErrorKind, usize, f64); 6],
}

/// From this IoU on a detection is right; below the other it is on the background.
const RIGHT: f64 = 0.5;
const NEAR: f64 = 0.1;

/// A detection with TIDE's verdict.
struct Verdict {
    class: usize,
    score: f64,
    error: Option<ErrorKind>,
    /// For errors of class and place: the object (by number) that mending would give it.
    object: Option<usize>,
}

/// An object that counts.
struct Object {
    class: usize,
    found: bool,
    /// The best detection (by number) that mending could give it.
    mender: Option<usize>,
    missed: bool,
}

#[derive(Default)]
struct Verdicts {
    found: Vec<Verdict>,
    objects: Vec<Object>,
}

impl Evaluator {
    /// TIDE's error types at IoU .5 and .1, and the AP that each costs.
    ///
    /// Mending, as tidecv does it: errors of class and place become right where they are the best
    /// claim on an object that nobody found, and go otherwise; of both, duplicates and background go;
    /// missed objects are not asked for. Detections on crowds and ignored objects are left out.
    /// `max_dets` applies per image over all classes.
    pub fn tide(&self) -> TideReport {
        let mut verdicts = Verdicts::default();
        for mut image in ImageLabels::all(&self.store) {
            image.found.truncate(self.params.max_dets[2]);
            verdicts.judge(&image);
        }
        verdicts.finish();
        let recalls = &self.params.recall_thresholds;
        let base = verdicts.ap(None, self.store.classes, recalls);
        let errors = ErrorKind::ALL.map(|kind| {
            let count = match kind {
                ErrorKind::Missed => verdicts.objects.iter().filter(|o| o.missed).count(),
                _ => verdicts.found.iter().filter(|v| v.error == Some(kind)).count(),
            };
            let mended = verdicts.ap(Some(kind), self.store.classes, recalls);
            (kind, count, mended.unwrap_or(0.0) - base.unwrap_or(0.0))
        });
        TideReport { ap50: base, errors }
    }
}

impl Verdicts {
    /// Matches one image's detections within their class, then names the errors.
    fn judge(&mut self, image: &ImageLabels<'_>) {
        let first = self.objects.len();
        let real: Vec<_> = image.truths.iter().copied().filter(|t| !t.ignore).collect();
        let ignored: Vec<_> = image.truths.iter().copied().filter(|t| t.ignore).collect();
        self.objects.extend(real.iter().map(|t| Object {
            class: t.class as usize,
            found: false,
            mender: None,
            missed: false,
        }));
        let objects = &mut self.objects[first..];
        let mut wrong = Vec::new();
        for &f in &image.found {
            let of_class = (0..real.len()).filter(|&t| real[t].class == f.class && !objects[t].found);
            let best = of_class.map(|t| (t, iou(f.found, real[t]))).filter(|b| b.1 >= RIGHT);
            let best = best.reduce(|best, b| if b.1 > best.1 { b } else { best });
            let (class, score) = (f.class as usize, f.found.score);
            if let Some((truth, _)) = best {
                objects[truth].found = true;
                self.found.push(Verdict { class, score, error: None, object: None });
            } else if !ignored.iter().any(|t| t.class == f.class && iou(f.found, t) > RIGHT) {
                wrong.push(f);
            }
        }
        for f in wrong {
            let ious: Vec<f64> = real.iter().map(|t| iou(f.found, t)).collect();
            let best = |wanted: &dyn Fn(usize) -> bool| {
                let all = (0..real.len()).filter(|&t| wanted(t)).map(|t| (t, ious[t]));
                all.reduce(|best, b| if b.1 > best.1 { b } else { best }).unwrap_or((0, 0.0))
            };
            let own = best(&|t| real[t].class == f.class);
            let other = best(&|t| real[t].class != f.class);
            let (kind, object) = if !real.is_empty() && (NEAR..=RIGHT).contains(&own.1) {
                (ErrorKind::Location, Some(first + own.0))
            } else if other.1 >= RIGHT {
                (ErrorKind::Class, Some(first + other.0))
            } else if own.1 >= RIGHT {
                (ErrorKind::Duplicate, None)
            } else if own.1.max(other.1) <= NEAR {
                (ErrorKind::Background, None)
            } else {
                (ErrorKind::Both, None)
            };
            let (class, score) = (f.class as usize, f.found.score);
            self.found.push(Verdict { class, score, error: Some(kind), object });
        }
    }

    /// Gives each object that nobody found its best mender; those without one are missed.
    fn finish(&mut self) {
        for (index, verdict) in self.found.iter().enumerate() {
            let Some(object) = verdict.object.map(|o| &mut self.objects[o]).filter(|o| !o.found) else {
                continue;
            };
            if object.mender.is_none_or(|m| verdict.score > self.found[m].score) {
                object.mender = Some(index);
            }
        }
        self.objects.iter_mut().for_each(|o| o.missed = !o.found && o.mender.is_none());
    }

    /// AP with one kind of error mended.
    fn ap(&self, mended: Option<ErrorKind>, classes: usize, recalls: &[f64]) -> Option<f64> {
        let mut rows: Vec<Vec<(f64, bool)>> = vec![Vec::new(); classes];
        for (index, v) in self.found.iter().enumerate() {
            match (v.error, v.object.map(|o| &self.objects[o])) {
                (None, _) => rows[v.class].push((v.score, true)),
                (error, Some(o)) if error == mended && o.mender == Some(index) => {
                    rows[o.class].push((v.score, true))
                }
                (error, _) if error == mended => {}
                _ => rows[v.class].push((v.score, false)),
            }
        }
        let mut objects = vec![0u32; classes];
        let asked = self.objects.iter().filter(|o| !(o.missed && mended == Some(ErrorKind::Missed)));
        asked.for_each(|o| objects[o.class] += 1);
        let mut present: Vec<bool> = objects.iter().map(|objects| *objects > 0).collect();
        // As in tidecv, a class that was found and is not there has an AP of 0, and one of which nothing is left does not count.
        rows.iter().zip(&mut present).for_each(|(rows, present)| *present |= !rows.is_empty());
        let aps: Vec<f64> = (0..classes)
            .filter(|&class| present[class])
            .map(|class| class_ap(&mut rows[class], objects[class], recalls))
            .collect();
        (!aps.is_empty()).then(|| aps.iter().sum::<f64>() / aps.len() as f64)
    }
}

fn class_ap(rows: &mut [(f64, bool)], objects: u32, recalls: &[f64]) -> f64 {
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let totals: Vec<u32> = rows.iter().zip(1..).filter(|(row, _)| row.1).map(|(_, total)| total).collect();
    if objects == 0 { 0.0 } else { mean_precision(&totals, &needed(recalls, objects)) }
}

#[cfg(test)]
mod tests {
    use scarf_core::BBox;

    use super::*;
    use crate::{CocoParams, GroundTruth, Prediction};

    #[test]
    fn one_error_of_each_kind() {
        let at = |x: f64| BBox::from_xywh(x, 0.0, 10.0, 10.0);
        let found = |x, class, score| Prediction { bbox: at(x), class, score };
        let mut evaluator = Evaluator::new(2, CocoParams::default());
        let truths = [0.0, 100.0, 200.0, 300.0].map(|x| GroundTruth::new(at(x), 0));
        let claims = [
            found(0.0, 0, 0.9),   // right
            found(1.0, 0, 0.8),   // duplicate
            found(101.0, 1, 0.7), // class
            found(205.0, 0, 0.6), // place: IoU 1/3
            found(305.0, 1, 0.5), // both: IoU 1/3 with another class
            found(500.0, 0, 0.4), // background
        ];
        evaluator.add_image(&truths, &claims).unwrap();
        let report = evaluator.tide();
        assert_eq!(report.errors.map(|e| e.1), [1, 1, 1, 1, 1, 1], "{report:?}");
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        // class 0: right, duplicate, place, background; 4 objects: recall .25 at precision 1. Class 1, of which there is
        // none, has 0: every mean is half
        close(report.ap50.unwrap(), 26.0 / 101.0 / 2.0);
        // mended: right, duplicate, class -> right (2 of 3), ...
        close(report.errors[0].2, 25.0 * (2.0 / 3.0) / 101.0 / 2.0);
        // the one missed object gone, 1 of 3 is recall 1/3: points 0 to .33
        close(report.errors[5].2, (34.0 - 26.0) / 101.0 / 2.0);
        close(report.errors[3].2, 0.0);
    }

    /// As tidecv 1.0.1 has it: half before, all without the class of which nothing was found.
    #[test]
    fn a_class_whose_objects_are_all_missed_does_not_count_without_them() {
        let bbox = BBox::from_xywh(0.0, 0.0, 10.0, 10.0);
        let mut evaluator = Evaluator::new(2, CocoParams::default());
        let truths = [GroundTruth::new(bbox, 0), GroundTruth::new(BBox::from_xywh(50.0, 0.0, 10.0, 10.0), 1)];
        evaluator.add_image(&truths, &[Prediction { bbox, class: 0, score: 0.9 }]).unwrap();
        let report = evaluator.tide();
        assert!((report.ap50.unwrap() - 0.5).abs() < 1e-9, "{report:?}");
        assert!((report.errors[5].2 - 0.5).abs() < 1e-9, "{report:?}");
    }
}
