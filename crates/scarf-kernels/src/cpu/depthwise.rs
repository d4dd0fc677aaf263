//! Depthwise convolutions: each channel's plane with its own small kernel, by direct loops.
//!
//! A plane is first copied into scratch memory with its padding, its columns sorted by their
//! remainder modulo the stride; then every tap reads consecutive values, whatever the stride.

use rayon::prelude::*;

use super::columns::copy;
use super::scratch::{Buffer, Scratch, with_scratch};
use super::simd::{Lanes, level, versions};
use super::vector::Place;
use crate::cpu::shape::Shape;

/// Taps whose sums are kept in registers at once: a 3 x 3 kernel.
const TAPS: usize = 9;

/// Outputs that make a task.
const TASK: usize = 32_768;

/// `clamp(conv(x, weight) + bias)`, written to `out`: `[images, channels, out_pixels]`.
///
/// # Safety
///
/// `out` must be valid for that many values.
pub(crate) unsafe fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    shape: &Shape,
    clamp: Option<(f32, f32)>,
    out: *mut f32,
) {
    let (level, out) = (level(), Place::new(out));
    let (pixels, taps) = (shape.out_pixels(), shape.taps());
    let planes = shape.images * shape.channels;
    (0..planes).into_par_iter().with_min_len((TASK / pixels).max(1)).for_each(|plane| {
        let channel = plane % shape.channels;
        let job = Plane {
            x: &x[plane * shape.in_pixels()..][..shape.in_pixels()],
            weight: &weight[channel * taps..][..taps],
            bias: bias.map_or(0.0, |bias| bias[channel]),
            clamp,
        };
        // SAFETY: each task has its own plane of the output.
        with_scratch(|scratch| unsafe {
            plane_forward(level, shape, &job, out.get().add(plane * pixels), scratch);
        });
    });
}

struct Plane<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: f32,
    clamp: Option<(f32, f32)>,
}

/// A plane with its padding, sorted by columns modulo the stride: `[rows, phases, len]`.
struct Padded {
    start: *const f32,
    phases: usize,
    len: usize,
}

impl Padded {
    /// The values that column `column + stride * i` of a row has, for `i` = 0, 1, ...
    #[inline(always)]
    unsafe fn row(&self, row: usize, column: usize) -> *const f32 {
        let (phase, first) = (column % self.phases, column / self.phases);
        // SAFETY: the caller asks for places of the plane.
        unsafe { self.start.add((row * self.phases + phase) * self.len + first) }
    }
}

/// Copies a plane into scratch memory with the padding that its outputs see.
#[inline(always)]
unsafe fn pad<V: Lanes>(x: &[f32], shape: &Shape, buffer: &mut Buffer) -> Padded {
    let rows = (shape.out_height - 1) * shape.stride[0] + (shape.kernel[0] - 1) * shape.dilation[0] + 1;
    let columns = (shape.out_width - 1) * shape.stride[1] + (shape.kernel[1] - 1) * shape.dilation[1] + 1;
    let phases = shape.stride[1];
    let len = columns.div_ceil(phases);
    // Vectors may read beyond the end of the last row, but must find numbers there.
    let total = rows * phases * len;
    let values = &mut buffer.take(total + 4 * V::N)[..total + 4 * V::N];
    values[total..].fill(0.0);
    for (row, line) in values[..total].chunks_exact_mut(phases * len).enumerate() {
        let y = row.wrapping_sub(shape.top);
        if y >= shape.height {
            line.fill(0.0);
            continue;
        }
        let source = &x[y * shape.width..][..shape.width];
        for (phase, part) in line.chunks_exact_mut(len).enumerate() {
            // Columns `phase + i * phases - left` that lie inside the row.
            let low = shape.left.saturating_sub(phase).div_ceil(phases).min(len);
            let high = (shape.width + shape.left).saturating_sub(phase).div_ceil(phases).clamp(low, len);
            part[..low].fill(0.0);
            part[high..].fill(0.0);
            if low < high {
                let first = phase + low * phases - shape.left;
                debug_assert!(first + (high - low - 1) * phases < source.len());
                // SAFETY: the last value read and the last written lie inside their rows.
                unsafe {
                    let to = part.as_mut_ptr().add(low);
                    copy::<V>(source.as_ptr().add(first), phases, to, high - low);
                }
            }
        }
    }
    Padded { start: values.as_ptr(), phases, len }
}

/// `out[i] = clamp(start + sum of weight * values[i] over the taps)`, for `i < len`.
#[inline(always)]
unsafe fn sum_taps<V: Lanes>(
    taps: &[(*const f32, f32)],
    start: f32,
    clamp: Option<(f32, f32)>,
    out: *mut f32,
    len: usize,
) {
    let mut at = 0;
    // SAFETY: the caller vouches for `len` values, and for readable ones up to the next vector.
    unsafe {
        // Four vectors at once share the taps' weights; what is left goes one by one.
        while at + 4 * V::N <= len {
            let sums = tap_sums::<V, 4>(taps, start, clamp, at);
            for (index, sum) in sums.into_iter().enumerate() {
                sum.store(out.add(at + index * V::N));
            }
            at += 4 * V::N;
        }
        while at + V::N <= len {
            let [sum] = tap_sums::<V, 1>(taps, start, clamp, at);
            sum.store(out.add(at));
            at += V::N;
        }
        if at < len {
            let [sum] = tap_sums::<V, 1>(taps, start, clamp, at);
            sum.store_part(out.add(at), len - at);
        }
    }
}

