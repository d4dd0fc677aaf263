//! A dense convolution and the depthwise one after it, some rows and channels at a time: what lies between is read while
//! it is still in the second-level cache, and never written to memory.
//!
//! Of MobileNet's inverted residuals that is the widest part, six times what goes in and comes out.

use super::alone::{share_out, threads};
use super::columns::Columns;
use super::dense::{even_block, pack_whole};
use super::depthwise;
use super::gemm::{After, Output, Product, Right, Tile, product};
use super::left::{Left, Strided};
use super::rounded::Factors;
use super::scratch::{with_packed, with_scratch};
use super::simd::level;
use super::vector::Place;
use crate::cpu::shape::Shape;

/// Values of the input that a task goes over again and again, and as many at most between the two convolutions: both
/// stay in a second-level cache of a megabyte.
const NEAR: usize = 96 * 1024;

/// Input channels up to which memory takes longer than the products. With more the input is packed for each group of
/// channels anew, and the rows that two bands see are made twice, for less than that costs: two threads take .58 of the time of
/// the two apart from 32 to 64 channels of 256 x 256, 1.15 from 64 to 128 of 128 x 128.
const SHALLOW: usize = 32;

/// Values between the two from which they leave the second-level cache.
const FAR: usize = 512 * 1024;

/// A convolution of a pair.
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) after: After<'a>,
    pub(crate) shape: &'a Shape,
}

/// Whether [`forward`] is faster than the two apart, for a first of one group and a second that is depthwise.
pub(crate) fn pays(first: &Shape) -> bool {
    first.is_pointwise() && first.channels <= SHALLOW && first.out_channels * first.out_pixels() > FAR
}

/// Whether [`forward`] can be called for convolutions of these sizes.
pub(crate) fn fit(first: &Shape, second: &Shape) -> bool {
    // Of several taps AMX sums up two channels at once elsewhere.
    let in_order = first.taps() == 1 || !level().has_amx();
    first.groups == 1 && second.is_depthwise() && in_order
}

/// `second(first(x))`, each with what follows it, written to `out`: `[images, channels, out_pixels]` of the second. To
/// the bit what the two give one after the other.
///
/// # Safety
///
/// `out` must be valid for that many values; the first must be of one group, the second depthwise, of the first's result.
pub(crate) unsafe fn forward(x: &[f32], stages: [Stage; 2], out: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { forward_within(NEAR, x, stages, out) };
}

/// [`forward`] with so many values near.
unsafe fn forward_within(near: usize, x: &[f32], [first, second]: [Stage; 2], out: *mut f32) {
    let (level, shape, channels) = (level(), first.shape, first.shape.out_channels);
    let factors = Factors::of_thread(level);
    let depth = shape.channels * shape.taps();
    let (_, height, _) = level.tile(factors);
    let left = Strided {
        values: first.weight,
        start: 0,
        row: depth,
        outer: 0,
        inner: 1,
        inner_len: depth,
        pair_taps: 0,
        rows: channels,
    };
    let columns = Columns::new(x, shape.channels * shape.in_pixels(), shape);
    let bands = bands(near, shape, second.shape);
    // Whole panels of channels, and several tasks for each thread.
    let tasks = (3 * threads()).div_ceil(shape.images * bands.len());
    let part = channels.div_ceil(tasks).next_multiple_of(height);
    let parts = channels.div_ceil(part);
    let out = Place::new(out);
    with_packed(|buffer| {
        let packed = pack_whole(level, factors, &left, depth, buffer);
        let task = |task: usize| {
            let (image, rest) = (task / (bands.len() * parts), task % (bands.len() * parts));
            let (band, from) = (&bands[rest / parts], rest % parts * part);
            let taps = band.shape.taps();
            let each = (near / band.shape.in_pixels() / height).max(1) * height;
            let end = (from + part).min(channels);
            with_scratch(|scratch| {
                let mut room = std::mem::take(&mut scratch.between);
                for from in (from..end).step_by(each) {
                    let rows = from..(from + each).min(end);
                    let values = room.take(rows.len() * band.shape.in_pixels());
                    let begin = band.first * shape.out_width;
                    let product_here = Product {
                        left: Left::Packed(packed, depth),
                        right: Right::Columns(&columns),
                        output: Output {
                            // Rows are numbered through all channels, columns through all images.
                            start: values.as_mut_ptr().wrapping_sub(from * band.shape.in_pixels() + begin),
                            row: band.shape.in_pixels(),
                            image: 0,
                            width: shape.out_pixels(),
                        },
                        block: even_block(shape.channels, shape.taps(), factors),
                        factors,
                        after: first.after,
                    };
                    let begin = image * shape.out_pixels() + begin;
                    let tile = Tile {
                        rows: rows.clone(),
                        columns: begin..begin + band.shape.in_pixels(),
                        sum: 0..depth,
                    };
                    let plane = second.shape.out_pixels();
                    let offset = (image * channels + from) * plane + band.out_first * second.shape.out_width;
                    // SAFETY: the tile is what there is room for; each task has its own rows of its own planes of the
                    // output, which the caller vouches for.
                    unsafe {
                        product(level, &product_here, &tile, scratch);
                        let job = depthwise::Forward {
                            x: values,
                            weight: &second.weight[from * taps..],
                            after: second.after.rows(from..channels),
                            shape: &band.shape,
                            out: Place::new(out.get().add(offset)),
                            plane,
                        };
                        depthwise::planes_forward(level, &job, 0..rows.len(), scratch);
                    }
                }
                scratch.between = room;
            });
        };
        share_out(shape.images * bands.len() * parts, task);
    });
}

