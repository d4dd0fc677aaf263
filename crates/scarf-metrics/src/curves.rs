use crate::Matched;

/// A class's precision and recall as the score threshold falls, at one IoU threshold.
///
/// Point `k` keeps all detections scored at least `scores[k]`; scores fall, and differ from each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The score threshold of each point, falling.
    pub scores: Vec<f64>,
    /// Right detections over those that count.
    pub precision: Vec<f64>,
    /// Right detections over objects.
    pub recall: Vec<f64>,
}

/// The score threshold with the highest F1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BestThreshold {
    /// Keep detections scored at least this.
    pub score: f64,
    /// The harmonic mean of precision and recall there.
    pub f1: f64,
    /// Precision there.
    pub precision: f64,
    /// Recall there.
    pub recall: f64,
}

/// Localisation-Recall-Precision error, in `0..=1`, less is better (Oksuz et al. 2018).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lrp {
    /// The least error that any score threshold gives: optimal LRP.
    pub olrp: f64,
    /// The score threshold that gives it; `None` where keeping nothing is best.
    pub score: Option<f64>,
    /// Mean `1 - IoU` of the right detections there.
    pub localisation: Option<f64>,
    /// `1 - precision` there.
    pub false_positive: Option<f64>,
    /// `1 - recall` there.
    pub false_negative: f64,
}

impl Curve {
    /// F1 at each point: `2 P R / (P + R)`, 0 where both are 0.
    pub fn f1(&self) -> Vec<f64> {
        let harmonic = |(&p, &r): (&f64, &f64)| if p + r > 0.0 { 2.0 * p * r / (p + r) } else { 0.0 };
        self.precision.iter().zip(&self.recall).map(harmonic).collect()
    }

    /// The point of the highest F1; of equal ones the highest score. `None` without detections.
    pub fn best(&self) -> Option<BestThreshold> {
        let f1 = self.f1();
        let best = (0..f1.len()).reduce(|best, k| if f1[k] > f1[best] { k } else { best })?;
        Some(BestThreshold {
            score: self.scores[best],
            f1: f1[best],
            precision: self.precision[best],
            recall: self.recall[best],
        })
    }
}

/// Counts down to a score threshold.
#[derive(Clone, Copy, Default)]
struct Counts {
    right: usize,
    wrong: usize,
    /// Sum of `1 - IoU` of the right ones.
    loose: f64,
}

impl Matched {
    /// The curve of a class at an IoU threshold (by index); `None` where no object counts.
    pub fn curve(&self, class: usize, threshold: usize) -> Option<Curve> {
        let objects = self.classes.get(class)?.objects.len();
        if objects == 0 || threshold >= self.iou_thresholds.len() {
            return None;
        }
        let mut curve = Curve { scores: Vec::new(), precision: Vec::new(), recall: Vec::new() };
        self.sweep(class, threshold, |score, counts| {
            curve.scores.push(score);
            curve.precision.push(counts.right as f64 / (counts.right + counts.wrong) as f64);
            curve.recall.push(counts.right as f64 / objects as f64);
        });
        Some(curve)
    }

    /// Optimal LRP of a class, right meaning the first IoU threshold (.5 by default).
    ///
    /// At each score threshold the error is `(sum of (1 - IoU) / (1 - t) over the right + wrong + missed)
    /// / (right + wrong + missed)`. `None` where no object counts.
    pub fn olrp(&self, class: usize) -> Option<Lrp> {
        let objects = self.classes.get(class)?.objects.len();
        let least = *self.iou_thresholds.first()?;
        if objects == 0 {
            return None;
        }
        let nothing =
            Lrp { olrp: 1.0, score: None, localisation: None, false_positive: None, false_negative: 1.0 };
        let mut best = nothing;
        self.sweep(class, 0, |score, c| {
            let missed = objects - c.right;
            let whole = (c.right + c.wrong + missed) as f64;
            // At a threshold of 1 what is right lies exactly.
            let loose = if least < 1.0 { c.loose / (1.0 - least) } else { 0.0 };
            let error = (loose + (c.wrong + missed) as f64) / whole;
            if error < best.olrp {
                best = Lrp {
                    olrp: error,
                    score: Some(score),
                    localisation: (c.right > 0).then(|| c.loose / c.right as f64),
                    false_positive: Some(c.wrong as f64 / (c.right + c.wrong) as f64),
                    false_negative: missed as f64 / objects as f64,
                };
            }
        });
        Some(best)
    }

    /// Shows the counts at every distinct score, highest first, of detections that count.
    fn sweep(&self, class: usize, threshold: usize, mut see: impl FnMut(f64, Counts)) {
        let class = &self.classes[class];
        let bit = 1u64 << threshold;
        let mut counts = Counts::default();
        let counting: Vec<usize> = (0..class.scores.len()).filter(|&k| class.skipped[k] & bit == 0).collect();
        for (at, &k) in counting.iter().enumerate() {
            if class.right[k] & bit != 0 {
                counts.right += 1;
                counts.loose += 1.0 - class.ious[k];
            } else {
                counts.wrong += 1;
            }
            if counting.get(at + 1).is_none_or(|&next| class.scores[next] != class.scores[k]) {
                see(class.scores[k], counts);
            }
        }
    }
}

/// How far scores are from the share that is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Detection expected calibration error, in `0..=1` (Kueppers et al. 2020, by confidence alone).
    pub d_ece: f64,
    /// The bins that hold detections, from low scores to high.
    pub bins: Vec<CalibrationBin>,
}

/// Detections of about one score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationBin {
    /// Detections.
    pub count: usize,
    /// Their mean score.
    pub score: f64,
    /// The share that is right.
    pub precision: f64,
}

impl Matched {
    /// Calibration over all classes at an IoU threshold (by index), in `bins` equal bins of `0..=1`.
    ///
    /// Scores outside fall into the outer bins; detections that count for nothing are left out, and
    /// so are those scored under `least`. `None` where none is left, or no bin or threshold is.
    pub fn calibration(&self, threshold: usize, bins: usize, least: f64) -> Option<Calibration> {
        if bins == 0 || threshold >= self.iou_thresholds.len() {
            return None;
        }
        let bit = 1u64 << threshold;
        let mut sums = vec![(0usize, 0.0, 0usize); bins];
        for class in &self.classes {
            for (k, &score) in class.scores.iter().enumerate() {
                if score >= least && class.skipped[k] & bit == 0 {
                    let bin = &mut sums[((score * bins as f64) as usize).min(bins - 1)];
                    *bin = (bin.0 + 1, bin.1 + score, bin.2 + usize::from(class.right[k] & bit != 0));
                }
            }
        }
        let total: usize = sums.iter().map(|bin| bin.0).sum();
        let bins: Vec<CalibrationBin> = sums
            .into_iter()
            .filter(|bin| bin.0 > 0)
            .map(|(count, scores, right)| {
                let share = |v: f64| v / count as f64;
                CalibrationBin { count, score: share(scores), precision: share(right as f64) }
            })
            .collect();
        let gap = |bin: &CalibrationBin| bin.count as f64 / total as f64 * (bin.score - bin.precision).abs();
        (total > 0).then(|| Calibration { d_ece: bins.iter().map(gap).sum(), bins })
    }
}
