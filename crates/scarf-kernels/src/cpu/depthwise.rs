//! Depthwise convolutions: each channel's plane with its own small kernel, by direct loops.
//!
//! A plane is first copied into scratch memory with its padding, its columns sorted by their
//! remainder modulo the stride; then every tap reads consecutive values, whatever the stride.
//! The common kernels need no copy where the processor has masks (`direct`).

use std::ops::Range;

use super::alone::share_out_parts;
use super::columns::copy;
use super::direct;
use super::finish::by_activation;
use super::gemm::After;
use super::scratch::{Buffer, Scratch, with_scratch};
use super::simd::{Lanes, level, versions};
use super::vector::Place;
use crate::cpu::shape::Shape;
use crate::geometry::Activation;

/// Values of padded planes that lie ready at a time, in the first-level cache.
const TOGETHER: usize = 4096;

/// Outputs that make a task.
pub(super) const TASK: usize = 16_384;

/// `activation(conv(x, weight) * scale + bias)`, written to `out`: `[images, channels, out_pixels]`.
///
/// # Safety
///
/// `out` must be valid for that many values.
pub(crate) unsafe fn forward(x: &[f32], weight: &[f32], after: After, shape: &Shape, out: *mut f32) {
    let level = level();
    let job = Forward { x, weight, after, shape, out: Place::new(out), plane: shape.out_pixels() };
    share_out_parts(shape.images * shape.channels, TASK / shape.out_pixels(), |planes| {
        // SAFETY: each task has its own planes of the output, which the caller vouches for.
        with_scratch(|scratch| unsafe { planes_forward(level, &job, planes, scratch) });
    });
}

/// How a plane lies in scratch memory, with its padding and its columns sorted by their remainder modulo the
/// stride: `[rows, phases, len]`; and where the first output finds what its taps see.
pub(super) struct Layout {
    rows: usize,
    len: usize,
    phases: Vec<Phase>,
    pub(super) taps: Vec<usize>,
    /// Values from one row of outputs to the next.
    pub(super) down: usize,
}

/// The columns of one remainder.
struct Phase {
    /// The place of the first that lies inside the image, and its column there.
    to: usize,
    from: usize,
    count: usize,
}

impl Layout {
    pub(super) fn new(shape: &Shape) -> Self {
        let reach = |axis: usize, outputs: usize| {
            (outputs - 1) * shape.stride[axis] + (shape.kernel[axis] - 1) * shape.dilation[axis] + 1
        };
        let (rows, stride) = (reach(0, shape.out_height), shape.stride[1]);
        let len = reach(1, shape.out_width).div_ceil(stride);
        let phase = |phase: usize| {
            let to = shape.left.saturating_sub(phase).div_ceil(stride).min(len);
            let end = (shape.width + shape.left).saturating_sub(phase).div_ceil(stride).clamp(to, len);
            Phase { to, from: (phase + to * stride).saturating_sub(shape.left), count: end - to }
        };
        let tap = |tap: usize| {
            let row = tap / shape.kernel[1] * shape.dilation[0];
            let column = tap % shape.kernel[1] * shape.dilation[1];
            (row * stride + column % stride) * len + column / stride
        };
        Self {
            rows,
            len,
            phases: (0..stride).map(phase).collect(),
            taps: (0..shape.taps()).map(tap).collect(),
            down: shape.stride[0] * stride * len,
        }
    }

    /// Values of a plane.
    fn size(&self) -> usize {
        self.rows * self.phases.len() * self.len
    }

    /// Room for some planes, all zero; vectors may read beyond the end of the last row.
    pub(super) fn room<'a, V: Lanes>(&self, buffer: &'a mut Buffer, planes: usize) -> &'a mut [f32] {
        let total = planes * self.size() + 4 * V::N;
        let values = &mut buffer.take(total)[..total];
        values.fill(0.0);
        values
    }

    /// Copies a plane to its place in the room; the padding stays as it is.
    #[inline(always)]
    pub(super) unsafe fn fill<V: Lanes>(&self, x: &[f32], shape: &Shape, room: &mut [f32]) {
        let stride = self.phases.len();
        let rows = shape.height.min(self.rows.saturating_sub(shape.top));
        assert!(x.len() >= rows * shape.width && room.len() >= self.size());
        for (index, phase) in self.phases.iter().enumerate().filter(|(_, phase)| phase.count > 0) {
            debug_assert!(phase.from + (phase.count - 1) * stride < shape.width);
            for y in 0..rows {
                // SAFETY: the last value read and the last written lie inside their rows.
                unsafe {
                    let from = x.as_ptr().add(y * shape.width + phase.from);
                    let line = (shape.top + y) * stride + index;
                    copy::<V>(from, stride, room.as_mut_ptr().add(line * self.len + phase.to), phase.count);
                }
            }
        }
    }
}