/// Some rows of the second convolution's output.
struct Band {
    /// The first row of what lies between that they see.
    first: usize,
    /// The first of the rows.
    out_first: usize,
    /// The second convolution as if these were all.
    shape: Shape,
}

/// Cuts the second convolution into bands of rows.
fn bands(near: usize, first: &Shape, second: &Shape) -> Vec<Band> {
    let count = (first.channels * first.in_pixels()).div_ceil(near).min(second.out_height);
    let each = second.out_height.div_ceil(count);
    let band = |out_first: usize| {
        let out_height = each.min(second.out_height - out_first);
        let reach = (out_height - 1) * second.stride[0] + (second.kernel[0] - 1) * second.dilation[0] + 1;
        // Counted from the first row of the padding.
        let above = out_first * second.stride[0];
        let begin = above.saturating_sub(second.top).min(second.height - 1);
        let end = (above + reach).saturating_sub(second.top).clamp(begin + 1, second.height);
        // Where they see padding alone, the one row that there must be lies below them.
        let top = (begin + second.top).checked_sub(above).unwrap_or(reach);
        let shape = Shape { height: end - begin, out_height, top, ..*second };
        Band { first: begin, out_first, shape }
    };
    (0..second.out_height).step_by(each).map(band).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::dense;
    use super::*;
    use crate::geometry::{Activation, ConvGeometry};

    fn numbers(len: usize) -> Vec<f32> {
        (0..len).map(|at| (at * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
    }

    fn filled(len: usize, write: impl FnOnce(*mut f32)) -> Vec<f32> {
        let mut values = vec![f32::NAN; len];
        write(values.as_mut_ptr());
        values
    }

    fn geometries() -> impl Strategy<Value = ConvGeometry> {
        let padding = [[0..4usize, 0..4usize], [0..4usize, 0..4usize]];
        ([1..4usize, 1..4usize], padding, [1..3usize, 1..3usize])
            .prop_map(|(stride, padding, dilation)| ConvGeometry { stride, padding, dilation, groups: 1 })
    }

    prop_compose! {
        /// A convolution of one group, and a depthwise one of its result; every second time one that is known best.
        fn pairs()(
            x in [1..4usize, 1..20usize, 1..30usize, 1..80usize],
            out in 1..70usize,
            kernels in [[1..4usize, 1..4usize], [1..6usize, 1..6usize]],
            geometries in [geometries(), geometries()],
            known in any::<bool>(),
        ) -> Option<[Shape; 2]> {
            let (mut kernels, mut geometries) = (kernels, geometries);
            if known {
                let stride = geometries[1].stride[0].min(2);
                (kernels[1], geometries[1].stride, geometries[1].dilation) = ([3, 3], [stride; 2], [1, 1]);
            }
            let first = Shape::new(x, [out, x[1], kernels[0][0], kernels[0][1]], &geometries[0])?;
            let between = [x[0], out, first.out_height, first.out_width];
            let second = ConvGeometry { groups: out, ..geometries[1] };
            Some([first, Shape::new(between, [out, 1, kernels[1][0], kernels[1][1]], &second)?])
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        /// To the bit one after the other, in however many bands.
        #[test]
        fn is_two(pair in pairs().prop_filter_map("kernels fit", |pair| pair), near in 16..8192usize, six in any::<bool>()) {
            let [first, second] = &pair;
            prop_assert!(fit(first, second));
            let x = numbers(first.images * first.channels * first.in_pixels());
            let weights = [first, second].map(|shape| numbers(shape.out_channels * shape.group_channels() * shape.taps()));
            let (scale, bias) = (numbers(first.out_channels), numbers(3 * first.out_channels));
            let activation = if six { Activation::Relu6 } else { Activation::HardSwish };
            let after = After { scale: Some(&scale), bias: Some(&bias[..first.out_channels]), activation };
            let stage = |at: usize| Stage { weight: &weights[at], after, shape: &pair[at] };
            let between = first.images * first.out_channels * first.out_pixels();
            let len = second.images * second.out_channels * second.out_pixels();
            // SAFETY: the buffers are as long as the results.
            let (ours, apart) = unsafe {
                let between = filled(between, |out| dense::forward(&x, &weights[0], after, first, out));
                (
                    filled(len, |out| forward_within(near, &x, [stage(0), stage(1)], out)),
                    filled(len, |out| depthwise::forward(&between, &weights[1], after, second, out)),
                )
            };
            prop_assert_eq!(ours, apart);
        }
    }
}
