//! Regions of feature maps, read at one size (He et al. 2017, "Mask R-CNN", section 3).

/// A box on one image of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Which image of the batch.
    pub image: usize,
    /// `x1, y1, x2, y2` in the image's pixels.
    pub bbox: [f32; 4],
}

/// How [`roi_align`](crate::roi_align) reads a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoiAlign {
    /// Rows and columns of bins that each region is read in; at least 1.
    pub size: [usize; 2],
    /// Cells of the map in a pixel of the image: one over the stride.
    pub scale: f32,
    /// Points along each side of a bin whose mean is the bin's value; at least 1.
    pub samples: usize,
}

/// What of one axis a bin reads: places, and how much of each.
///
/// A bin's value is the mean over a grid of points, each interpolated between its four neighbours; both
/// are products of a row's part and a column's, so that a bin is known by its rows and its columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    taps: Vec<(u32, f32)>,
    each: usize,
}

impl Axis {
    /// The taps of a bin.
    pub(crate) fn bin(&self, bin: usize) -> &[(u32, f32)] {
        &self.taps[bin * self.each..][..self.each]
    }

    /// How many bins there are.
    pub(crate) fn bins(&self) -> usize {
        self.taps.len() / self.each
    }

    /// The first place that any bin reads, and the one after the last.
    pub(crate) fn span(&self) -> std::ops::Range<usize> {
        let places = || self.taps.iter().map(|&(place, _)| place as usize);
        places().min().unwrap_or(0)..places().max().map_or(0, |last| last + 1)
    }

    /// From one side of the region to the other, in cells, over an axis of `len` of them: torchvision's
    /// rule with `aligned=False`. A region is at least one cell wide; a point more than a cell
    /// outside reads nothing, others the nearest cells.
    fn new(from: f32, to: f32, bins: usize, samples: usize, len: usize) -> Self {
        let taps = points(from, to, bins, samples)
            .flat_map(|at| between(at, len).map(|(place, weight)| (place, weight / samples as f32)));
        Self { taps: taps.collect(), each: 2 * samples }
    }
}

/// Where the points of all bins lie, bin by bin, in cells.
fn points(from: f32, to: f32, bins: usize, samples: usize) -> impl Iterator<Item = f32> {
    let bin = (to - from).max(1.0) / bins as f32;
    (0..bins).flat_map(move |index| {
        let start = from + index as f32 * bin;
        (0..samples).map(move |sample| start + (sample as f32 + 0.5) * bin / samples as f32)
    })
}

/// Where a point is read: in the outermost cell where it lies up to a cell outside, nowhere beyond.
fn inside(at: f32, len: usize) -> Option<f32> {
    (-1.0..=len as f32).contains(&at).then(|| at.clamp(0.0, (len - 1) as f32))
}

/// The two cells next to a point, and how much each counts.
fn between(at: f32, len: usize) -> [(u32, f32); 2] {
    let Some(at) = inside(at, len) else { return [(0, 0.0); 2] };
    let low = at as usize;
    if low + 1 >= len {
        let last = (len - 1) as u32;
        return [(last, 1.0), (last, 0.0)];
    }
    let high = at - low as f32;
    [(low as u32, 1.0 - high), (low as u32 + 1, high)]
}

impl RoiAlign {
    /// The rows and the columns that a region's bins read of a map of that many.
    pub(crate) fn axes(&self, region: &Region, map: [usize; 2]) -> [Axis; 2] {
        let [x1, y1, x2, y2] = region.bbox.map(|side| side * self.scale);
        let [rows, columns] = self.size;
        [Axis::new(y1, y2, rows, self.samples, map[0]), Axis::new(x1, x2, columns, self.samples, map[1])]
    }

    /// The points of the rows' bins and of the columns', bin by bin, in cells: of a cell as much is read as a point lies
    /// nearer to it than one cell. Those at an edge lie in the outermost cell, those that read nothing far outside.
    pub(crate) fn points(&self, region: &Region, map: [usize; 2]) -> [Vec<f32>; 2] {
        let [x1, y1, x2, y2] = region.bbox.map(|side| side * self.scale);
        let [rows, columns] = self.size;
        let axis = |from, to, bins, len: usize| {
            points(from, to, bins, self.samples).map(|at| inside(at, len).unwrap_or(-2.0)).collect()
        };
        [axis(y1, y2, rows, map[0]), axis(x1, x2, columns, map[1])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_between_at_the_edge_and_outside() {
        assert_eq!(between(1.25, 4), [(1, 0.75), (2, 0.25)]);
        assert_eq!(between(-0.5, 4), [(0, 1.0), (1, 0.0)]);
        assert_eq!(between(3.5, 4), [(3, 1.0), (3, 0.0)]);
        assert_eq!(between(4.1, 4), [(0, 0.0); 2]);
        assert_eq!(between(f32::NAN, 4), [(0, 0.0); 2]);
        assert_eq!(between(0.3, 1), [(0, 1.0), (0, 0.0)]);
    }

    #[test]
    fn a_region_is_at_least_a_cell_wide() {
        let axis = Axis::new(2.0, 2.1, 2, 1, 8);
        assert_eq!(axis.bin(0), [(2, 0.75), (3, 0.25)]);
        assert_eq!(axis.bin(1)[1], (3, 0.75));
        assert_eq!(axis.span(), 2..4);
    }
}