/// `K` vectors of [`sum_taps`].
#[inline(always)]
unsafe fn tap_sums<V: Lanes, const K: usize>(
    taps: &[(*const f32, f32)],
    start: f32,
    clamp: Option<(f32, f32)>,
    at: usize,
) -> [V; K] {
    // SAFETY: the caller vouches for the values.
    unsafe {
        let mut sums = [V::splat(start); K];
        for &(values, weight) in taps {
            let weight = V::splat(weight);
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum = weight.fma(V::load(values.add(at + index * V::N)), *sum);
            }
        }
        if let Some((low, high)) = clamp {
            for sum in &mut sums {
                *sum = sum.max(V::splat(low)).min(V::splat(high));
            }
        }
        sums
    }
}

versions! {
    /// The outputs of one plane.
    ///
    /// # Safety
    ///
    /// `out` must be valid for the plane's outputs.
    unsafe fn plane_forward(shape: &Shape, job: &Plane, out: *mut f32, scratch: &mut Scratch) = plane_forward_in
}

#[inline(always)]
unsafe fn plane_forward_in<V: Lanes>(shape: &Shape, job: &Plane, out: *mut f32, scratch: &mut Scratch) {
    // SAFETY: the padded plane holds all that the outputs see; the rest is the caller's promise.
    unsafe {
        let padded = pad::<V>(job.x, shape, &mut scratch.plane);
        let taps = &mut scratch.taps;
        for y in 0..shape.out_height {
            taps.clear();
            for (tap, weight) in job.weight.iter().enumerate() {
                let row = y * shape.stride[0] + tap / shape.kernel[1] * shape.dilation[0];
                let values = padded.row(row, tap % shape.kernel[1] * shape.dilation[1]);
                taps.push((values, *weight));
            }
            let out = out.add(y * shape.out_width);
            sum_taps::<V>(taps, job.bias, job.clamp, out, shape.out_width);
        }
    }
}

/// The gradient of the input, written to `out`: `[images, channels, in_pixels]`.
///
/// # Safety
///
/// `out` must be valid for that many values.
pub(crate) unsafe fn input_gradient(weight: &[f32], gradient: &[f32], shape: &Shape, out: *mut f32) {
    let (level, out, taps) = (level(), Place::new(out), shape.taps());
    let planes = shape.images * shape.channels;
    let few = (TASK / shape.in_pixels()).max(1);
    (0..planes).into_par_iter().with_min_len(few).for_each(|plane| {
        let job = Plane {
            x: &gradient[plane * shape.out_pixels()..][..shape.out_pixels()],
            weight: &weight[plane % shape.channels * taps..][..taps],
            bias: 0.0,
            clamp: None,
        };
        // SAFETY: each task has its own plane of the output.
        with_scratch(|scratch| unsafe {
            plane_input(level, shape, &job, out.get().add(plane * shape.in_pixels()), scratch);
        });
    });
}

/// The gradient of the weights, `[channels, kernel]`: images are summed in their order.
pub(crate) fn weight_gradient(x: &[f32], gradient: &[f32], shape: &Shape) -> Vec<f32> {
    let (level, taps) = (level(), shape.taps());
    let mut out = vec![0.0; shape.channels * taps];
    let few = (TASK / (shape.images * shape.out_pixels())).max(1);
    out.par_chunks_mut(taps).with_min_len(few).enumerate().for_each(|(channel, out)| {
        let job = Channel { x, gradient, channel };
        // SAFETY: the level is this processor's.
        with_scratch(|scratch| unsafe { channel_weights(level, shape, &job, out, scratch) });
    });
    out
}

struct Channel<'a> {
    x: &'a [f32],
    gradient: &'a [f32],
    channel: usize,
}

impl Channel<'_> {
    fn x(&self, image: usize, shape: &Shape) -> &[f32] {
        &self.x[(image * shape.channels + self.channel) * shape.in_pixels()..][..shape.in_pixels()]
    }

    fn gradient(&self, image: usize, shape: &Shape) -> &[f32] {
        let plane = image * shape.channels + self.channel;
        &self.gradient[plane * shape.out_pixels()..][..shape.out_pixels()]
    }
}

versions! {
    /// Adds the weights' gradient of one channel to `out`, `[kernel]`.
    unsafe fn channel_weights(shape: &Shape, job: &Channel, out: &mut [f32], scratch: &mut Scratch) = channel_weights_in
}

