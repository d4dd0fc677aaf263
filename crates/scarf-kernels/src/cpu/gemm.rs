//! The matrix product under every dense convolution: `C = A B`, where `A` is packed into panels of
//! a few rows (or read where it lies, for few columns), `B` is packed panel by panel from the images
//! themselves (so no column matrix is ever stored), and what follows the sum (bias, activation)
//! happens in registers.
//!
//! The blocking is that of Goto and van de Geijn, "Anatomy of high-performance matrix
//! multiplication" (2008). Each element of `C` is summed in one order, which depends on `k` and
//! the block length alone: never on the threads, nor on how `C` is cut into tasks.

use std::ops::Range;

use super::columns::Columns;
use super::finish::by_activation;
use super::left::{Left, Panels};
use super::rounded::Factors;
use super::scratch::{Aside, Scratch};
use super::simd::{Lanes, versions};
use crate::geometry::Activation;

/// Panels of rows, times lanes of a vector, up to which columns are read where they lie in the image: to pack them pays only
/// if they are then read often.
const FEW_PANELS: usize = 64;

/// Steps of a sum up to which they are, however often: so few lines stay in the first-level cache wherever they lie.
const SHORT: usize = 64;

/// One register tile: `MR` rows by some vectors, over `k` steps.
pub(crate) struct Micro {
    pub(crate) k: usize,
    /// `k` times `MR` values, `a_step` apart; or rows of `k` steps, `a_row` apart.
    pub(crate) a: *const f32,
    /// 0 where `a` is packed.
    pub(crate) a_row: usize,
    pub(crate) a_step: usize,
    /// `k` times `lanes` values, `b_stride` apart; or each so far from here as `b_steps` says.
    pub(crate) b: *const f32,
    pub(crate) b_stride: usize,
    /// `k` offsets; null where a stride says it.
    pub(crate) b_steps: *const usize,
    pub(crate) c: *mut f32,
    pub(crate) c_stride: usize,
    /// Rows that there are: `MR`, or fewer at the lower edge.
    pub(crate) rows: usize,
    /// Lanes of the last vector that there are; 0 for all.
    pub(crate) part: usize,
    /// Add to what `c` holds.
    pub(crate) accumulate: bool,
    /// `MR` values to multiply the rows with, where there are values to add; or null.
    pub(crate) scale: *const f32,
    /// `MR` values to add to the rows, or null.
    pub(crate) bias: *const f32,
    /// What is done to the result.
    pub(crate) activation: Activation,
}

/// Computes one register tile; the right factor's steps lie `APART` or evenly.
///
/// # Safety
///
/// The job's pointers must be valid for the tile, where steps lie apart `a` must be packed, and the processor must know `V`.
#[inline(always)]
pub(crate) unsafe fn micro<V: Lanes, const MR: usize, const NV: usize, const APART: bool>(job: &Micro) {
    // SAFETY: the caller's promise.
    unsafe {
        match (APART || job.a_row == 0, job.rows == MR && job.part == 0) {
            (true, true) => tile::<V, MR, NV, APART, true, true>(job),
            (true, false) => tile::<V, MR, NV, APART, true, false>(job),
            (false, true) => tile::<V, MR, NV, APART, false, true>(job),
            (false, false) => tile::<V, MR, NV, APART, false, false>(job),
        }
    }
}

/// A tile of packed rows or not, all of which there is or not.
#[inline(always)]
unsafe fn tile<
    V: Lanes,
    const MR: usize,
    const NV: usize,
    const APART: bool,
    const PACKED: bool,
    const WHOLE: bool,
>(
    job: &Micro,
) {
    // SAFETY: the caller's promise.
    unsafe { finish::<V, MR, NV, WHOLE>(job, sums::<V, MR, NV, APART, PACKED>(job)) };
}

/// The sums of a tile over its steps.
#[inline(always)]
// Loops over indices with constant ends unroll whole, and only then do the sums stay in registers.
#[allow(clippy::needless_range_loop)]
unsafe fn sums<V: Lanes, const MR: usize, const NV: usize, const APART: bool, const PACKED: bool>(
    job: &Micro,
) -> [[V; NV]; MR] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::splat(0.0); NV]; MR];
        // Below the lower edge the last row again: what comes of it is not kept. Were rows known to be evenly apart, the compiler
        // would count from each to the next in every step, which takes longer than the sums.
        let rows: [*const f32; MR] =
            std::array::from_fn(|i| job.a.wrapping_add(i.min(job.rows - 1) * job.a_row));
        // Results are there when the sums are: their rows lie too far from each other for the processor to guess.
        for i in 0..MR {
            for j in 0..NV {
                prefetch(job.c.wrapping_add(i * job.c_stride + j * V::N));
            }
        }
        let (mut a, mut b) = (job.a, job.b);
        for step in 0..job.k {
            let there = if APART { b.add(*job.b_steps.add(step)) } else { b };
            let mut right = [V::splat(0.0); NV];
            for j in 0..NV {
                right[j] = V::load(there.add(j * V::N));
            }
            for i in 0..MR {
                let left = V::splat(if PACKED { *a.add(i) } else { *rows[i].add(step) });
                for j in 0..NV {
                    sums[i][j] = if V::PAIRS {
                        left.dot(right[j], sums[i][j])
                    } else {
                        left.fma(right[j], sums[i][j])
                    };
                }
            }
            a = a.wrapping_add(job.a_step);
            if !APART {
                b = b.wrapping_add(job.b_stride);
            }
        }
        sums
    }
}