/// A forward pass, of which [`planes_forward`] computes some planes.
pub(super) struct Forward<'a> {
    pub(super) x: &'a [f32],
    pub(super) weight: &'a [f32],
    pub(super) after: After<'a>,
    pub(super) shape: &'a Shape,
    pub(super) out: Place,
    /// Values from one plane of outputs to the next.
    pub(super) plane: usize,
}

versions! {
    /// The outputs of some planes.
    ///
    /// # Safety
    ///
    /// The output must be valid for them, and nobody else may touch it meanwhile.
    pub(super) unsafe fn planes_forward(job: &Forward, planes: Range<usize>, scratch: &mut Scratch) = planes_forward_in
}

#[inline(always)]
unsafe fn planes_forward_in<V: Lanes>(job: &Forward, planes: Range<usize>, scratch: &mut Scratch) {
    if V::MASKED && direct::knows(job.shape) {
        // SAFETY: the caller's promise.
        return unsafe { planes_direct::<V>(job, planes) };
    }
    let (shape, layout, taps) = (job.shape, &Layout::new(job.shape), job.shape.taps());
    let size = layout.size();
    // Several planes at a time: what was just written cannot be read well yet.
    let together = (TOGETHER / size).clamp(1, planes.len().max(1));
    let room = layout.room::<V>(&mut scratch.plane, together);
    for first in planes.clone().step_by(together) {
        let some = first..(first + together).min(planes.end);
        for (plane, room) in some.clone().zip(room.chunks_exact_mut(size)) {
            // SAFETY: the room holds as many planes.
            unsafe {
                layout.fill::<V>(&job.x[plane * shape.in_pixels()..][..shape.in_pixels()], shape, room)
            };
        }
        for plane in some {
            let channel = plane % shape.channels;
            let room = room[(plane - first) * size..].as_ptr();
            let sums = Sums {
                weight: &job.weight[channel * taps..][..taps],
                scale: job.after.scale.map_or(1.0, |scale| scale[channel]),
                start: job.after.bias.map_or(0.0, |bias| bias[channel]),
                activation: job.after.activation,
            };
            // SAFETY: the room holds all that the outputs see; the rest is the caller's promise.
            unsafe {
                let out = job.out.get().add(plane * job.plane);
                match taps {
                    9 => {
                        by_activation!(sums.activation, A => rows::<V, 9, A>(shape, layout, room, &sums, out))
                    }
                    25 => {
                        by_activation!(sums.activation, A => rows::<V, 25, A>(shape, layout, room, &sums, out))
                    }
                    _ => {
                        for y in 0..shape.out_height {
                            let (values, out) = (room.add(y * layout.down), out.add(y * shape.out_width));
                            sums.run::<V>(&layout.taps, values, out, shape.out_width);
                        }
                    }
                }
            }
        }
    }
}

/// The outputs of some planes by a kernel that [`direct`] knows.
#[inline(always)]
unsafe fn planes_direct<V: Lanes>(job: &Forward, planes: Range<usize>) {
    let shape = job.shape;
    // SAFETY: each plane is one of the shape's; the rest is the caller's promise.
    unsafe {
        let windows = direct::windows::<V>(shape);
        for plane in planes {
            let x = &job.x[plane * shape.in_pixels()..][..shape.in_pixels()];
            let channel = plane % shape.channels;
            let kernel = direct::Kernel::<V>::new(&job.weight[channel * 9..][..9], &job.after, channel);
            let out = job.out.get().add(plane * job.plane);
            by_activation!(job.after.activation, A => if shape.stride == [1, 1] {
                direct::plane::<V, 1, A>(x, shape, &windows, &kernel, out);
            } else {
                direct::plane::<V, 2, A>(x, shape, &windows, &kernel, out);
            });
        }
    }
}

/// Rows of outputs that are summed side by side: as many sums don't wait for each other.
const ABREAST: usize = 4;

/// The outputs of a plane by a kernel of `T` taps, whose weights stay in registers, after the activation of number
/// `A`.
#[inline(always)]
unsafe fn rows<V: Lanes, const T: usize, const A: usize>(
    shape: &Shape,
    layout: &Layout,
    values: *const f32,
    sums: &Sums,
    out: *mut f32,
) {
    // SAFETY: the caller's promise; there are `T` taps.
    unsafe {
        let mut weights = [V::splat(0.0); T];
        let mut offsets = [0; T];
        for tap in 0..T {
            weights[tap] = V::splat(sums.weight[tap] * sums.scale);
            offsets[tap] = layout.taps[tap];
        }
        let band =
            Band { weights, offsets, down: layout.down, start: V::splat(sums.start), width: shape.out_width };
        // Three taps a row, and each row of outputs sees two rows of the one above.
        let dense = shape.kernel == [3, 3] && shape.stride == [1, 1] && shape.dilation[0] == 1;
        let mut y = 0;
        while y < shape.out_height {
            let (values, out) = (values.add(y * layout.down), out.add(y * shape.out_width));
            if shape.out_height - y < ABREAST {
                band.run::<1, A>(values, out, false);
                y += 1;
            } else {
                band.run::<ABREAST, A>(values, out, dense);
                y += ABREAST;
            }
        }
    }
}