#[inline(always)]
unsafe fn channel_weights_in<V: Lanes>(shape: &Shape, job: &Channel, out: &mut [f32], scratch: &mut Scratch) {
    for image in 0..shape.images {
        // SAFETY: the padded plane holds all that the outputs see.
        unsafe {
            let padded = pad::<V>(job.x(image, shape), shape, &mut scratch.plane);
            let gradient = job.gradient(image, shape);
            let mut tap = 0;
            while tap < shape.taps() {
                if tap + TAPS <= shape.taps() {
                    dot_taps::<V, TAPS>(shape, &padded, gradient, tap, out);
                    tap += TAPS;
                } else {
                    dot_taps::<V, 1>(shape, &padded, gradient, tap, out);
                    tap += 1;
                }
            }
        }
    }
}

/// Adds the product of a plane's gradient with what `T` taps saw to `out`.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // constant ends unroll whole
unsafe fn dot_taps<V: Lanes, const T: usize>(
    shape: &Shape,
    padded: &Padded,
    gradient: &[f32],
    first: usize,
    out: &mut [f32],
) {
    // SAFETY: the padded plane holds all that the outputs see, and numbers beyond.
    unsafe {
        let mut sums = [V::splat(0.0); T];
        for (y, row) in gradient.chunks_exact(shape.out_width).enumerate() {
            let mut values = [std::ptr::null(); T];
            for index in 0..T {
                let tap = first + index;
                let row = y * shape.stride[0] + tap / shape.kernel[1] * shape.dilation[0];
                values[index] = padded.row(row, tap % shape.kernel[1] * shape.dilation[1]);
            }
            let mut at = 0;
            while at < row.len() {
                let gradient = if at + V::N <= row.len() {
                    V::load(row.as_ptr().add(at))
                } else {
                    V::load_part(row.as_ptr().add(at), row.len() - at)
                };
                for index in 0..T {
                    sums[index] = gradient.fma(V::load(values[index].add(at)), sums[index]);
                }
                at += V::N;
            }
        }
        for index in 0..T {
            out[first + index] += sums[index].sum();
        }
    }
}

versions! {
    /// The input's gradient of one plane, from the output's.
    ///
    /// # Safety
    ///
    /// `out` must be valid for the plane's inputs.
    unsafe fn plane_input(shape: &Shape, job: &Plane, out: *mut f32, scratch: &mut Scratch) = plane_input_in
}

/// Every input gathers from the outputs that saw it: with a stride, inputs of one remainder modulo
/// the stride see the same taps.
#[inline(always)]
unsafe fn plane_input_in<V: Lanes>(shape: &Shape, job: &Plane, out: *mut f32, scratch: &mut Scratch) {
    let (stride, wide) = (shape.stride[1], shape.width.div_ceil(shape.stride[1]));
    // Room for the outputs left and right of the plane that border inputs would see.
    let margin = (shape.kernel[1] - 1) * shape.dilation[1] / stride + 1;
    let len = margin + shape.out_width.max((shape.width + shape.left) / stride + 1) + 1;
    let total = shape.out_height * len + wide + 4 * V::N;
    let rows = &mut scratch.plane.take(total)[..total];
    rows.fill(0.0);
    for (row, values) in job.x.chunks_exact(shape.out_width).enumerate() {
        rows[row * len + margin..][..shape.out_width].copy_from_slice(values);
    }
    let apart = scratch.other.take(wide).as_mut_ptr();
    for y in 0..shape.height {
        for phase in 0..stride.min(shape.width) {
            let taps = &mut scratch.taps;
            taps.clear();
            seen_by(shape, job.weight, y, phase, |oy, shift, weight| {
                let from = ((oy * len + margin) as isize + shift) as usize;
                taps.push((rows[from..].as_ptr(), weight));
            });
            let count = (shape.width - phase).div_ceil(stride);
            // SAFETY: rows reach far enough beyond their ends; the output is the caller's.
            unsafe {
                let out = out.add(y * shape.width + phase);
                if stride == 1 {
                    sum_taps::<V>(taps, 0.0, None, out, count);
                } else {
                    sum_taps::<V>(taps, 0.0, None, apart, count);
                    for index in 0..count {
                        *out.add(index * stride) = *apart.add(index);
                    }
                }
            }
        }
    }
}

/// Calls `visit(output row, output column less i, weight)` for each tap through which the inputs
/// `(y, phase + stride * i)` are seen.
#[inline(always)]
fn seen_by(shape: &Shape, weight: &[f32], y: usize, phase: usize, mut visit: impl FnMut(usize, isize, f32)) {
    for ky in 0..shape.kernel[0] {
        let Some(down) = (y + shape.top).checked_sub(ky * shape.dilation[0]) else { continue };
        let oy = down / shape.stride[0];
        if !down.is_multiple_of(shape.stride[0]) || oy >= shape.out_height {
            continue;
        }
        for kx in 0..shape.kernel[1] {
            let right = (phase + shape.left) as isize - (kx * shape.dilation[1]) as isize;
            if right.rem_euclid(shape.stride[1] as isize) == 0 {
                let shift = right.div_euclid(shape.stride[1] as isize);
                visit(oy, shift, weight[ky * shape.kernel[1] + kx]);
            }
        }
    }
}
