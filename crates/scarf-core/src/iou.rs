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
    let grid = Grid::around(b);
    let groups: Vec<_> = b.chunks(BLOCK * GROUP).map(|boxes| Group::of(boxes, &grid)).collect();
    let mut matrix = Matrix::new(out);
    let mut sparse = true;
    for (index, bbox) in a.iter().enumerate() {
        // where blocks do not help, they are asked seldom
        let ask = sparse || index % 16 == 0;
        sparse &= !ask;
        let place = grid.place(bbox);
        let mut start = 0;
        for group in &groups {
            let mut near = if ask { group.near(place) } else { 0 };
            for blocks in group.blocks.chunks(Matrix::<T>::BLOCKS) {
                let len = (blocks.len() * BLOCK).min(b.len() - start);
                let here = near & (u64::MAX >> (64 - blocks.len()));
                if ask && 3 * here.count_ones() as usize * BLOCK <= len {
                    matrix.append(bbox, blocks, here, len);
                    sparse = true;
                } else {
                    against(bbox, columns.each_ref().map(|c| &c[start..start + len]), matrix.next(len));
                }
                near = near.unbounded_shr(Matrix::<T>::BLOCKS as u32);
                start += len;
            }
        }
    }
    matrix.settle();
    stream::fence();
    Ok(())
}

/// Columns in a block.
const BLOCK: usize = 8;

/// Blocks in a group.
const GROUP: usize = 64;

/// Bytes of a row that are made in the first-level cache before they are written.
const PART: usize = 1 << 11;

/// Bytes after which places in memory look alike to the first-level cache.
const PAGE: usize = 1 << 12;

/// Bytes that are written past the cache at once.
const LINE: usize = 64;

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

/// Places as 15 bits, coarse, but in the order of the coordinates: what is apart here is apart.
struct Grid {
    low: [f64; 2],
    scale: [f64; 2],
}

impl Grid {
    const LAST: u16 = 0x7fff;

    fn around<T: Scalar>(boxes: &[BBox<T>]) -> Self {
        let [x1, y1, x2, y2] = boxes.iter().fold(boxes[0], hull).to_array().map(Into::into);
        Self { low: [x1, y1], scale: [x2 - x1, y2 - y1].map(|side| f64::from(Self::LAST) / side) }
    }

    /// Left, top, right and bottom.
    fn place<T: Scalar>(&self, bbox: &BBox<T>) -> [u64; 4] {
        let sides: [f64; 4] = bbox.to_array().map(Into::into);
        let place = |side| (sides[side] - self.low[side % 2]) * self.scale[side % 2];
        std::array::from_fn(|side| u64::from((place(side) as u16).min(Self::LAST)))
    }
}

/// The smallest box around two.
fn hull<T: Scalar>(a: BBox<T>, b: &BBox<T>) -> BBox<T> {
    BBox::new(min(a.x1, b.x1), min(a.y1, b.y1), max(a.x2, b.x2), max(a.y2, b.y2))
}

/// Blocks of columns, and the smallest box around each: a box that lies apart from that one has no
/// IoU with any of the block.
struct Group<T> {
    /// Four places in each number, 16 bits apart: block `i` in number `i % 16`. Left and top with the
    /// highest of their bits set, right and bottom one further.
    hulls: [[u64; 4]; GROUP / 4],
    blocks: Vec<[[T; BLOCK]; 5]>,
}

/// The highest bit of each place.
const HIGHEST: u64 = 0x8000_8000_8000_8000;

impl<T: Scalar> Group<T> {
    fn of(boxes: &[BBox<T>], grid: &Grid) -> Self {
        let (mut hulls, mut blocks) = ([[HIGHEST, HIGHEST, 0, 0]; GROUP / 4], Vec::with_capacity(GROUP));
        for (index, boxes) in boxes.chunks(BLOCK).enumerate() {
            let [left, top, right, bottom] = grid.place(&boxes.iter().fold(boxes[0], hull));
            let sides = [left, top, right + 1, bottom + 1];
            (0..4).for_each(|side| hulls[index % 16][side] |= sides[side] << (index / 16 * 16));
            blocks.push(columns().map(|pick| std::array::from_fn(|j| boxes.get(j).map_or(T::ZERO, pick))));
        }
        Self { hulls, blocks }
    }