/// What the rows of a plane share.
struct Band<V, const T: usize> {
    weights: [V; T],
    offsets: [usize; T],
    /// Values from one row of outputs to the next.
    down: usize,
    start: V,
    /// Outputs of a row.
    width: usize,
}

impl<V: Lanes, const T: usize> Band<V, T> {
    /// `R` rows of outputs.
    #[inline(always)]
    unsafe fn run<const R: usize, const A: usize>(&self, values: *const f32, out: *mut f32, dense: bool) {
        let mut at = 0;
        while at < self.width {
            // SAFETY: the caller's promise; vectors may read beyond the end of a row.
            unsafe {
                let values = values.add(at);
                let sums = if dense { self.dense::<R>(values) } else { self.spread::<R>(values) };
                let left = self.width - at;
                for (row, sum) in sums.into_iter().enumerate() {
                    let (sum, out) = (Activation::of(A).apply(sum), out.add(row * self.width + at));
                    if left >= V::N { sum.store(out) } else { sum.store_part(out, left) }
                }
            }
            at += V::N;
        }
    }

    /// A vector of each of `R` rows.
    #[inline(always)]
    // Loops over indices with constant ends unroll whole, and only then do the sums stay in registers.
    #[allow(clippy::needless_range_loop)]
    unsafe fn spread<const R: usize>(&self, values: *const f32) -> [V; R] {
        let mut sums = [self.start; R];
        for tap in 0..T {
            for row in 0..R {
                // SAFETY: the caller's promise.
                unsafe {
                    let value = V::load(values.add(row * self.down + self.offsets[tap]));
                    sums[row] = self.weights[tap].fma(value, sums[row]);
                }
            }
        }
        sums
    }

    /// The same of three rows of three taps with a stride of one: what several rows see is read once.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // as above
    unsafe fn dense<const R: usize>(&self, values: *const f32) -> [V; R] {
        let mut sums = [self.start; R];
        for line in 0..R + 2 {
            for column in 0..3 {
                // SAFETY: the caller's promise.
                unsafe {
                    let value = V::load(values.add(line * self.down + self.offsets[column]));
                    for row in 0..R {
                        if row <= line && line < row + 3 {
                            sums[row] = self.weights[(line - row) * 3 + column].fma(value, sums[row]);
                        }
                    }
                }
            }
        }
        sums
    }
}

/// `activation(start + sum of scale * weight * value over the taps)`.
pub(super) struct Sums<'a> {
    pub(super) weight: &'a [f32],
    pub(super) scale: f32,
    pub(super) start: f32,
    pub(super) activation: Activation,
}

impl Sums<'_> {
    /// The sums of values from `values` on, each tap with its own offset, for `len` outputs.
    #[inline(always)]
    pub(super) unsafe fn run<V: Lanes>(&self, taps: &[usize], values: *const f32, out: *mut f32, len: usize) {
        let mut at = 0;
        // SAFETY: the caller vouches for `len` values, and for readable ones up to the next vector.
        unsafe {
            // Four vectors at once share the taps' weights; what is left goes one by one.
            while at + 4 * V::N <= len {
                let sums = self.vectors::<V, 4>(taps, values.add(at));
                for (index, sum) in sums.into_iter().enumerate() {
                    sum.store(out.add(at + index * V::N));
                }
                at += 4 * V::N;
            }
            while at < len {
                let [sum] = self.vectors::<V, 1>(taps, values.add(at));
                if at + V::N <= len {
                    sum.store(out.add(at))
                } else {
                    sum.store_part(out.add(at), len - at)
                }
                at += V::N;
            }
        }
    }

    /// `K` vectors of [`run`](Self::run).
    #[inline(always)]
    unsafe fn vectors<V: Lanes, const K: usize>(&self, taps: &[usize], values: *const f32) -> [V; K] {
        // SAFETY: the caller vouches for the values.
        unsafe {
            let mut sums = [V::splat(self.start); K];
            for (&tap, &weight) in taps.iter().zip(self.weight) {
                let (from, weight) = (values.add(tap), V::splat(weight * self.scale));
                for (index, sum) in sums.iter_mut().enumerate() {
                    *sum = weight.fma(V::load(from.add(index * V::N)), *sum);
                }
            }
            for sum in &mut sums {
                *sum = self.activation.apply(*sum);
            }
            sums
        }
    }
}
