use crate::CocoParams;
use crate::grid::{Grid, bits};
use crate::matching::{Matcher, Seen};
use crate::store::{ByClass, Store};

/// The answers of one class at one question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answer {
    /// Mean precision over the recall thresholds.
    pub(crate) precision: f64,
    /// Recall with each of `max_dets`.
    pub(crate) recall: [f64; 3],
}

/// One class's answers, `[area][threshold]`; `None` where no ground truth counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClassAnswers {
    pub(crate) table: Vec<Vec<Option<Answer>>>,
    /// Ground truths and detections of the class, the ignored ones among them.
    pub(crate) objects: usize,
    pub(crate) detections: usize,
}

/// The buffers of an evaluation of one class after the other.
#[derive(Default)]
pub(crate) struct Workspace {
    matcher: Matcher,
    tally: Tally,
}

impl Workspace {
    /// Answers all questions for one class.
    pub(crate) fn evaluate(
        &mut self,
        store: &Store,
        truths: &ByClass,
        class: usize,
        params: &CocoParams,
        grids: &[Grid],
    ) -> ClassAnswers {
        let truths = truths.indices(class);
        let mut answers = ClassAnswers {
            table: vec![vec![None; params.iou_thresholds.len()]; params.areas.len()],
            objects: truths.len(),
            detections: store.found_of(class).map(<[_]>::len).sum(),
        };
        if truths.is_empty() {
            return answers;
        }
        self.matcher.sort(store, class);
        for grid in grids {
            self.matcher.load(store, grid, truths);
            let counted = self.matcher.counted(grid);
            self.tally.reset(grid, params, truths.len());
            let tally = &mut self.tally;
            self.matcher.pass(grid, params.max_dets[2], |seen| tally.see(grid, &seen));
            let mut needs = (0, Vec::new());
            for (question, &(threshold, area)) in grid.questions.iter().enumerate() {
                let counted = counted[question];
                if needs.0 != counted {
                    needs = (counted, needed(&params.recall_thresholds, counted)); // once an area range
                }
                answers.table[area][threshold] = self.tally.answer(question, counted, &needs.1);
            }
        }
        answers
    }
}

/// Running counts of one class at every question of a grid.
///
/// Only a detection that touches a ground truth needs work at each question. All others are wrong
/// where their area is within range, so one counter per area range counts them.
#[derive(Default)]
struct Tally {
    max_dets: [usize; 3],
    /// Detections within each area range, and the bits of the range.
    within: Vec<(u64, u32)>,
    /// For each question, which of `within`.
    range_of: Vec<usize>,
    /// Detections that count at a question, less those within its area range.
    extra: Vec<i32>,
    /// `right[question * stride + k]`: how many detections count up to the k-th right one.
    right: Vec<u32>,
    stride: usize,
    rights: Vec<u32>,
    /// Right ones among the best `max_dets[m]` of their image.
    recalled: Vec<[u32; 3]>,
}

impl Tally {
    fn reset(&mut self, grid: &Grid, params: &CocoParams, truths: usize) {
        let questions = grid.questions.len();
        self.max_dets = params.max_dets;
        self.within.clear();
        self.within.extend(grid.area_bits().map(|b| (b, 0)));
        self.range_of.clear();
        let position =
            |area| grid.area_indices.iter().position(|&a| a == area).expect("grid lists its areas");
        self.range_of.extend(grid.questions.iter().map(|q| position(q.1)));
        for (counts, len) in [(&mut self.right, questions * truths), (&mut self.rights, questions)] {
            counts.clear();
            counts.resize(len, 0);
        }
        self.stride = truths;
        self.extra.clear();
        self.extra.resize(questions, 0);
        self.recalled.clear();
        self.recalled.resize(questions, [0; 3]);
    }

    #[inline]
    fn see(&mut self, grid: &Grid, seen: &Seen) {
        for (bits, count) in &mut self.within {
            *count += u32::from(seen.within & *bits != 0);
        }
        if seen.touched {
            self.see_touched(grid, seen);
        }
    }

    fn see_touched(&mut self, grid: &Grid, seen: &Seen) {
        let counts = grid.mask() & !seen.outcome.skipped;
        bits(counts & !seen.within).for_each(|q| self.extra[q] += 1);
        bits(seen.within & !counts).for_each(|q| self.extra[q] -= 1);
        for q in bits(seen.outcome.right) {
            let total = self.within[self.range_of[q]].1.wrapping_add_signed(self.extra[q]);
            self.right[q * self.stride + self.rights[q] as usize] = total;
            self.rights[q] += 1;
            for (m, recalled) in self.recalled[q].iter_mut().enumerate() {
                *recalled += u32::from(seen.rank < self.max_dets[m]);
            }
        }
    }

    fn answer(&self, question: usize, counted: u32, needed: &[usize]) -> Option<Answer> {
        if counted == 0 {
            return None;
        }
        let start = question * self.stride;
        let right = &self.right[start..start + self.rights[question] as usize];
        let recall = self.recalled[question].map(|r| f64::from(r) / f64::from(counted));
        Some(Answer { precision: mean_precision(right, needed), recall })
    }
}

/// The mean over recall thresholds of the highest precision at that recall or beyond.
///
/// `totals[k]` is how many detections count up to the (k + 1)-th right one, and `needed` what [`needed`]
/// says. Precision only rises at a right one, so the others need not be looked at.
pub(crate) fn mean_precision(totals: &[u32], needed: &[usize]) -> f64 {
    let (mut sum, mut best, mut next) = (0.0, 0.0f64, totals.len());
    for &needed in needed.iter().rev() {
        while next > 0 && next >= needed {
            let precision = next as f64 / (f64::from(totals[next - 1]) + f64::EPSILON);
            best = best.max(precision);
            next -= 1;
        }
        sum += if needed <= totals.len() { best } else { 0.0 };
    }
    sum / needed.len() as f64
}

/// For each recall threshold the least number of right detections that reaches it, of `counted`
/// objects.
pub(crate) fn needed(recalls: &[f64], counted: u32) -> Vec<usize> {
    recalls.iter().map(|&recall| needed_for(recall, counted)).collect()
}

/// As `numpy.searchsorted` on `right / counted` finds it.
fn needed_for(recall: f64, counted: u32) -> usize {
    let reaches = |right: f64| right / f64::from(counted) >= recall;
    let mut right = (recall * f64::from(counted)).ceil().max(0.0);
    while right > 0.0 && reaches(right - 1.0) {
        right -= 1.0;
    }
    while !reaches(right) && right <= f64::from(counted) {
        right += 1.0;
    }
    right as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_is_sampled_by_counts() {
        assert_eq!([0.0, 0.01, 0.5, 0.51, 1.0].map(|r| needed_for(r, 4)), [0, 1, 2, 3, 4]);
        for counted in 1..300 {
            for recall in crate::linspace(0.0, 1.0, 101) {
                let k = (0..=counted).find(|&k| f64::from(k) / f64::from(counted) >= recall).unwrap();
                assert_eq!(needed_for(recall, counted), k as usize);
            }
        }
    }

    #[test]
    fn precision_worked_by_hand() {
        // right, wrong, right of 2: precision 1 up to recall .5, then 2/3
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        let needed = needed(&crate::linspace(0.0, 1.0, 101), 2);
        close(mean_precision(&[1, 3], &needed), (51.0 + 50.0 * 2.0 / 3.0) / 101.0);
        close(mean_precision(&[1], &needed), 51.0 / 101.0);
        close(mean_precision(&[], &needed), 0.0);
    }
}
