//! Batch normalisation and what is left of it when frozen, with the activation in the same pass.

use rayon::prelude::*;

use super::alone::share_out_parts;
use super::finish::by_activation;
use super::simd::{Lanes, level, versions};
use super::vector::{Place, map, reduce, reduce_with};
use crate::geometry::Activation;

/// Values that make a task.
const TASK: usize = 65_536;

/// `[images, channels, pixels]`.
#[derive(Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) images: usize,
    pub(crate) channels: usize,
    pub(crate) pixels: usize,
}

impl Batch {
    fn tasks(&self) -> usize {
        (TASK / (self.images * self.pixels).max(1)).max(1)
    }

    /// Where the planes of a channel start.
    fn planes(&self, channel: usize) -> impl Iterator<Item = usize> {
        let Self { images, channels, pixels } = *self;
        (0..images).map(move |image| (image * channels + channel) * pixels)
    }
}

/// Per channel: `activation(x * scale + shift)`.
#[derive(Clone, Copy)]
pub(crate) struct Affine {
    pub(crate) scale: f32,
    pub(crate) shift: f32,
    pub(crate) activation: Activation,
}

impl Affine {
    /// `activation((x - mean) / deviation * gamma + beta)`.
    pub(crate) fn normalizing(
        gamma: f32,
        beta: f32,
        mean: f32,
        variance: f32,
        epsilon: f64,
        activation: Activation,
    ) -> Self {
        let scale = gamma * inverse(variance, epsilon);
        Self { scale, shift: beta - mean * scale, activation }
    }
}

/// One over the standard deviation.
fn inverse(variance: f32, epsilon: f64) -> f32 {
    (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32
}

/// Applies to each channel the map that its own mean and biased variance make, and gives these; writes `[images, channels,
/// pixels]` to `out`, a channel while it is in the cache.
///
/// # Safety
///
/// `out` must be valid for as many values as `x`.
pub(crate) unsafe fn normalize(
    x: &[f32],
    batch: &Batch,
    map: &(impl Fn(usize, f32, f32) -> Affine + Sync),
    out: *mut f32,
) -> (Vec<f32>, Vec<f32>) {
    let (level, out) = (level(), Place::new(out));
    (0..batch.channels)
        .into_par_iter()
        .with_min_len(batch.tasks())
        .map(|channel| {
            let mut moments = (0.0, 0.0);
            // SAFETY: the level is this processor's; each task has its own channel of the output.
            unsafe {
                channel_moments(level, x, batch, channel, &mut moments);
                let affine = map(channel, moments.0, moments.1);
                for at in batch.planes(channel) {
                    plane_affine(level, &x[at..at + batch.pixels], &affine, out.get().add(at));
                }
            }
            moments
        })
        .unzip()
}

versions! {
    unsafe fn channel_moments(x: &[f32], batch: &Batch, channel: usize, moments: &mut (f32, f32)) = channel_moments_in
}

/// In two passes, the second of which finds the channel in the cache: exact where the mean is large.
#[inline(always)]
unsafe fn channel_moments_in<V: Lanes>(x: &[f32], batch: &Batch, channel: usize, moments: &mut (f32, f32)) {
    let count = (batch.images * batch.pixels) as f64;
    let (mut sum, mut squares) = (0.0f64, 0.0f64);
    // SAFETY: the processor knows `V`.
    unsafe {
        for at in batch.planes(channel) {
            let plane = &x[at..at + batch.pixels];
            sum += reduce::<V>(plane, plane, |value, _| value);
        }
        let mean = (sum / count) as f32;
        let center = V::splat(mean);
        for at in batch.planes(channel) {
            let plane = &x[at..at + batch.pixels];
            squares += reduce::<V>(plane, plane, |value, _| {
                let off = value.sub(center);
                off.mul(off)
            });
        }
        *moments = (mean, ((squares / count) as f32).max(0.0));
    }
}

/// Applies each channel's map, writing `[images, channels, pixels]` to `out`.
///
/// # Safety
///
/// `out` must be valid for as many values as `x`.
pub(crate) unsafe fn affine(
    x: &[f32],
    batch: &Batch,
    maps: &(impl Fn(usize) -> Affine + Sync),
    out: *mut f32,
) {
    let (level, out) = (level(), Place::new(out));
    let planes = batch.images * batch.channels;
    share_out_parts(planes, TASK / batch.pixels.max(1), |planes| {
        for plane in planes {
            let x = &x[plane * batch.pixels..][..batch.pixels];
            // SAFETY: each task has its own planes.
            unsafe {
                plane_affine(level, x, &maps(plane % batch.channels), out.get().add(plane * batch.pixels));
            }
        }
    });
}

versions! {
    unsafe fn plane_affine(x: &[f32], map: &Affine, out: *mut f32) = plane_affine_in
}

#[inline(always)]
unsafe fn plane_affine_in<V: Lanes>(x: &[f32], affine: &Affine, out: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let (scale, shift) = (V::splat(affine.scale), V::splat(affine.shift));
        by_activation!(affine.activation, A => {
            map::<V>(x.as_ptr(), x, out, |x, _| Activation::of(A).apply(x.fma(scale, shift)));
        });
    }
}