/// Asks for the cache line of a place, which may not exist.
#[inline(always)]
pub(super) fn prefetch(#[cfg_attr(not(target_arch = "x86_64"), allow(unused))] place: *const f32) {
    // SAFETY: it reads nothing that a program could see, from whatever place; SSE is part of x86-64.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
}

/// Adds what was there before, scales, shifts and writes a tile: all of it, or what lies inside the matrix.
///
/// # Safety
///
/// As [`micro`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // as above
pub(super) unsafe fn finish<V: Lanes, const MR: usize, const NV: usize, const WHOLE: bool>(
    job: &Micro,
    mut sums: [[V; NV]; MR],
) {
    // SAFETY: the caller's promise.
    unsafe {
        if job.accumulate {
            for i in 0..MR {
                if WHOLE || i < job.rows {
                    for j in 0..NV {
                        let place = job.c.add(i * job.c_stride + j * V::N);
                        let whole = WHOLE || j + 1 < NV || job.part == 0;
                        let before = if whole { V::load(place) } else { V::load_part(place, job.part) };
                        sums[i][j] = sums[i][j].add(before);
                    }
                }
            }
        }
        match (job.scale.is_null(), job.bias.is_null()) {
            (_, true) => {}
            (true, false) => {
                for i in 0..MR {
                    let bias = V::splat(*job.bias.add(i));
                    for j in 0..NV {
                        sums[i][j] = sums[i][j].add(bias);
                    }
                }
            }
            (false, false) => {
                for i in 0..MR {
                    let (scale, bias) = (V::splat(*job.scale.add(i)), V::splat(*job.bias.add(i)));
                    for j in 0..NV {
                        sums[i][j] = sums[i][j].fma(scale, bias);
                    }
                }
            }
        }
        by_activation!(job.activation, A => store::<V, MR, NV, A, WHOLE>(job, &sums));
    }
}

/// Writes a tile, after the activation of number `A`.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // as above
unsafe fn store<V: Lanes, const MR: usize, const NV: usize, const A: usize, const WHOLE: bool>(
    job: &Micro,
    sums: &[[V; NV]; MR],
) {
    for i in 0..MR {
        if WHOLE || i < job.rows {
            for j in 0..NV {
                // SAFETY: the caller's promise.
                unsafe {
                    let (value, place) =
                        (Activation::of(A).apply(sums[i][j]), job.c.add(i * job.c_stride + j * V::N));
                    if WHOLE || j + 1 < NV || job.part == 0 {
                        value.store(place);
                    } else {
                        value.store_part(place, job.part);
                    }
                }
            }
        }
    }
}

/// Where the product goes: `[images, rows, width]` in memory, its columns numbered through all
/// images.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    /// Where the first row of the first column is, or would be where the memory begins with later ones.
    pub(crate) start: *mut f32,
    /// Values from row to row.
    pub(crate) row: usize,
    /// Values from image to image.
    pub(crate) image: usize,
    /// Columns of an image.
    pub(crate) width: usize,
}

// SAFETY: tasks write disjoint tiles through it.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

/// The right-hand matrix.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a> {
    /// The column matrix of an image: `[channels * taps, pixels]`.
    Columns(&'a Columns<'a>),
    /// Its transpose: `[pixels, channels * taps]`.
    Transposed(&'a Columns<'a>),
}

/// `activation(sum * scale + bias)`: a scale and a bias for each row, or a bias alone, or neither.
#[derive(Clone, Copy, Default)]
pub(crate) struct After<'a> {
    pub(crate) scale: Option<&'a [f32]>,
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) activation: Activation,
}

impl<'a> After<'a> {
    /// Of some of the rows.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Self {
        let part = |values: Option<&'a [f32]>| values.map(|values| &values[rows.clone()]);
        Self { scale: part(self.scale), bias: part(self.bias), activation: self.activation }
    }
}

