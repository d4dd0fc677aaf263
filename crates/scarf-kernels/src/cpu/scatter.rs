//! The input's gradient where the stride is more than 1: columns are computed, then added back
//! into the image ("col2im").

use rayon::prelude::*;

use super::columns::Columns;
use super::dense::{even_block, pack_whole};
use super::gemm::{After, Output, Product, Right, Tile, product};
use super::left::{Left, Strided};
use super::rounded::Factors;
use super::scratch::{with_packed, with_scratch};
use super::simd::{Level, level};
use crate::cpu::shape::Shape;

/// Values of a block of columns.
const COLUMNS: usize = 192 * 1024;

/// The gradient of the input, written to `out`: `[images, channels, in_pixels]`.
///
/// # Safety
///
/// `out` must be valid for that many values.
pub(crate) unsafe fn input_gradient(gradient: &[f32], weight: &[f32], shape: &Shape, out: *mut f32) {
    let (channels, depth, taps) = (shape.group_channels(), shape.group_out(), shape.taps());
    let level = level();
    let factors = Factors::of_thread(level);
    for group in 0..shape.groups {
        let left = Strided {
            values: weight,
            start: group * depth * channels * taps,
            row: 1,
            outer: 0,
            inner: (channels * taps) as isize,
            inner_len: depth,
            pair_taps: 0,
            rows: channels * taps,
        };
        with_packed(|buffer| {
            let some = (COLUMNS / (taps * shape.out_pixels())).clamp(1, channels);
            // So many channels start at a panel of the packed weights, whatever the taps; where that were too many more, each
            // task packs its own.
            let (_, height, _) = level.tile(factors);
            let whole = some.next_multiple_of(height);
            let (some, left) = match whole <= 8.max(2 * some) || some == channels {
                true => (whole, Left::Packed(pack_whole(level, factors, &left, depth, buffer), depth)),
                false => (some, Left::Strided(left)),
            };
            let parts = channels.div_ceil(some);
            let job = Job { gradient, left, shape, group, level, factors };
            let start = Output { start: out, row: 0, image: 0, width: 0 };
            (0..shape.images * parts).into_par_iter().with_max_len(1).for_each(|task| {
                let (image, from) = (task / parts, task % parts * some);
                // SAFETY: each task has its own channels of the output.
                unsafe { job.run(image, from, (from + some).min(channels), { start }.start) };
            });
        });
    }
}

struct Job<'a> {
    gradient: &'a [f32],
    left: Left<'a>,
    shape: &'a Shape,
    group: usize,
    level: Level,
    factors: Factors,
}

impl Job<'_> {
    /// The gradient of some channels of an image.
    unsafe fn run(&self, image: usize, from: usize, to: usize, out: *mut f32) {
        let (shape, taps, pixels) = (self.shape, self.shape.taps(), self.shape.out_pixels());
        let depth = shape.group_out();
        let first = (image * shape.out_channels + self.group * depth) * pixels;
        let right = Columns::plain(&self.gradient[first..], 0, pixels);
        with_scratch(|scratch| {
            let mut plane = std::mem::take(&mut scratch.plane);
            let columns = plane.take((to - from) * taps * pixels);
            let rows = from * taps..to * taps;
            // The product writes its rows from the first one of the block on.
            let start = columns.as_mut_ptr().wrapping_sub(rows.start * pixels);
            let product_here = Product {
                left: self.left,
                right: Right::Columns(&right),
                output: Output { start, row: pixels, image: 0, width: pixels },
                block: even_block(depth, 1, self.factors),
                factors: self.factors,
                after: After::default(),
            };
            let tile = Tile { rows, columns: 0..pixels, sum: 0..depth };
            // SAFETY: the tile is the whole buffer, which is this task's.
            unsafe { product(self.level, &product_here, &tile, scratch) };
            for channel in from..to {
                let at = (image * shape.channels + self.group * shape.group_channels() + channel)
                    * shape.in_pixels();
                // SAFETY: the channel is this task's.
                let plane = unsafe {
                    out.add(at).write_bytes(0, shape.in_pixels());
                    std::slice::from_raw_parts_mut(out.add(at), shape.in_pixels())
                };
                let columns = &columns[(channel - from) * taps * pixels..][..taps * pixels];
                add_back(columns, shape, plane);
            }
            scratch.plane = plane;
        });
    }
}

/// Adds the columns of a channel, `[taps, out_pixels]`, to its plane.
fn add_back(columns: &[f32], shape: &Shape, plane: &mut [f32]) {
    let (stride, wide) = (shape.stride[1], shape.out_width);
    for (tap, column) in columns.chunks_exact(shape.out_pixels()).enumerate() {
        let down = tap / shape.kernel[1] * shape.dilation[0];
        let right = tap % shape.kernel[1] * shape.dilation[1];
        let low = shape.left.saturating_sub(right).div_ceil(stride).min(wide);
        let high = (shape.width + shape.left).saturating_sub(right).div_ceil(stride).clamp(low, wide);
        if low == high {
            continue;
        }
        for (oy, row) in column.chunks_exact(wide).enumerate() {
            let y = (oy * shape.stride[0] + down).wrapping_sub(shape.top);
            if y >= shape.height {
                continue;
            }
            let from = y * shape.width + low * stride + right - shape.left;
            let places = plane[from..].iter_mut().step_by(stride);
            for (place, value) in places.zip(&row[low..high]) {
                *place += value;
            }
        }
    }
}
