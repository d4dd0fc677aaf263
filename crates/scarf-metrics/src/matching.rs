use crate::grid::Grid;
use crate::store::{Found, Store, Truth};

/// What became of one detection: at which questions it is right, and at which it counts for nothing.
/// At all others it is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) right: u64,
    pub(crate) skipped: u64,
    /// IoU with the ground truth that made it right at the first question; 0 where none did.
    pub(crate) first_iou: f64,
}

/// A detection as the pass leaves it.
pub(crate) struct Seen {
    pub(crate) score: f64,
    pub(crate) image: u32,
    /// How many detections of its image and class come before it.
    pub(crate) rank: usize,
    pub(crate) outcome: Outcome,
    /// The questions whose area range holds its own area.
    pub(crate) within: u64,
    /// Whether it reached any ground truth at any question.
    pub(crate) touched: bool,
}

/// Where an image's ground truths of the current class lie, and how many detections were seen.
#[derive(Clone, Copy, Default)]
struct Cell {
    start: u32,
    end: u32,
    seen: u32,
}

/// A ground truth of the current class, ready to be compared.
struct Target {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    area: f64,
    crowd: bool,
    id_zero: bool,
    /// Questions at which it is ignored.
    ignored: u64,
    /// Questions at which a detection has taken it; stays empty for a crowd.
    taken: u64,
}

/// The buffers of the pass, allocated once and reused for every class.
#[derive(Default)]
pub(crate) struct Matcher {
    /// The detections of the class, side by side.
    rows: Vec<Found>,
    /// The row of each in its lower half, in the order of the pass.
    order: Vec<u64>,
    truth_order: Vec<u32>,
    targets: Vec<Target>,
    cells: Vec<Cell>,
    candidates: Vec<(f64, u32)>,
}

impl Matcher {
    /// Sorts the detections of a class: best score first, then by image, then as they came.
    pub(crate) fn sort(&mut self, store: &Store, class: usize) {
        self.rows.clear();
        store.found_of(class).for_each(|run| self.rows.extend_from_slice(run));
        let rows = &self.rows;
        self.order.clear();
        // by the upper half of each score first
        self.order.extend(rows.iter().zip(0..).map(|(f, row)| descending(f.score) & UPPER | row));
        self.order.sort_unstable();
        for same in self.order.chunk_by_mut(|a, b| a & UPPER == b & UPPER).filter(|same| same.len() > 1) {
            let key = |found: &Found| (descending(found.score), found.image);
            same.sort_by_key(|&entry| key(&rows[row(entry)]));
        }
    }

    /// The sorted detections.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = &Found> {
        self.order.iter().map(|&entry| &self.rows[row(entry)])
    }

    /// Sets the ground truths of a class before the pass.
    pub(crate) fn load(&mut self, store: &Store, grid: &Grid, truths: &[u32]) {
        self.cells.clear();
        self.cells.resize(store.images, Cell::default());
        self.truth_order.clear();
        self.truth_order.extend_from_slice(truths);
        self.truth_order.sort_by_key(|&index| store.truths[index as usize].image);
        self.targets.clear();
        for &index in &self.truth_order {
            let truth = &store.truths[index as usize];
            let cell = &mut self.cells[truth.image as usize];
            if cell.end == 0 {
                cell.start = self.targets.len() as u32;
            }
            self.targets.push(Target::of(truth, grid));
            cell.end = self.targets.len() as u32;
        }
    }

    /// For each question, how many ground truths count.
    pub(crate) fn counted(&self, grid: &Grid) -> Vec<u32> {
        let mut counted = vec![0; grid.questions.len()];
        for target in &self.targets {
            crate::grid::bits(grid.mask() & !target.ignored).for_each(|q| counted[q] += 1);
        }
        counted
    }

    /// Matches the sorted detections to the loaded ground truths, best first, the greatest
    /// `max_dets` of an image only, and shows each to `see`.
    pub(crate) fn pass(&mut self, grid: &Grid, max_dets: usize, mut see: impl FnMut(Seen)) {
        let (least, mask) = (grid.least(), grid.mask());
        for &entry in &self.order {
            let found = &self.rows[row(entry)];
            let (score, image) = (found.score, found.image);
            let cell = &mut self.cells[found.image as usize];
            let rank = cell.seen as usize;
            if rank >= max_dets {
                continue;
            }
            cell.seen += 1;
            let within = grid.within(found.xywh[2] * found.xywh[3]);
            let targets = &mut self.targets[cell.start as usize..cell.end as usize];
            near(found, targets, least, &mut self.candidates);
            let touched = !self.candidates.is_empty();
            let outcome = if touched {
                settle(grid, targets, &mut self.candidates, mask & !within)
            } else {
                Outcome { skipped: mask & !within, ..Outcome::default() }
            };
            see(Seen { score, image, rank, outcome, within, touched });
        }
    }
}

