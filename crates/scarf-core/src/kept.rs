use crate::BBox;

/// The boxes that a suppression has kept so far, found again by where they are.
///
/// IoU above `t` bounds the distance of two centres by `w (1 - t) / (2 t)`, where `w` is the width of
/// either box, and alike for heights. So kept boxes lie in a grid by their centres, and a candidate
/// looks at the cells within its reach; or at all kept boxes where those are fewer.
pub(crate) struct Kept {
    boxes: Vec<Row>,
    threshold: f64,
    /// Reach over width; infinite where the threshold is 0 or less.
    reach: f64,
    grid: Grid,
}

/// A kept box, and the one kept before it in its cell.
#[derive(Clone, Copy)]
struct Row {
    bbox: BBox<f32>,
    area: f32,
    before: u32,
}

struct Grid {
    left: f64,
    top: f64,
    /// Cells in a pixel.
    per_x: f64,
    per_y: f64,
    columns: usize,
    rows: usize,
    /// The box kept last in each cell.
    last: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Kept {
    /// Nothing kept yet; `all` boxes that will come, which tell how fine the grid should be.
    pub(crate) fn new(all: impl Iterator<Item = BBox<f32>>, threshold: f64) -> Self {
        // IoU is rounded to 24 bits; a reach a little too long does no harm
        let least = threshold * (1.0 - 1e-5);
        let reach = if least > 0.0 { ((1.0 - least) / (2.0 * least)).max(1e-5) } else { f64::INFINITY };
        Self { boxes: Vec::new(), threshold, reach, grid: Grid::new(all, reach) }
    }

    /// Keeps the box and says so, unless one kept before covers too much of it.
    pub(crate) fn admits(&mut self, bbox: BBox<f32>) -> bool {
        let area = (bbox.x2 - bbox.x1) * (bbox.y2 - bbox.y1);
        let lone = !(area.is_finite() && bbox.x1 < bbox.x2 && bbox.y1 < bbox.y2);
        if lone && self.threshold >= 0.0 {
            return true; // its IoU with any other is 0 or NaN
        }
        if self.covered(&bbox, area) {
            return false;
        }
        let at = self.grid.cell(&bbox);
        let last = &mut self.grid.last[at];
        self.boxes.push(Row { bbox, area, before: *last });
        *last = (self.boxes.len() - 1) as u32;
        true
    }

    fn covered(&self, bbox: &BBox<f32>, area: f32) -> bool {
        let covers = |row: &Row| exceeds(row, bbox, area, self.threshold);
        let Some((columns, rows)) = self.grid.within(bbox, self.reach) else {
            return self.boxes.iter().any(covers);
        };
        if columns.len() * rows.len() >= self.boxes.len() {
            return self.boxes.iter().any(covers);
        }
        for row in rows {
            for &last in &self.grid.last[row * self.grid.columns..][columns.clone()] {
                let mut at = last;
                while at != NONE {
                    let kept = &self.boxes[at as usize];
                    if covers(kept) {
                        return true;
                    }
                    at = kept.before;
                }
            }
        }
        false
    }
}

/// Whether IoU, in `f32`, exceeds the threshold, in `f64`; divides only where it is close.
#[inline]
fn exceeds(kept: &Row, bbox: &BBox<f32>, area: f32, threshold: f64) -> bool {
    let min = |a: f32, b: f32| if a < b { a } else { b };
    let max = |a: f32, b: f32| if a > b { a } else { b };
    let wide = max(min(kept.bbox.x2, bbox.x2) - max(kept.bbox.x1, bbox.x1), 0.0);
    let high = max(min(kept.bbox.y2, bbox.y2) - max(kept.bbox.y1, bbox.y1), 0.0);
    let shared = wide * high;
    let union = kept.area + area - shared;
    let border = threshold * f64::from(union);
    let shared_wide = f64::from(shared);
    if border > 1e-30 && union > 0.0 {
        if shared_wide < border * (1.0 - 1e-6) {
            return false;
        }
        if shared_wide > border * (1.0 + 1e-6) {
            return true;
        }
    }
    f64::from(shared / union) > threshold
}

impl Grid {
    fn new(all: impl Iterator<Item = BBox<f32>>, reach: f64) -> Self {
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        let (mut sides, mut count) = ([0.0; 2], 0usize);
        for bbox in all {
            let centre = centre(&bbox);
            let size = [f64::from(bbox.width()), f64::from(bbox.height())];
            if !(centre.iter().chain(&size).all(|v| v.is_finite()) && size[0] > 0.0 && size[1] > 0.0) {
                continue;
            }
            for axis in 0..2 {
                low[axis] = low[axis].min(centre[axis]);
                high[axis] = high[axis].max(centre[axis]);
                sides[axis] += size[axis];
            }
            count += 1;
        }
        // cells as wide as the mean reach, and not more of them than boxes
        let most = (count as f64).sqrt().ceil().max(1.0);
        let cells = |axis: usize| {
            let (span, cell) = (high[axis] - low[axis], sides[axis] / count as f64 * reach);
            let cells = (span / cell).floor() + 1.0;
            if count > 1 && cells.is_finite() { cells.clamp(1.0, most) } else { 1.0 }
        };
        let (columns, rows) = (cells(0), cells(1));
        let per = |axis: usize, cells: f64| {
            let per = cells / (high[axis] - low[axis]);
            if per.is_finite() && per > 0.0 { per } else { 0.0 }
        };
        Self {
            left: if count > 0 { low[0] } else { 0.0 },
            top: if count > 0 { low[1] } else { 0.0 },
            per_x: per(0, columns),
            per_y: per(1, rows),
            columns: columns as usize,
            rows: rows as usize,
            last: vec![NONE; columns as usize * rows as usize],
        }
    }

    /// Positions beyond the grid, and NaN, fall into its outer cells.
    fn column(&self, x: f64) -> usize {
        (((x - self.left) * self.per_x) as usize).min(self.columns - 1)
    }

    fn row(&self, y: f64) -> usize {
        (((y - self.top) * self.per_y) as usize).min(self.rows - 1)
    }

    fn cell(&self, bbox: &BBox<f32>) -> usize {
        let [x, y] = centre(bbox);
        self.row(y) * self.columns + self.column(x)
    }

    /// The columns and rows of the centres within reach of a box; `None` where all are.
    fn within(
        &self,
        bbox: &BBox<f32>,
        reach: f64,
    ) -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
        let [x, y] = centre(bbox);
        let (dx, dy) = (f64::from(bbox.width()) * reach, f64::from(bbox.height()) * reach);
        if !(dx.is_finite() && dy.is_finite()) {
            return None;
        }
        let (dx, dy) = (dx * (1.0 + 1e-5), dy * (1.0 + 1e-5));
        Some((self.column(x - dx)..self.column(x + dx) + 1, self.row(y - dy)..self.row(y + dy) + 1))
    }
}

fn centre(bbox: &BBox<f32>) -> [f64; 2] {
    [(f64::from(bbox.x1) + f64::from(bbox.x2)) / 2.0, (f64::from(bbox.y1) + f64::from(bbox.y2)) / 2.0]
}