/// What a batch normalisation keeps for its gradient.
pub(crate) struct Normalized<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: &'a [f32],
    pub(crate) mean: &'a [f32],
    pub(crate) variance: &'a [f32],
    pub(crate) epsilon: f64,
    pub(crate) activation: Activation,
}

impl Normalized<'_> {
    fn inverse(&self, channel: usize) -> f32 {
        inverse(self.variance[channel], self.epsilon)
    }

    /// What the channel went through.
    fn affine(&self, channel: usize) -> Affine {
        let (gamma, beta) = (self.gamma[channel], self.beta[channel]);
        let (mean, variance) = (self.mean[channel], self.variance[channel]);
        Affine::normalizing(gamma, beta, mean, variance, self.epsilon, self.activation)
    }
}

/// The gradients of the input (written to `out`), of gamma and of beta.
///
/// # Safety
///
/// `out` must be valid for as many values as the input.
pub(crate) unsafe fn normalized_backward(
    forward: &Normalized,
    gradient: &[f32],
    batch: &Batch,
    out: *mut f32,
) -> (Vec<f32>, Vec<f32>) {
    let (level, out) = (level(), Place::new(out));
    (0..batch.channels)
        .into_par_iter()
        .with_min_len(batch.tasks())
        .map(|channel| {
            let affine = forward.affine(channel);
            let (mean, inverse) = (f64::from(forward.mean[channel]), f64::from(forward.inverse(channel)));
            let mut sums = (0.0, 0.0);
            // SAFETY: each task has its own channel of the output.
            unsafe {
                gradient_sums(level, forward.x, gradient, batch, channel, &affine, &mut sums);
                // The sum of gradient * (x - mean).
                let centered = sums.1 - mean * sums.0;
                let count = (batch.images * batch.pixels) as f64;
                let scale = f64::from(affine.scale);
                let slope = -scale * inverse * inverse * centered / count;
                let back = Back {
                    gradient: affine.scale,
                    x: slope as f32,
                    constant: (-scale * sums.0 / count - slope * mean) as f32,
                };
                input_gradient(level, forward.x, gradient, batch, channel, &affine, &back, out.get());
                ((centered * inverse) as f32, sums.0 as f32)
            }
        })
        .unzip()
}

/// `gradient * inner gradient + x * x + constant`.
struct Back {
    gradient: f32,
    x: f32,
    constant: f32,
}

versions! {
    /// The sums of the gradient before the activation, and of its product with `x`.
    unsafe fn gradient_sums(
        x: &[f32], gradient: &[f32], batch: &Batch, channel: usize, affine: &Affine, sums: &mut (f64, f64),
    ) = gradient_sums_in
}

#[inline(always)]
unsafe fn gradient_sums_in<V: Lanes>(
    x: &[f32],
    gradient: &[f32],
    batch: &Batch,
    channel: usize,
    affine: &Affine,
    sums: &mut (f64, f64),
) {
    // SAFETY: the processor knows `V`.
    unsafe {
        by_activation!(affine.activation, A => {
            gradient_sums_after::<V, A>(x, gradient, batch, channel, affine, sums);
        });
    }
}

#[inline(always)]
unsafe fn gradient_sums_after<V: Lanes, const A: usize>(
    x: &[f32],
    gradient: &[f32],
    batch: &Batch,
    channel: usize,
    affine: &Affine,
    sums: &mut (f64, f64),
) {
    // SAFETY: the processor knows `V`.
    unsafe {
        for at in batch.planes(channel) {
            let (x, gradient) = (&x[at..at + batch.pixels], &gradient[at..at + batch.pixels]);
            let inner = Inner::<V, A>::new(affine);
            let (sum, product) = reduce_with::<V>(x, gradient, |x, gradient| inner.gradient(gradient, x));
            sums.0 += sum;
            sums.1 += product;
        }
    }
}

/// The gradient before the activation of number `A`.
struct Inner<V, const A: usize> {
    scale: V,
    shift: V,
}

impl<V: Lanes, const A: usize> Inner<V, A> {
    #[inline(always)]
    unsafe fn new(affine: &Affine) -> Self {
        // SAFETY: the processor knows `V`.
        unsafe { Self { scale: V::splat(affine.scale), shift: V::splat(affine.shift) } }
    }

