//! Depthwise convolutions of 3 x 3 straight from the image: masks, and no copy, make the padding.

use super::gemm::After;
use super::simd::Lanes;
use crate::cpu::shape::Shape;
use crate::geometry::Activation;

/// Rows of outputs that are summed side by side: as many sums don't wait for each other, and what several see is read
/// once.
const ABREAST: usize = 4;

/// Whether [`plane`] knows such convolutions.
pub(super) fn knows(shape: &Shape) -> bool {
    shape.kernel == [3, 3] && shape.dilation == [1, 1] && matches!(shape.stride, [1, 1] | [2, 2])
}

/// What a vector of outputs sees of a row of the image.
pub(super) struct Window<V: Lanes> {
    /// The first output's column, and that of its first tap, which may lie left of the image.
    to: usize,
    from: isize,
    /// With a stride of one, of each tap, and of the third again, the lanes that lie inside the image; with two those of
    /// the values from the first tap on, twice as many as there are outputs, and of as many from the third tap on.
    masks: [V::Mask; 4],
    /// Whether all of them do.
    whole: bool,
}

/// The windows of a row of outputs.
///
/// # Safety
///
/// The processor must know `V`.
#[inline(always)]
pub(super) unsafe fn windows<V: Lanes>(shape: &Shape) -> Vec<Window<V>> {
    let (stride, lanes) = (shape.stride[1], V::N as isize);
    let mut windows = Vec::with_capacity(shape.out_width.div_ceil(V::N));
    for to in (0..shape.out_width).step_by(V::N) {
        let from = (to * stride) as isize - shape.left as isize;
        let starts = if stride == 1 { [0, 1, 2, 2] } else { [0, lanes, 2, lanes + 2] };
        let [a, b, c, d] = starts.map(|at| inside(from + at, shape.width, V::N));
        // SAFETY: the caller's promise.
        let masks = unsafe { [V::mask(a), V::mask(b), V::mask(c), V::mask(d)] };
        let all = (1 << V::N) - 1;
        windows.push(Window { to, from, masks, whole: [a, b, c, d] == [all; 4] });
    }
    windows
}

/// The lanes, a bit each, of a vector from column `from` on that lie in `0..width`.
fn inside(from: isize, width: usize, lanes: usize) -> u32 {
    let low = (-from).clamp(0, lanes as isize);
    let high = (width as isize - from).clamp(low, lanes as isize);
    (1 << high) - (1 << low)
}

/// A channel's kernel and what follows the sum, in registers.
pub(super) struct Kernel<V> {
    weights: [V; 9],
    start: V,
}

impl<V: Lanes> Kernel<V> {
    /// # Safety
    ///
    /// The processor must know `V`.
    #[inline(always)]
    pub(super) unsafe fn new(weight: &[f32], after: &After, channel: usize) -> Self {
        let scale = after.scale.map_or(1.0, |scale| scale[channel]);
        // SAFETY: the caller's promise: the processor knows `V`.
        unsafe {
            let mut weights = [V::splat(0.0); 9];
            for tap in 0..9 {
                weights[tap] = V::splat(weight[tap] * scale);
            }
            Self { weights, start: V::splat(after.bias.map_or(0.0, |bias| bias[channel])) }
        }
    }
}

/// The outputs of a plane `x`, after the activation of number `A`, with a stride of `S`.
///
/// # Safety
///
/// The processor must know `V`; `x` must be a plane of the shape's, `windows` the shape's, `S` its stride, and `out` valid
/// for its outputs.
#[inline(always)]
pub(super) unsafe fn plane<V: Lanes, const S: usize, const A: usize>(
    x: &[f32],
    shape: &Shape,
    windows: &[Window<V>],
    kernel: &Kernel<V>,
    out: *mut f32,
) {
    assert!(x.len() >= shape.in_pixels());
    let height = shape.out_height;
    // SAFETY: the caller's promise.
    unsafe {
        if height < ABREAST {
            for y in 0..height {
                rows::<V, 1, S, A>(x, y, shape, windows, kernel, out);
            }
            return;
        }
        for y in (0..height).step_by(ABREAST) {
            // The last rows are as many as the others: some are made again.
            rows::<V, ABREAST, S, A>(x, y.min(height - ABREAST), shape, windows, kernel, out);
        }
    }
}

/// `R` rows of outputs from row `y` on. Whole vectors are stored, and reach into the next row: so the last of a row goes
/// first, and what it spoils is written after it.
#[inline(always)]
unsafe fn rows<V: Lanes, const R: usize, const S: usize, const A: usize>(
    x: &[f32],
    y: usize,
    shape: &Shape,
    windows: &[Window<V>],
    kernel: &Kernel<V>,
    out: *mut f32,
) {
    for window in windows.iter().rev() {
        // SAFETY: the masks let nothing be read but what lies inside a row of the image; the outputs are the caller's
        // promise.
        unsafe {
            let sums = if window.whole {
                sums::<V, R, S, true>(x, y, shape, window, kernel)
            } else {
                sums::<V, R, S, false>(x, y, shape, window, kernel)
            };
            for (row, sum) in sums.into_iter().enumerate() {
                let sum = Activation::of(A).apply(sum);
                let at = (y + row) * shape.out_width + window.to;
                if at + V::N <= shape.out_pixels() {
                    sum.store(out.add(at));
                } else {
                    sum.store_part(out.add(at), shape.out_width - window.to);
                }
            }
        }
    }
}

/// A vector of each of `R` rows of outputs; with no mask where the window is whole, for a masked load is slow on some
/// processors.
#[inline(always)]
// Loops over indices with constant ends unroll whole, and only then do the sums stay in registers.
#[allow(clippy::needless_range_loop)]
unsafe fn sums<V: Lanes, const R: usize, const S: usize, const WHOLE: bool>(
    x: &[f32],
    y: usize,
    shape: &Shape,
    window: &Window<V>,
    kernel: &Kernel<V>,
) -> [V; R] {
    let [first, second, third, fourth] = window.masks;
    let mut sums = [kernel.start; R];
    for line in 0..(R - 1) * S + 3 {
        let row = (y * S + line).wrapping_sub(shape.top);
        if row >= shape.height {
            continue;
        }
        let from = x.as_ptr().wrapping_add(row * shape.width).wrapping_offset(window.from);
        // SAFETY: the masks are those of the row.
        let values = unsafe {
            if S == 1 && WHOLE {
                [V::load(from), V::load(from.add(1)), V::load(from.add(2))]
            } else if S == 1 {
                [
                    V::load_where(from, first),
                    V::load_where(from.wrapping_add(1), second),
                    V::load_where(from.wrapping_add(2), third),
                ]
            } else if WHOLE {
                let [even, odd] = V::load_pairs(from);
                [even, odd, V::load_pairs(from.add(2))[0]]
            } else {
                let [even, odd] = V::load_pairs_where(from, [first, second]);
                [even, odd, V::load_pairs_where(from.wrapping_add(2), [third, fourth])[0]]
            }
        };
        for row in 0..R {
            if S * row <= line && line < S * row + 3 {
                for column in 0..3 {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let weight = kernel.weights[(line - S * row) * 3 + column];
                        sums[row] = weight.fma(values[column], sums[row]);
                    }
                }
            }
        }
    }
    sums
}
