//! The matrix product under every dense convolution: `C = A B`, where `A` is packed into panels of
//! a few rows, `B` is packed panel by panel from the images themselves (so no column matrix is ever
//! stored), and what follows the sum (bias, activation) happens in registers.
//!
//! The blocking is that of Goto and van de Geijn, "Anatomy of high-performance matrix
//! multiplication" (2008). Each element of `C` is summed in one order, which depends on `k` and
//! the block length alone: never on the threads, nor on how `C` is cut into tasks.

use std::ops::Range;

use super::columns::Columns;
use super::finish::by_activation;
use super::left::Left;
use super::scratch::Scratch;
use super::simd::{Lanes, versions};
use crate::geometry::Activation;

/// Panels of rows up to which columns are read where they lie in the image: to pack them pays only if they are then read
/// often.
const FEW: usize = 4;

/// Steps of a sum up to which they are, however often: so few lines stay in the first-level cache wherever they lie.
const SHORT: usize = 64;

/// One register tile: `MR` rows by some vectors, over `k` steps.
pub(crate) struct Micro {
    pub(crate) k: usize,
    /// `[k, MR]`.
    pub(crate) a: *const f32,
    /// `k` times `vectors * N` values, `b_stride` apart.
    pub(crate) b: *const f32,
    pub(crate) b_stride: usize,
    pub(crate) c: *mut f32,
    pub(crate) c_stride: usize,
    /// Add to what `c` holds.
    pub(crate) accumulate: bool,
    /// `MR` values to multiply the rows with, or null.
    pub(crate) scale: *const f32,
    /// `MR` values to add to the rows, or null.
    pub(crate) bias: *const f32,
    /// What is done to the result.
    pub(crate) activation: Activation,
}

/// Computes one register tile.
///
/// # Safety
///
/// The job's pointers must be valid for the tile, and the processor must know `V`.
#[inline(always)]
// Loops over indices with constant ends unroll whole, and only then do the sums stay in registers.
#[allow(clippy::needless_range_loop)]
pub(crate) unsafe fn micro<V: Lanes, const MR: usize, const NV: usize>(job: &Micro) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::splat(0.0); NV]; MR];
        let (mut a, mut b) = (job.a, job.b);
        for _ in 0..job.k {
            let mut right = [V::splat(0.0); NV];
            for j in 0..NV {
                right[j] = V::load(b.add(j * V::N));
            }
            for i in 0..MR {
                let left = V::splat(*a.add(i));
                for j in 0..NV {
                    sums[i][j] = left.fma(right[j], sums[i][j]);
                }
            }
            a = a.add(MR);
            b = b.wrapping_add(job.b_stride);
        }
        if job.accumulate {
            for i in 0..MR {
                for j in 0..NV {
                    let before = V::load(job.c.add(i * job.c_stride + j * V::N));
                    sums[i][j] = sums[i][j].add(before);
                }
            }
        }
        if !job.scale.is_null() {
            for i in 0..MR {
                let scale = V::splat(*job.scale.add(i));
                for j in 0..NV {
                    sums[i][j] = sums[i][j].mul(scale);
                }
            }
        }
        if !job.bias.is_null() {
            for i in 0..MR {
                let bias = V::splat(*job.bias.add(i));
                for j in 0..NV {
                    sums[i][j] = sums[i][j].add(bias);
                }
            }
        }
        by_activation!(job.activation, A => store::<V, MR, NV, A>(job, &sums));
    }
}

/// Writes a tile, after the activation of number `A`.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // as above
unsafe fn store<V: Lanes, const MR: usize, const NV: usize, const A: usize>(
    job: &Micro,
    sums: &[[V; NV]; MR],
) {
    for i in 0..MR {
        for j in 0..NV {
            // SAFETY: the caller's promise.
            unsafe { Activation::of(A).apply(sums[i][j]).store(job.c.add(i * job.c_stride + j * V::N)) };
        }
    }
}

/// Where the product goes: `[images, rows, width]` in memory, its columns numbered through all
/// images.
#[derive(Clone, Copy)]
pub(crate) struct Output {
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

/// `activation(sum * scale + bias)`; a scale and a bias for each row, where there are any.
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
    /// Steps of the sum between two visits of `C`.
    pub(crate) block: usize,
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
    /// The output must be valid for the tile, and nobody else may touch it meanwhile.
    pub(crate) unsafe fn product(product: &Product, tile: &Tile, scratch: &mut Scratch) = product_in
}

