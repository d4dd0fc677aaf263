//! A dense convolution and the depthwise one after it, some rows and channels at a time: what lies between is read while
//! it is still in the second-level cache, and never written to memory.
//!
//! Of MobileNet's inverted residuals that is the widest part, six times what goes in and comes out.

use rayon::prelude::*;

use super::columns::Columns;
use super::dense::{even_block, pack_whole};
use super::depthwise::{self, Layout};
use super::gemm::{After, Output, Product, Right, Tile, product};
use super::left::{Left, Strided};
use super::scratch::{with_packed, with_scratch};
use super::simd::level;
use super::vector::Place;
use crate::cpu::shape::Shape;

/// Values of the input that a task goes over again and again, and as many at most between the two convolutions: both
/// stay in a second-level cache of a megabyte.
const NEAR: usize = 96 * 1024;

/// A convolution of a pair.
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) after: After<'a>,
    pub(crate) shape: &'a Shape,
}

/// Whether [`forward`] can be called for convolutions of these sizes.
pub(crate) fn fit(first: &Shape, second: &Shape) -> bool {
    first.groups == 1 && second.is_depthwise()
}

/// `second(first(x))`, each with what follows it, written to `out`: `[images, channels, out_pixels]` of the second. To
/// the bit what the two give one after the other.
///
/// # Safety
///
/// `out` must be valid for that many values; the first must be of one group, the second depthwise, of the first's result.
pub(crate) unsafe fn forward(x: &[f32], [first, second]: [Stage; 2], out: *mut f32) {
    let (level, shape, channels) = (level(), first.shape, first.shape.out_channels);
    let depth = shape.channels * shape.taps();
    let (_, height, _) = level.tile();
    let left = Strided {
        values: first.weight,
        start: 0,
        row: depth,
        outer: 0,
        inner: 1,
        inner_len: depth,
        rows: channels,
    };
    let columns = Columns::new(x, shape.channels * shape.in_pixels(), shape);
    let bands = bands(shape, second.shape);
    // Whole panels of channels, and several tasks for each thread.
    let tasks = (3 * rayon::current_num_threads()).div_ceil(shape.images * bands.len());
    let part = channels.div_ceil(tasks).next_multiple_of(height);
    let parts = channels.div_ceil(part);
    let out = Place::new(out);
    with_packed(|buffer| {
        let packed = pack_whole(level, &left, depth, buffer);
        let task = |task: usize| {
            let (image, rest) = (task / (bands.len() * parts), task % (bands.len() * parts));
            let (band, from) = (&bands[rest / parts], rest % parts * part);
            let (layout, taps) = (Layout::new(&band.shape), band.shape.taps());
            let each = (NEAR / band.shape.in_pixels() / height).max(1) * height;
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
                        block: even_block(shape.channels, shape.taps()),
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
                            layout: &layout,
                            out: Place::new(out.get().add(offset)),
                            plane,
                        };
                        depthwise::planes_forward(level, &job, 0..rows.len(), scratch);
                    }
                }
                scratch.between = room;
            });
        };
        let tasks = shape.images * bands.len() * parts;
        (0..tasks).into_par_iter().with_max_len(1).for_each(task);
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
fn bands(first: &Shape, second: &Shape) -> Vec<Band> {
    let count = (first.channels * first.in_pixels()).div_ceil(NEAR).min(second.out_height);
    let each = second.out_height.div_ceil(count);
    let band = |out_first: usize| {
        let out_height = each.min(second.out_height - out_first);
        let reach = (out_height - 1) * second.stride[0] + (second.kernel[0] - 1) * second.dilation[0] + 1;
        // Counted from the first row of the padding.
        let above = out_first * second.stride[0];
        let begin = above.saturating_sub(second.top).min(second.height - 1);
        let end = (above + reach).saturating_sub(second.top).clamp(begin + 1, second.height);
        let shape = Shape {
            height: end - begin,
            out_height,
            top: (begin + second.top).saturating_sub(above),
            ..*second
        };
        Band { first: begin, out_first, shape }
    };
    (0..second.out_height).step_by(each).map(band).collect()
}