    #[inline(always)]
    fn gradient(&self, gradient: V, x: V) -> V {
        // SAFETY: the processor knows `V`, or `new` was wrong already.
        unsafe { Activation::of(A).back(gradient, x.fma(self.scale, self.shift)) }
    }
}

versions! {
    unsafe fn input_gradient(
        x: &[f32], gradient: &[f32], batch: &Batch, channel: usize, affine: &Affine, back: &Back, out: *mut f32,
    ) = input_gradient_in
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn input_gradient_in<V: Lanes>(
    x: &[f32],
    gradient: &[f32],
    batch: &Batch,
    channel: usize,
    affine: &Affine,
    back: &Back,
    out: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        by_activation!(affine.activation, A => {
            input_gradient_after::<V, A>(x, gradient, batch, channel, affine, back, out);
        });
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn input_gradient_after<V: Lanes, const A: usize>(
    x: &[f32],
    gradient: &[f32],
    batch: &Batch,
    channel: usize,
    affine: &Affine,
    back: &Back,
    out: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let inner = Inner::<V, A>::new(affine);
        let (scale, slope, constant) = (V::splat(back.gradient), V::splat(back.x), V::splat(back.constant));
        for at in batch.planes(channel) {
            let (x, gradient) = (&x[at..at + batch.pixels], &gradient[at..at + batch.pixels]);
            map::<V>(x.as_ptr(), gradient, out.add(at), |x, gradient| {
                inner.gradient(gradient, x).fma(scale, x.fma(slope, constant))
            });
        }
    }
}

/// The gradients of the input of [`affine`] (written to `out`), of the scales and of the shifts.
///
/// # Safety
///
/// `out` must be valid for as many values as the input.
pub(crate) unsafe fn affine_backward(
    x: &[f32],
    gradient: &[f32],
    batch: &Batch,
    maps: &(impl Fn(usize) -> Affine + Sync),
    out: *mut f32,
) -> (Vec<f32>, Vec<f32>) {
    let (level, out) = (level(), Place::new(out));
    (0..batch.channels)
        .into_par_iter()
        .with_min_len(batch.tasks())
        .map(|channel| {
            let affine = maps(channel);
            let back = Back { gradient: affine.scale, x: 0.0, constant: 0.0 };
            let mut sums = (0.0, 0.0);
            // SAFETY: each task has its own channel of the output.
            unsafe {
                gradient_sums(level, x, gradient, batch, channel, &affine, &mut sums);
                input_gradient(level, x, gradient, batch, channel, &affine, &back, out.get());
            }
            (sums.1 as f32, sums.0 as f32)
        })
        .unzip()
}

/// The sum of each channel.
pub(crate) fn channel_sums(values: &[f32], batch: &Batch) -> Vec<f32> {
    let level = level();
    (0..batch.channels)
        .into_par_iter()
        .with_min_len(batch.tasks())
        .map(|channel| {
            let mut sum = 0.0;
            // SAFETY: the level is this processor's.
            unsafe { channel_sum(level, values, batch, channel, &mut sum) };
            sum as f32
        })
        .collect()
}

versions! {
    unsafe fn channel_sum(values: &[f32], batch: &Batch, channel: usize, sum: &mut f64) = channel_sum_in
}

#[inline(always)]
unsafe fn channel_sum_in<V: Lanes>(values: &[f32], batch: &Batch, channel: usize, sum: &mut f64) {
    for at in batch.planes(channel) {
        let plane = &values[at..at + batch.pixels];
        // SAFETY: the processor knows `V`.
        *sum += unsafe { reduce::<V>(plane, plane, |value, _| value) };
    }
}

/// Makes the gradient zero but where `low < output < high`; there are as many outputs.
pub(crate) fn mask(gradient: &mut [f32], output: &[f32], bounds: (f32, f32)) {
    let level = level();
    gradient.par_chunks_mut(TASK).zip(output.par_chunks(TASK)).for_each(|(gradient, output)| {
        // SAFETY: the level is this processor's.
        unsafe { mask_part(level, gradient, output, bounds) };
    });
}

versions! {
    unsafe fn mask_part(gradient: &mut [f32], output: &[f32], bounds: (f32, f32)) = mask_part_in
}

#[inline(always)]
unsafe fn mask_part_in<V: Lanes>(gradient: &mut [f32], output: &[f32], (low, high): (f32, f32)) {
    let output = &output[..gradient.len()];
    let gradient = gradient.as_mut_ptr();
    // SAFETY: `gradient` has as many values as `output`.
    unsafe {
        let (low, high) = (V::splat(low), V::splat(high));
        map::<V>(gradient, output, gradient, |gradient, output| gradient.keep_inside(output, low, high));
    }
}