#[inline(always)]
unsafe fn product_in<V: Lanes>(product: &Product, tile: &Tile, scratch: &mut Scratch) {
    let mut from = tile.sum.start;
    while from < tile.sum.end {
        let to = (from + product.block).min(tile.sum.end);
        let steps = Steps { from, to, first: from == tile.sum.start, last: to == tile.sum.end };
        // SAFETY: the caller's promise.
        unsafe { block::<V>(product, tile, &steps, scratch) };
        from = to;
    }
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
        let (left, panel) = product.left.block::<V>(&tile.rows, steps.from, steps.to, &mut scratch.left);
        let vectors = tile.columns.len().div_ceil(V::N);
        let panels = vectors.div_ceil(V::NV);
        let mut start = tile.columns.start;
        for index in 0..panels {
            // As even as vectors allow: 4 are 2 + 2 rather than 3 + 1.
            let wide = vectors / panels + usize::from(index < vectors % panels);
            let end = (start + wide * V::N).min(tile.columns.end);
            let sum = steps.from..steps.to;
            let few = tile.rows.len() <= FEW * V::MR || sum.len() <= SHORT;
            let (right, right_stride) = match product.right {
                Right::Columns(columns) => {
                    match columns.there::<V>(&(start..end), &sum, wide).filter(|_| few) {
                        Some(there) => there,
                        None => (columns.pack::<V>(start..end, sum, wide, scratch), wide * V::N),
                    }
                }
                Right::Transposed(columns) => {
                    (columns.pack_transposed::<V>(start..end, sum, wide, scratch), wide * V::N)
                }
            };
            let strip = Strip { columns: start..end, vectors: wide, right, right_stride, left, panel };
            strip_of_tiles::<V>(product, tile, steps, &strip);
            start = end;
        }
    }
}

/// A packed panel of `B` and the packed rows of `A` that it meets.
struct Strip {
    columns: Range<usize>,
    vectors: usize,
    right: *const f32,
    /// Values from one step of the sum to the next.
    right_stride: usize,
    left: *const f32,
    /// Values from one panel of `A` to the next.
    panel: usize,
}

#[inline(always)]
unsafe fn strip_of_tiles<V: Lanes>(product: &Product, tile: &Tile, steps: &Steps, strip: &Strip) {
    let output = &product.output;
    let (image, column) = (strip.columns.start / output.width, strip.columns.start % output.width);
    let whole = strip.columns.len() == strip.vectors * V::N && column + strip.columns.len() <= output.width;
    for (index, row) in tile.rows.clone().step_by(V::MR).enumerate() {
        let rows = V::MR.min(tile.rows.end - row);
        let after = if steps.last { product.after } else { After::default() };
        let (mut scale, mut bias) = ([0.0f32; 16], [0.0f32; 16]);
        let (scale, bias) =
            (of_rows(after.scale, row, rows, &mut scale), of_rows(after.bias, row, rows, &mut bias));
        // SAFETY: panels of `A` lie `panel` values apart; the output is the caller's promise.
        unsafe {
            let mut job = Micro {
                k: steps.to - steps.from,
                a: strip.left.add(index * strip.panel),
                b: strip.right,
                b_stride: strip.right_stride,
                c: output.start.add(image * output.image + row * output.row + column),
                c_stride: output.row,
                accumulate: !steps.first,
                scale,
                bias,
                activation: after.activation,
            };
            if whole && rows == V::MR {
                V::micro(strip.vectors, &job);
            } else {
                edge::<V>(output, row..row + rows, strip, &mut job);
            }
        }
    }
}

/// The values of some rows, as many as a tile has, or null.
#[inline(always)]
fn of_rows(values: Option<&[f32]>, row: usize, rows: usize, room: &mut [f32; 16]) -> *const f32 {
    let Some(values) = values else { return std::ptr::null() };
    room[..rows].copy_from_slice(&values[row..row + rows]);
    room.as_ptr()
}

/// A tile at an edge, or across two images: computed aside, then copied.
#[inline(always)]
unsafe fn edge<V: Lanes>(output: &Output, rows: Range<usize>, strip: &Strip, job: &mut Micro) {
    let wide = strip.vectors * V::N;
    let mut aside = [0.0f32; 8 * 48];
    debug_assert!(V::MR * wide <= aside.len());
    // SAFETY: every piece lies inside one row of one image of the output.
    unsafe {
        if job.accumulate {
            for_pieces(output, &rows, &strip.columns, |row, at, place, len| {
                std::ptr::copy_nonoverlapping(place, aside.as_mut_ptr().add(row * wide + at), len);
            });
        }
        job.c = aside.as_mut_ptr();
        job.c_stride = wide;
        V::micro(strip.vectors, job);
        for_pieces(output, &rows, &strip.columns, |row, at, place, len| {
            std::ptr::copy_nonoverlapping(aside.as_ptr().add(row * wide + at), place, len);
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
            // SAFETY: inside the output by the caller's promise.
            visit(row - rows.start, from - columns.start, unsafe { output.start.add(offset) }, len);
        }
        from += len;
    }
}
