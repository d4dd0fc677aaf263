//! Convolutions of few channels, with which networks begin. Band by band rows of the image are laid out, cut apart by the
//! stride: what a tap sees for neighbouring outputs are neighbours then, and no columns need packing, which takes longer
//! than the few sums.

use std::ops::Range;

use super::alone::{share_out, threads};
use super::columns::copy;
use super::dense::{BLOCK, SERIAL, share};
use super::gemm::{After, Output, Strip, strip_of_tiles};
use super::left::Panels;
use super::rounded::Factors;
use super::scratch::{Scratch, with_scratch};
use super::simd::{Lanes, Level, versions};
use crate::cpu::shape::Shape;

/// Steps of the sum up to which channels are few: three of 7 x 7, not 32 of 3 x 3.
const STEPS: usize = 192;

// Or the sums would be in another order than the product's with columns.
const _: () = assert!(STEPS <= BLOCK);

/// Columns of outputs from which rows are long.
const LONG: usize = 32;

/// Values that are laid out for a band: they stay in the second-level cache.
const NEAR: usize = 16 * 1024;

/// A convolution of few channels.
pub(super) struct Stem<'a> {
    pub(super) x: &'a [f32],
    /// All weights, packed.
    pub(super) weight: &'a [f32],
    pub(super) after: After<'a>,
    pub(super) shape: &'a Shape,
    pub(super) factors: Factors,
    pub(super) output: Output,
}

/// Whether [`forward`] is faster than the product with columns: not where a lone row of outputs sees more than its columns
/// would hold.
pub(super) fn pays(shape: &Shape, factors: Factors) -> bool {
    let few = shape.groups == 1 && shape.taps() > 1 && shape.channels * shape.taps() <= STEPS;
    let long =
        shape.out_width >= LONG && (reach(shape) + 1) * row(shape, 1) <= shape.taps() * shape.out_width;
    few && long && !factors.are_pairs()
}

/// Computes all outputs, to the bit those of the product with columns, with any number of threads.
///
/// # Safety
///
/// The output must be valid for the shape; the level and the factors must be this processor's.
pub(super) unsafe fn forward(level: Level, stem: &Stem) {
    let shape = stem.shape;
    let near = NEAR / (shape.channels * row(shape, 1));
    let each = (near.saturating_sub(reach(shape)) / shape.stride[0]).max(1);
    let sums = shape.out_channels * shape.out_pixels() * shape.channels * shape.taps();
    let tasks = if shape.images * sums < SERIAL { 1 } else { 3 * threads() };
    let bands = shape.out_height.div_ceil(each).max(tasks.div_ceil(shape.images)).min(shape.out_height);
    share_out(shape.images * bands, |task| {
        let rows = share(task % bands, bands, shape.out_height, 1);
        // SAFETY: each task has its own rows; the rest is the caller's promise.
        with_scratch(|scratch| unsafe { band(level, stem, task / bands, &rows, scratch) });
    });
}

/// Values of a part of a row, the columns of one remainder of the stride: for whole vectors of outputs.
fn part(shape: &Shape, lanes: usize) -> usize {
    let reach = (shape.kernel[1] - 1) * shape.dilation[1];
    shape.out_width.next_multiple_of(lanes) + reach / shape.stride[1] + 1
}

/// Values of a row that is laid out.
fn row(shape: &Shape, lanes: usize) -> usize {
    part(shape, lanes) * shape.stride[1]
}

/// Rows from the first to the last that an output sees.
fn reach(shape: &Shape) -> usize {
    (shape.kernel[0] - 1) * shape.dilation[0]
}

versions! {
    /// Computes some rows of the outputs of an image.
    ///
    /// # Safety
    ///
    /// The output must be valid for the rows, and nobody else may touch them meanwhile; the level must be this processor's.
    unsafe fn band(stem: &Stem, image: usize, rows: &Range<usize>, scratch: &mut Scratch) = band_in
}

#[inline(always)]
unsafe fn band_in<V: Lanes>(stem: &Stem, image: usize, rows: &Range<usize>, scratch: &mut Scratch) {
    let (shape, taps) = (stem.shape, stem.shape.taps());
    let [down, stride] = shape.stride;
    let (part, row) = (part(shape, V::N), row(shape, V::N));
    let seen = (rows.len() - 1) * down + reach(shape) + 1;
    let laid = scratch.right.take(shape.channels * seen * row).as_mut_ptr();
    for channel in 0..shape.channels {
        let plane = &stem.x[(image * shape.channels + channel) * shape.in_pixels()..][..shape.in_pixels()];
        for line in 0..seen {
            let y = (rows.start * down + line).wrapping_sub(shape.top);
            let from = if y < shape.height { &plane[y * shape.width..][..shape.width] } else { &[] };
            // SAFETY: the buffer has room for so many rows; the processor is the caller's promise.
            unsafe { lay::<V>(from, shape.left, stride, part, laid.add((channel * seen + line) * row)) };
        }
    }
    let depth = shape.channels * taps;
    let mut places = [0; STEPS];
    for (step, place) in places[..depth].iter_mut().enumerate() {
        let (channel, tap) = (step / taps, step % taps);
        let y = tap / shape.kernel[1] * shape.dilation[0];
        let x = tap % shape.kernel[1] * shape.dilation[1];
        *place = (channel * seen + y) * row + x % stride * part + x / stride;
    }
    let strips = shape.out_width.div_ceil(V::NV * V::N);
    // SAFETY: steps and lanes lie inside what was laid out; the output and the processor are the caller's promise.
    unsafe {
        stem.factors.prepare::<V>(laid, shape.channels * seen, row);
        for y in rows.clone() {
            let begin = image * shape.out_pixels() + y * shape.out_width;
            for index in 0..strips {
                let columns = share(index, strips, shape.out_width, V::N);
                let strip = Strip {
                    columns: begin + columns.start..begin + columns.end,
                    lanes: columns.len().next_multiple_of(V::N),
                    right: laid.add((y - rows.start) * down * row + columns.start),
                    right_stride: 0,
                    right_steps: places.as_ptr(),
                    left: Panels { start: stem.weight.as_ptr(), panel: depth * V::MR, row: 0 },
                    steps: depth,
                    accumulate: false,
                    after: stem.after,
                };
                strip_of_tiles::<V, true>(&stem.output, &(0..shape.out_channels), &strip);
            }
        }
    }
}

/// Lays out a row, zeros around it, or zeros alone: the columns of each remainder of the stride one after the other.
///
/// # Safety
///
/// There must be room for `stride` parts, and the processor must know `V`.
#[inline(always)]
unsafe fn lay<V: Lanes>(row: &[f32], left: usize, stride: usize, part: usize, to: *mut f32) {
    for rest in 0..stride {
        // SAFETY: the caller's promise.
        let to = unsafe { std::slice::from_raw_parts_mut(to.add(rest * part), part) };
        let first = left.saturating_sub(rest).div_ceil(stride).min(part);
        let end = (row.len() + left).saturating_sub(rest).div_ceil(stride).clamp(first, part);
        to[..first].fill(0.0);
        to[end..].fill(0.0);
        if !row.is_empty() && first < end {
            let from = &row[first * stride + rest - left..][..(end - first - 1) * stride + 1];
            // SAFETY: both are as long as that.
            unsafe { copy::<V>(from.as_ptr(), stride, to[first..].as_mut_ptr(), end - first) };
        } else {
            to[first..end].fill(0.0);
        }
    }
}
