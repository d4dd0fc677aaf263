use crate::{BBox, Scalar, stream};

/// The IoU of every box of `a` with every box of `b`, row by row into `out`:
/// `out[i * b.len() + j]` is that of `a[i]` and `b[j]`, as [`BBox::iou`] has it.
///
/// The caller's buffer is reused from call to call: most of the time of a large matrix goes into
/// memory that is touched for the first time. Where neighbours in `b` lie near each other, as a head
/// gives them, columns that are far from a box are passed over by the block; the numbers stay the same.
/// Coordinates are taken to be numbers, not NaN.
///
/// # Errors
/// `out` has not room for `a.len() * b.len()` numbers exactly.
pub fn pairwise_iou<T: Scalar>(a: &[BBox<T>], b: &[BBox<T>], out: &mut [T]) -> Result<(), WrongLength> {
    let needed = a.len().checked_mul(b.len());
    if needed != Some(out.len()) {
        return Err(WrongLength { rows: a.len(), columns: b.len(), found: out.len() });
    }
    if b.is_empty() {
        return Ok(());
    }
    let columns: [Vec<T>; 5] = columns().map(|pick| b.iter().map(pick).collect());
    let groups: Vec<_> = b.chunks(BLOCK * BLOCK).map(Group::of).collect();
    let mut part = Part::new(size_of_val(out) >= LARGE);
    let mut sparse = true;
    for (index, (bbox, row)) in a.iter().zip(out.chunks_exact_mut(b.len())).enumerate() {
        // where blocks do not help, they are asked seldom
        if !sparse && index % 16 > 0 {
            against(bbox, columns.each_ref().map(|column| &column[..]), row);
            continue;
        }
        let mut start = 0;
        sparse = false;
        for (groups, out) in
            groups.chunks(Part::<T>::LEN / (BLOCK * BLOCK)).zip(row.chunks_mut(Part::<T>::LEN))
        {
            if part.write(bbox, groups, out) {
                sparse = true;
            } else {
                against(bbox, columns.each_ref().map(|column| &column[start..start + out.len()]), out);
            }
            start += out.len();
        }
    }
    stream::fence();
    Ok(())
}

/// Columns in a block, and blocks in a group.
const BLOCK: usize = 16;

/// Bytes of a row that are made in the first-level cache before they are written.
const PART: usize = 1 << 12;

/// Bytes of a matrix that is written past the cache, where it would not fit.
const LARGE: usize = 1 << 25;

/// A buffer of the wrong length for a matrix of IoU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the IoU of {rows} with {columns} boxes needs a buffer of {rows} x {columns} numbers; it has {found}"
)]
pub struct WrongLength {
    /// Boxes of the first list.
    pub rows: usize,
    /// Boxes of the second list.
    pub columns: usize,
    /// The length of the buffer.
    pub found: usize,
}

/// Boxes as one array for each of these: the compiler makes vector instructions of their loop.
const fn columns<T: Scalar>() -> [fn(&BBox<T>) -> T; 5] {
    [|b| b.x1, |b| b.y1, |b| b.x2, |b| b.y2, BBox::area]
}

/// No branch and no bound inside the loop: it is limited by division and by memory.
#[inline(always)]
fn against<T: Scalar>(bbox: &BBox<T>, [x1, y1, x2, y2, areas]: [&[T]; 5], out: &mut [T]) {
    let (area, n) = (bbox.area(), out.len());
    let [x1, y1, x2, y2, areas] = [x1, y1, x2, y2, areas].map(|column| &column[..n]);
    for j in 0..n {
        let wide = max(min(bbox.x2, x2[j]) - max(bbox.x1, x1[j]), T::ZERO);
        let high = max(min(bbox.y2, y2[j]) - max(bbox.y1, y1[j]), T::ZERO);
        let shared = wide * high;
        let union = area + areas[j] - shared;
        let iou = shared / union;
        out[j] = if union > T::ZERO { iou } else { T::ZERO };
    }
}

/// Blocks of columns, and the smallest box around each: a box that lies apart from that one has no
/// IoU with any of the block.
struct Group<T> {
    hulls: [[T; BLOCK]; 4],
    blocks: Vec<[[T; BLOCK]; 5]>,
}

impl<T: Scalar> Group<T> {
    fn of(boxes: &[BBox<T>]) -> Self {
        let around = |a: BBox<T>, b: &BBox<T>| {
            BBox::new(min(a.x1, b.x1), min(a.y1, b.y1), max(a.x2, b.x2), max(a.y2, b.y2))
        };
        let (mut hulls, mut blocks) = ([[T::ZERO; BLOCK]; 4], Vec::new());
        for (index, boxes) in boxes.chunks(BLOCK).enumerate() {
            let hull = boxes.iter().fold(boxes[0], around).to_array();
            (0..4).for_each(|side| hulls[side][index] = hull[side]);
            blocks.push(columns().map(|pick| std::array::from_fn(|j| boxes.get(j).map_or(T::ZERO, pick))));
        }
        Self { hulls, blocks }
    }

    /// A byte for each block: 1 where the box may have IoU with its columns.
    #[inline(always)]
    fn near(&self, bbox: &BBox<T>) -> u128 {
        let ([x1, y1, x2, y2], mut near) = (&self.hulls, [0; BLOCK]);
        for j in 0..BLOCK {
            let apart = (bbox.x2 <= x1[j]) | (x2[j] <= bbox.x1) | (bbox.y2 <= y1[j]) | (y2[j] <= bbox.y1);
            near[j] = u8::from(!apart);
        }
        u128::from_le_bytes(near) & (u128::MAX >> (128 - 8 * self.blocks.len()))
    }
}

