//! The gradients of depthwise convolutions, plane by plane.

use std::ops::Range;

use rayon::prelude::*;

use super::alone::share_out_parts;
use super::depthwise::{Layout, Sums, TASK, forward};
use super::gemm::After;
use super::scratch::{Scratch, with_scratch};
use super::simd::{Lanes, level, versions};
use super::vector::Place;
use crate::cpu::shape::Shape;
use crate::geometry::Activation;

/// Taps whose sums are kept in registers at once: a 3 x 3 kernel.
const TAPS: usize = 9;

/// The gradient of the input, written to `out`: `[images, channels, in_pixels]`.
///
/// # Safety
///
/// `out` must be valid for that many values.
pub(crate) unsafe fn input_gradient(weight: &[f32], gradient: &[f32], shape: &Shape, out: *mut f32) {
    let (level, taps) = (level(), shape.taps());
    if let Some(turned) = shape.transposed() {
        let weight: Vec<f32> =
            weight.chunks_exact(taps).flat_map(|kernel| kernel.iter().rev().copied()).collect();
        // SAFETY: the caller's promise.
        return unsafe { forward(gradient, &weight, After::default(), &turned, out) };
    }
    let seen = Seen::new(shape);
    let job = Backward { weight, gradient, shape, seen: &seen, out: Place::new(out) };
    share_out_parts(shape.images * shape.channels, TASK / shape.in_pixels(), |planes| {
        // SAFETY: each task has its own planes of the output, which the caller vouches for.
        with_scratch(|scratch| unsafe { planes_backward(level, &job, planes, scratch) });
    });
}

/// The gradient of the weights, `[channels, kernel]`: images are summed in their order.
pub(crate) fn weight_gradient(x: &[f32], gradient: &[f32], shape: &Shape) -> Vec<f32> {
    let (level, taps, layout) = (level(), shape.taps(), Layout::new(shape));
    let mut out = vec![0.0; shape.channels * taps];
    let few = (TASK / (shape.images * shape.out_pixels())).max(1);
    out.par_chunks_mut(taps).with_min_len(few).enumerate().for_each(|(channel, out)| {
        let job = Channel { x, gradient, channel, shape, layout: &layout };
        // SAFETY: the level is this processor's.
        with_scratch(|scratch| unsafe { channel_weights(level, &job, out, scratch) });
    });
    out
}

struct Channel<'a> {
    x: &'a [f32],
    gradient: &'a [f32],
    channel: usize,
    shape: &'a Shape,
    layout: &'a Layout,
}

impl Channel<'_> {
    fn x(&self, image: usize) -> &[f32] {
        let pixels = self.shape.in_pixels();
        &self.x[(image * self.shape.channels + self.channel) * pixels..][..pixels]
    }

    fn gradient(&self, image: usize) -> &[f32] {
        let pixels = self.shape.out_pixels();
        &self.gradient[(image * self.shape.channels + self.channel) * pixels..][..pixels]
    }
}

versions! {
    /// Adds the weights' gradient of one channel to `out`, `[kernel]`.
    unsafe fn channel_weights(job: &Channel, out: &mut [f32], scratch: &mut Scratch) = channel_weights_in
}