/// A matrix product, of which [`product`] computes a tile.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    pub(crate) left: Left<'a>,
    pub(crate) right: Right<'a>,
    pub(crate) output: Output,
    /// Steps of the sum between two visits of `C`; a multiple of [`Factors::unit`], or all there are.
    pub(crate) block: usize,
    pub(crate) factors: Factors,
    pub(crate) after: After<'a>,
}

/// A part of a product: rows (from a multiple of `MR` on), columns, and the range of the sum.
#[derive(Clone)]
pub(crate) struct Tile {
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    pub(crate) sum: Range<usize>,
}

versions! {
    /// Computes a tile of a product.
    ///
    /// # Safety
    ///
    /// The output must be valid for the tile, and nobody else may touch it meanwhile; the level and the factors must be
    /// this processor's.
    pub(crate) unsafe fn product(product: &Product, tile: &Tile, scratch: &mut Scratch) = product_in,
    of product.factors
}

#[inline(always)]
unsafe fn product_in<V: Lanes>(product: &Product, tile: &Tile, scratch: &mut Scratch) {
    // SAFETY: the caller's promise.
    unsafe { V::enter() };
    let mut from = tile.sum.start;
    while from < tile.sum.end {
        let to = (from + product.block).min(tile.sum.end);
        let steps = Steps { from, to, first: from == tile.sum.start, last: to == tile.sum.end };
        // SAFETY: the caller's promise.
        unsafe { block::<V>(product, tile, &steps, scratch) };
        from = to;
    }
    // SAFETY: as above.
    unsafe { V::leave() };
}

/// A block of the sum.
struct Steps {
    from: usize,
    to: usize,
    first: bool,
    last: bool,
}

#[inline(always)]
unsafe fn block<V: Lanes>(product: &Product, tile: &Tile, steps: &Steps, scratch: &mut Scratch) {
    // SAFETY: the scratch is as long as it is asked to be; the rest is the caller's promise.
    unsafe {
        let factors = product.factors;
        let left = product.left.block::<V>(&tile.rows, steps.from, steps.to, factors, &mut scratch.left);
        // A few columns beyond the whole vectors get a strip of their own, as narrow as there is.
        let beyond = tile.columns.len() % V::N;
        let narrow = V::NARROW < V::N && (1..=V::NARROW).contains(&beyond);
        let vectors = if narrow { tile.columns.len() / V::N } else { tile.columns.len().div_ceil(V::N) };
        let wide = V::panel(steps.to - steps.from);
        let panels = vectors.div_ceil(wide);
        // Panels that are wider than a register tile end with one.
        let unit = if wide > V::NV { V::NV } else { 1 };
        let units = vectors.div_ceil(unit);
        let mut start = tile.columns.start;
        for index in 0..panels + usize::from(narrow) {
            // As even as vectors allow: 4 are 2 + 2 rather than 3 + 1.
            let lanes = match index < panels {
                true => (units / panels + usize::from(index < units % panels)) * unit * V::N,
                false => V::NARROW,
            };
            let lanes = lanes.min((tile.columns.end - start).next_multiple_of(V::N.min(lanes)));
            let end = (start + lanes).min(tile.columns.end);
            let sum = steps.from..steps.to;
            let few = tile.rows.len() <= FEW_PANELS / V::N * V::MR || sum.len() <= SHORT;
            let there = match product.right {
                Right::Columns(columns) if few && factors == Factors::Single => {
                    columns.there(&(start..end), &sum, lanes)
                }
                _ => None,
            };
            let (right, right_stride) = there.unwrap_or_else(|| {
                // Rows that lie a power of two apart would push each other out of the first-level cache.
                let lanes = if lanes > V::NV * V::N { lanes | V::N } else { lanes };
                let panel = match product.right {
                    Right::Columns(columns) => columns.pack::<V>(start..end, sum, lanes, factors, scratch),
                    Right::Transposed(columns) => {
                        columns.pack_transposed::<V>(start..end, sum, lanes, factors, scratch)
                    }
                };
                (panel, lanes)
            });
            let strip = Strip {
                columns: start..end,
                lanes,
                right,
                right_stride,
                right_steps: std::ptr::null(),
                left,
                steps: factors.steps(steps.to - steps.from),
                accumulate: !steps.first,
                after: if steps.last { product.after } else { After::default() },
            };
            strip_of_tiles::<V, false>(&product.output, &tile.rows, &strip);
            start = end;
        }
    }
}

/// Some columns of a result and the rows that they meet, over a block of the sum.
pub(super) struct Strip<'a> {
    pub(super) columns: Range<usize>,
    /// As many as columns, or more at the right edge.
    pub(super) lanes: usize,
    pub(super) right: *const f32,
    /// Values from one step of the sum to the next.
    pub(super) right_stride: usize,
    /// Or where each begins, counted from `right`; null where a stride says it.
    pub(super) right_steps: *const usize,
    pub(super) left: Panels,
    pub(super) steps: usize,
    /// Add to what the result holds.
    pub(super) accumulate: bool,
    pub(super) after: After<'a>,
}