impl Target {
    fn of(truth: &Truth, grid: &Grid) -> Self {
        let [x, y, w, h] = truth.xywh;
        let ignored = if truth.ignore { grid.mask() } else { grid.mask() & !grid.within(truth.area) };
        let (crowd, id_zero) = (truth.crowd, truth.id_zero);
        Self { left: x, top: y, right: w + x, bottom: h + y, area: w * h, crowd, id_zero, ignored, taken: 0 }
    }
}

/// Collects the ground truths whose IoU reaches `least`, with that IoU (pycocotools' `bbIou`).
#[inline]
fn near(found: &Found, targets: &[Target], least: f64, out: &mut Vec<(f64, u32)>) {
    out.clear();
    let [x, y, w, h] = found.xywh;
    let (right, bottom, area) = (w + x, h + y, w * h);
    for (index, t) in targets.iter().enumerate() {
        let wide = right.min(t.right) - x.max(t.left);
        let high = bottom.min(t.bottom) - y.max(t.top);
        let mut iou = 0.0;
        if wide > 0.0 && high > 0.0 {
            let shared = wide * high;
            iou = shared / if t.crowd { area } else { area + t.area - shared };
        }
        if iou >= least {
            out.push((iou, index as u32));
        }
    }
}

/// Gives the detection to the best ground truth that is free, at every question at once:
/// one that counts before one that is ignored, the highest IoU, and of equal ones the later.
fn settle(grid: &Grid, targets: &mut [Target], candidates: &mut [(f64, u32)], outside: u64) -> Outcome {
    if candidates.len() > 1 {
        candidates.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    }
    let (mut matched, mut right, mut skipped, mut nothing, mut first_iou) = (0u64, 0u64, 0u64, 0u64, 0.0);
    for ignored in [false, true] {
        for &(iou, index) in candidates.iter() {
            let target = &mut targets[index as usize];
            let side = if ignored { target.ignored } else { !target.ignored };
            let take = grid.met(iou) & side & !target.taken & !matched;
            matched |= take;
            if !target.crowd {
                target.taken |= take;
            }
            if ignored {
                skipped |= take;
            } else if target.id_zero {
                nothing |= take;
            } else {
                right |= take;
                first_iou = if take & 1 == 1 { iou } else { first_iou };
            }
        }
    }
    // what matched nothing, or annotation 0, is ignored where its own area is out of range
    Outcome { right, skipped: skipped | outside & (nothing | !matched), first_iou }
}

/// The half of a sorting key that is of the score; the other is the row.
const UPPER: u64 = !0 << 32;

fn row(entry: u64) -> usize {
    (entry & !UPPER) as usize
}

/// A key that sorts scores from high to low; zeros of both signs are equal.
fn descending(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    let ascending = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    !ascending
}

#[cfg(test)]
mod tests {
    use super::descending;

    #[test]
    fn keys_fall_as_scores_rise() {
        let scores = [f64::MIN, -1.0, -1e-300, 0.0, 1e-300, 0.5, 0.5000000000000001, f64::MAX];
        assert!(scores.windows(2).all(|w| descending(w[0]) > descending(w[1])));
        assert_eq!(descending(0.0), descending(-0.0));
    }
}