#[inline(always)]
unsafe fn channel_weights_in<V: Lanes>(job: &Channel, out: &mut [f32], scratch: &mut Scratch) {
    let (shape, taps) = (job.shape, job.shape.taps());
    let room = job.layout.room::<V>(&mut scratch.plane, 1);
    for image in 0..shape.images {
        // SAFETY: the room holds all that the outputs see.
        unsafe {
            job.layout.fill::<V>(job.x(image), shape, room);
            let gradient = job.gradient(image);
            let mut tap = 0;
            while tap < taps {
                if tap + TAPS <= taps {
                    dot_taps::<V, TAPS>(job, room.as_ptr(), gradient, tap, out);
                    tap += TAPS;
                } else {
                    dot_taps::<V, 1>(job, room.as_ptr(), gradient, tap, out);
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
    job: &Channel,
    values: *const f32,
    gradient: &[f32],
    first: usize,
    out: &mut [f32],
) {
    let mut offsets = [0; T];
    offsets.copy_from_slice(&job.layout.taps[first..first + T]);
    // SAFETY: the values hold all that the outputs see, and numbers beyond.
    unsafe {
        let mut sums = [V::splat(0.0); T];
        for (y, row) in gradient.chunks_exact(job.shape.out_width).enumerate() {
            let values = values.add(y * job.layout.down);
            let mut at = 0;
            while at < row.len() {
                let gradient = if at + V::N <= row.len() {
                    V::load(row.as_ptr().add(at))
                } else {
                    V::load_part(row.as_ptr().add(at), row.len() - at)
                };
                for index in 0..T {
                    sums[index] = gradient.fma(V::load(values.add(offsets[index] + at)), sums[index]);
                }
                at += V::N;
            }
        }
        for index in 0..T {
            out[first + index] += sums[index].sum();
        }
    }
}

/// How the outputs' gradient lies in scratch memory, `[rows, len]` with zeros around it, and which taps see the
/// inputs of each remainder modulo the strides.
struct Seen {
    rows: usize,
    len: usize,
    /// Zeros above and left of the plane.
    margin: [usize; 2],
    remainders: Vec<Remainder>,
}

/// The inputs `(y + stride * i, x + stride * j)`.
struct Remainder {
    y: usize,
    x: usize,
    /// Where the first of them finds what its taps give.
    places: Vec<usize>,
    /// Which taps those are.
    taps: Vec<usize>,
}

impl Seen {
    fn new(shape: &Shape) -> Self {
        let [down, across] = shape.stride;
        let margin =
            [0, 1].map(|axis| (shape.kernel[axis] - 1) * shape.dilation[axis] / shape.stride[axis] + 1);
        let room = |axis: usize, outputs: usize, last: usize| {
            margin[axis] + outputs.max(last / shape.stride[axis] + 1) + 1
        };
        let rows = room(0, shape.out_height, shape.height + shape.top);
        let len = room(1, shape.out_width, shape.width + shape.left);
        let starts =
            (0..down.min(shape.height)).flat_map(|y| (0..across.min(shape.width)).map(move |x| (y, x)));
        let remainder = |(y, x): (usize, usize)| {
            let (mut places, mut taps) = (Vec::new(), Vec::new());
            for tap in 0..shape.taps() {
                let from = |axis: usize, first: usize, padding: usize, step: usize| {
                    let place = (first + padding) as isize - (step * shape.dilation[axis]) as isize;
                    let stride = shape.stride[axis] as isize;
                    (place.rem_euclid(stride) == 0)
                        .then(|| (margin[axis] as isize + place.div_euclid(stride)) as usize)
                };
                let row = from(0, y, shape.top, tap / shape.kernel[1]);
                let column = from(1, x, shape.left, tap % shape.kernel[1]);
                if let (Some(row), Some(column)) = (row, column) {
                    places.push(row * len + column);
                    taps.push(tap);
                }
            }
            Remainder { y, x, places, taps }
        };
        Self { rows, len, margin, remainders: starts.map(remainder).collect() }
    }
}

struct Backward<'a> {
    weight: &'a [f32],
    gradient: &'a [f32],
    shape: &'a Shape,
    seen: &'a Seen,
    out: Place,
}

versions! {
    /// The inputs' gradients of some planes, from the outputs'.
    ///
    /// # Safety
    ///
    /// The output must be valid for them, and nobody else may touch it meanwhile.
    unsafe fn planes_backward(job: &Backward, planes: Range<usize>, scratch: &mut Scratch) = planes_backward_in
}

/// Every input gathers from the outputs that saw it: inputs of one remainder modulo the strides are seen by the
/// same taps.
#[inline(always)]
unsafe fn planes_backward_in<V: Lanes>(job: &Backward, planes: Range<usize>, scratch: &mut Scratch) {
    let (shape, seen, taps) = (job.shape, job.seen, job.shape.taps());
    let [down, across] = shape.stride;
    let wide = shape.width.div_ceil(across);
    let total = seen.rows * seen.len + 4 * V::N;
    let (room, apart) = scratch.plane.take(total + wide)[..total + wide].split_at_mut(total);
    room.fill(0.0);
    let apart = apart.as_mut_ptr();
    let mut weight = Vec::with_capacity(taps);
    for plane in planes {
        let gradient = &job.gradient[plane * shape.out_pixels()..][..shape.out_pixels()];
        for (row, values) in gradient.chunks_exact(shape.out_width).enumerate() {
            let line = &mut room[(row + seen.margin[0]) * seen.len + seen.margin[1]..];
            line[..shape.out_width].copy_from_slice(values);
        }
        let kernel = &job.weight[plane % shape.channels * taps..][..taps];
        for remainder in &seen.remainders {
            weight.clear();
            weight.extend(remainder.taps.iter().map(|&tap| kernel[tap]));
            let sums = Sums { weight: &weight, scale: 1.0, start: 0.0, activation: Activation::None };
            let count = (shape.width - remainder.x).div_ceil(across);
            for (index, y) in (remainder.y..shape.height).step_by(down).enumerate() {
                // SAFETY: the room reaches far enough beyond the plane; the output is the caller's.
                unsafe {
                    let values = room.as_ptr().add(index * seen.len);
                    sums.run::<V>(&remainder.places, values, apart, count);
                    let out = job.out.get().add(plane * shape.in_pixels() + y * shape.width + remainder.x);
                    for index in 0..count {
                        *out.add(index * across) = *apart.add(index);
                    }
                }
            }
        }
    }
}