/// Computes a strip for some rows; where the right factor's steps lie `APART` it is of one image.
///
/// # Safety
///
/// The output must be valid for the rows and columns, and both factors for the steps; where those of the right one lie apart,
/// the left one must be packed. The processor must know `V`.
#[inline(always)]
pub(super) unsafe fn strip_of_tiles<V: Lanes, const APART: bool>(
    output: &Output,
    all: &Range<usize>,
    strip: &Strip,
) {
    let (first_image, first_column) =
        (strip.columns.start / output.width, strip.columns.start % output.width);
    for (index, row) in all.clone().step_by(V::MR).enumerate() {
        let rows = row..(row + V::MR).min(all.end);
        let (mut scale, mut bias) = ([0.0f32; 32], [0.0f32; 32]);
        let scale = of_rows::<V>(strip.after.scale, &rows, &mut scale);
        let bias = of_rows::<V>(strip.after.bias, &rows, &mut bias);
        // One, unless a panel is wider than a register tile.
        for at in (0..strip.lanes).step_by(V::NV * V::N) {
            let start = strip.columns.start + at;
            let columns = start..(start + V::NV * V::N).min(strip.columns.end);
            let lanes = (strip.lanes - at).min(V::NV * V::N);
            // Divided again only where a wide panel has reached another image.
            let (image, column) = match first_column + at {
                column if column < output.width => (first_image, column),
                beyond => (first_image + beyond / output.width, beyond % output.width),
            };
            let in_one_image = column + columns.len() <= output.width;
            debug_assert!(!APART || in_one_image && strip.left.row == 0);
            // SAFETY: panels of `A` lie `panel` values apart; the output is the caller's promise.
            unsafe {
                let mut job = Micro {
                    k: strip.steps,
                    a: strip.left.start.add(index * strip.left.panel),
                    a_row: strip.left.row,
                    a_step: V::MR,
                    b: strip.right.add(at),
                    b_stride: strip.right_stride,
                    b_steps: strip.right_steps,
                    c: output.start.wrapping_add(image * output.image + row * output.row + column),
                    c_stride: output.row,
                    rows: rows.len(),
                    part: columns.len() % V::N.min(lanes),
                    accumulate: strip.accumulate,
                    scale,
                    bias,
                    activation: strip.after.activation,
                };
                if APART || in_one_image {
                    V::micro::<APART>(lanes, &job);
                } else {
                    across_images::<V>(output, rows.clone(), &columns, lanes, &mut job);
                }
            }
        }
    }
}

/// The values of some rows, as many as a tile has, or null.
#[inline(always)]
fn of_rows<V: Lanes>(values: Option<&[f32]>, rows: &Range<usize>, room: &mut [f32; 32]) -> *const f32 {
    let Some(values) = values else { return std::ptr::null() };
    let values = &values[rows.clone()];
    if values.len() == V::MR {
        return values.as_ptr();
    }
    room[..values.len()].copy_from_slice(values);
    room.as_ptr()
}

/// A tile whose columns are of two images or more: computed aside, then copied.
#[inline(always)]
unsafe fn across_images<V: Lanes>(
    output: &Output,
    rows: Range<usize>,
    columns: &Range<usize>,
    lanes: usize,
    job: &mut Micro,
) {
    let mut aside = Aside::new();
    let aside = aside.place();
    // SAFETY: every piece lies inside one row of one image of the output; a tile has no more values than lie aside.
    unsafe {
        if job.accumulate {
            aside.write_bytes(0, V::MR * lanes);
            for_pieces(output, &rows, columns, |row, at, place, len| {
                std::ptr::copy_nonoverlapping(place, aside.add(row * lanes + at), len);
            });
        }
        (job.c, job.c_stride, job.part) = (aside, lanes, 0);
        V::micro::<false>(lanes, job);
        for_pieces(output, &rows, columns, |row, at, place, len| {
            std::ptr::copy_nonoverlapping(aside.add(row * lanes + at), place, len);
        });
    }
}

/// Calls `visit(row, offset in the strip, place in the output, length)` for each piece of a tile
/// that is contiguous in the output.
#[inline(always)]
unsafe fn for_pieces(
    output: &Output,
    rows: &Range<usize>,
    columns: &Range<usize>,
    mut visit: impl FnMut(usize, usize, *mut f32, usize),
) {
    let mut from = columns.start;
    while from < columns.end {
        let (image, column) = (from / output.width, from % output.width);
        let len = (output.width - column).min(columns.end - from);
        for row in rows.clone() {
            let offset = image * output.image + row * output.row + column;
            visit(row - rows.start, from - columns.start, output.start.wrapping_add(offset), len);
        }
        from += len;
    }
}