    /// A bit for each block: 1 where a box that is placed here may have IoU with its columns.
    #[inline(always)]
    fn near(&self, place: [u64; 4]) -> u64 {
        let [left, top, right, bottom] = place.map(|side| side * 0x0001_0001_0001_0001);
        let ends = [right + (HIGHEST >> 15), bottom + (HIGHEST >> 15), left | HIGHEST, top | HIGHEST];
        let mut apart = 0;
        for (index, hull) in self.hulls.iter().enumerate() {
            // the highest bit of a difference stays where what is taken away is no larger
            let beyond =
                (hull[0] - ends[0]) | (hull[1] - ends[1]) | (ends[2] - hull[2]) | (ends[3] - hull[3]);
            apart |= (beyond & HIGHEST) >> (15 - index);
        }
        !apart & (u64::MAX >> (GROUP - self.blocks.len()))
    }
}

/// The matrix, filled from its first number to its last.
struct Matrix<'a, T> {
    out: &'a mut [T],
    /// Numbers that are made.
    done: usize,
    /// The last of them, less than a line, that are not written yet: a line that is written in two parts,
    /// or through the cache, costs as much as many whole ones past it.
    held: Vec<T>,
    /// Where a part of a row is made, with room for what is held before it: all zeros between two of them.
    room: Vec<T>,
    past_cache: bool,
}

impl<'a, T: Scalar> Matrix<'a, T> {
    /// Columns of one part.
    const PART: usize = PART / size_of::<T>();
    /// Blocks of one part.
    const BLOCKS: usize = Self::PART / BLOCK;
    /// Numbers in a line.
    const LINE: usize = LINE / size_of::<T>();

    fn new(out: &'a mut [T]) -> Self {
        let past_cache = size_of_val(out) >= LARGE;
        Self {
            out,
            done: 0,
            held: Vec::new(),
            room: vec![T::ZERO; Self::LINE + PAGE / size_of::<T>() + Self::PART],
            past_cache,
        }
    }

    /// Writes what is held.
    fn settle(&mut self) {
        self.out[self.done - self.held.len()..self.done].copy_from_slice(&self.held);
        self.held.clear();
    }

    /// The next numbers, for the caller to fill.
    fn next(&mut self, len: usize) -> &mut [T] {
        self.settle();
        self.done += len;
        &mut self.out[self.done - len..self.done]
    }

    /// The next numbers: those of a box with the blocks of a part, of which some are near.
    #[inline(always)]
    fn append(&mut self, bbox: &BBox<T>, blocks: &[[[T; BLOCK]; 5]], near: u64, len: usize) {
        let begin = self.done - self.held.len();
        let out = &mut self.out[begin..self.done + len];
        // half a page from where it goes: loads wait for stores whose addresses end as theirs do
        let apart = (out.as_ptr().addr() + PAGE / 2).wrapping_sub(self.room.as_ptr().addr()) % PAGE;
        let room = &mut self.room[apart / size_of::<T>()..];
        let (held, made) = room.split_at_mut(self.held.len());
        held.copy_from_slice(&self.held);
        let made = made[..Self::PART].as_chunks_mut::<BLOCK>().0;
        each(near, |index| {
            against(bbox, blocks[index].each_ref().map(|column| &column[..]), &mut made[index]);
        });
        let over = if self.past_cache { out.as_ptr_range().end.addr() % LINE / size_of::<T>() } else { 0 };
        let whole = out.len().saturating_sub(over);
        if self.past_cache {
            stream::copy(&room[..whole], &mut out[..whole]);
        } else {
            out.copy_from_slice(&room[..whole]);
        }
        self.held.clear();
        self.held.extend_from_slice(&room[whole..out.len()]);
        let (held, made) = room.split_at_mut(self.done - begin);
        self.done += len;
        held.fill(T::ZERO);
        let made = made[..Self::PART].as_chunks_mut::<BLOCK>().0;
        each(near, |index| made[index] = [T::ZERO; BLOCK]);
    }
}

/// The bits that are set.
#[inline(always)]
fn each(mut bits: u64, mut act: impl FnMut(usize)) {
    while bits != 0 {
        act(bits.trailing_zeros() as usize);
        bits &= bits - 1;
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
        for (rows, count) in [(40, 1), (40, 255), (40, 257), (300, 1_033), (4_200, 2_101)] {
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
        const { assert!(4_200 * 2_101 * 4 > LARGE) };
    }

    #[test]
    fn a_buffer_of_the_wrong_length() {
        let boxes = [BBox::new(0.0f32, 0.0, 1.0, 1.0)];
        let error = pairwise_iou(&boxes, &boxes, &mut [0.0; 2]).unwrap_err();
        assert_eq!(error, WrongLength { rows: 1, columns: 1, found: 2 });
        assert_eq!(pairwise_iou(&boxes, &[], &mut []), Ok(()));
    }
}