/// Where a part of a row is made: all zeros between two of them.
struct Part<T> {
    room: Vec<T>,
    past_cache: bool,
}

impl<T: Scalar> Part<T> {
    /// Columns of one part.
    const LEN: usize = PART / size_of::<T>();

    fn new(past_cache: bool) -> Self {
        Self { room: vec![T::ZERO; 2 * Self::LEN], past_cache }
    }

    /// The row of a box with the columns of some groups; false, and nothing written, where many are near.
    #[inline(always)]
    fn write(&mut self, bbox: &BBox<T>, groups: &[Group<T>], out: &mut [T]) -> bool {
        let mut near = [0u128; PART / (BLOCK * BLOCK)];
        let mut count = 0;
        for (near, group) in near.iter_mut().zip(groups) {
            *near = group.near(bbox);
            count += near.count_ones() as usize;
        }
        if 3 * count * BLOCK > out.len() {
            return false;
        }
        // half a page from where it goes: loads wait for stores whose addresses end as theirs do
        let apart = (out.as_ptr().addr() + PART / 2).wrapping_sub(self.room.as_ptr().addr()) % PART;
        let made = &mut self.room[apart / size_of::<T>()..][..Self::LEN];
        let blocks = made.as_chunks_mut::<BLOCK>().0;
        each_near(groups, &near, |index, block| {
            against(bbox, block.each_ref().map(|column| &column[..]), &mut blocks[index]);
        });
        if self.past_cache {
            T::stream(&made[..out.len()], out)
        } else {
            out.copy_from_slice(&made[..out.len()])
        }
        let blocks = made.as_chunks_mut::<BLOCK>().0;
        each_near(groups, &near, |index, _| blocks[index] = [T::ZERO; BLOCK]);
        true
    }
}

/// The blocks that are near, with their numbers.
#[inline(always)]
fn each_near<T>(groups: &[Group<T>], near: &[u128], mut act: impl FnMut(usize, &[[T; BLOCK]; 5])) {
    for (first, (group, &near)) in (0..).step_by(BLOCK).zip(groups.iter().zip(near)) {
        let mut todo = near;
        while todo != 0 {
            let block = todo.trailing_zeros() as usize / 8;
            act(first + block, &group.blocks[block]);
            todo &= todo - 1;
        }
    }
}

/// As one vector instruction, which `f32::min` with its care for NaN is not.
#[inline(always)]
fn min<T: PartialOrd>(a: T, b: T) -> T {
    if a < b { a } else { b }
}

#[inline(always)]
fn max<T: PartialOrd>(a: T, b: T) -> T {
    if a > b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxes() -> impl Strategy<Value = Vec<BBox<f64>>> {
        let one = (0..9u8, 0..9u8, 0..5u8, 0..5u8, 0.0..1.0f64).prop_map(|(x, y, w, h, part)| {
            BBox::from_xywh(f64::from(x), f64::from(y), f64::from(w) + part, f64::from(h))
        });
        prop::collection::vec(one, 0..70)
    }

    proptest! {
        #[test]
        fn every_pair_is_the_iou_of_the_two(a in boxes(), b in boxes()) {
            let mut out = vec![f64::NAN; a.len() * b.len()];
            pairwise_iou(&a, &b, &mut out).unwrap();
            for (i, first) in a.iter().enumerate() {
                for (j, second) in b.iter().enumerate() {
                    prop_assert_eq!(out[i * b.len() + j], first.iou(second));
                }
            }
        }
    }

    /// Boxes in clusters, that lie apart; of every width of the last block.
    fn clusters(count: usize) -> Vec<BBox<f64>> {
        let at = |index: usize| ((index / 20 * 37 % 101) as f64 * 9.0, (index / 20 * 53 % 97) as f64 * 7.0);
        let one = |index| {
            let ((x, y), off) = (at(index), (index % 20) as f64 / 3.0);
            BBox::from_xywh(x + off, y - off, 20.0 + off, 30.0)
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn blocks_that_lie_apart_and_matrices_larger_than_the_cache() {
        for (rows, count) in [(40, 1), (40, 255), (40, 257), (300, 1_033), (2_100, 2_101)] {
            let wide = clusters(count);
            let narrow: Vec<_> = wide.iter().map(BBox::to_f32).collect();
            let (mut double, mut single) = (vec![f64::NAN; rows * count], vec![f32::NAN; rows * count]);
            let a = clusters(rows);
            let b: Vec<_> = a.iter().map(BBox::to_f32).collect();
            pairwise_iou(&a, &wide, &mut double).unwrap();
            pairwise_iou(&b, &narrow, &mut single).unwrap();
            for index in 0..rows * count {
                let (i, j) = (index / count, index % count);
                assert_eq!(double[index].to_bits(), a[i].iou(&wide[j]).to_bits());
                assert_eq!(single[index].to_bits(), b[i].iou(&narrow[j]).to_bits());
            }
        }
        const { assert!(2_100 * 2_101 * 8 > LARGE) };
    }

    #[test]
    fn a_buffer_of_the_wrong_length() {
        let boxes = [BBox::new(0.0f32, 0.0, 1.0, 1.0)];
        let error = pairwise_iou(&boxes, &boxes, &mut [0.0; 2]).unwrap_err();
        assert_eq!(error, WrongLength { rows: 1, columns: 1, found: 2 });
        assert_eq!(pairwise_iou(&boxes, &[], &mut []), Ok(()));
    }
}
