//! Products of rounded factors: what is multiplied is rounded to `bfloat16`, what is summed up stays `f32`.
//!
//! AVX-512 with BF16 multiplies two pairs of such factors a lane where it multiplies one pair of `f32`, in the same time, and
//! AMX many more. Elsewhere factors are rounded all the same, so that a result differs in the order of its sums alone.

use std::cell::Cell;

use super::scoped::scoped;
use super::simd::{Lanes, Level};

/// Steps of the sum in a tile of AMX: 16 pairs.
pub(super) const AMX_STEPS: usize = 32;

thread_local! {
    static ROUNDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread's products are of rounded factors.
pub(super) fn are_asked_for() -> bool {
    ROUNDED.get()
}

/// Runs `work`, whose products, where this thread asks for them, are of rounded factors or not.
pub(crate) fn with_rounded_factors<R>(rounded: bool, work: impl FnOnce() -> R) -> R {
    scoped(&ROUNDED, rounded, work)
}

/// What a product multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factors {
    /// `f32`.
    Single,
    /// `f32` that are `bfloat16`.
    Rounded,
    /// Pairs of `bfloat16`, those of two steps of the sum, in the place of an `f32`.
    Pairs,
    /// Such pairs, of the left factor row by row: what AMX multiplies.
    Amx,
}

impl Factors {
    /// What products of this thread multiply.
    pub(crate) fn of_thread(level: Level) -> Self {
        match ROUNDED.get() {
            false => Self::Single,
            true if level.has_amx() => Self::Amx,
            true if level.has_pairs() => Self::Pairs,
            true => Self::Rounded,
        }
    }

    pub(crate) fn are_pairs(self) -> bool {
        matches!(self, Self::Pairs | Self::Amx)
    }

    /// Steps of the sum that are multiplied at once.
    pub(crate) fn unit(self) -> usize {
        match self {
            Self::Single | Self::Rounded => 1,
            Self::Pairs => 2,
            Self::Amx => AMX_STEPS,
        }
    }

    /// Rows of a packed panel of the left factor: `steps`, of which pairs need half, or what AMX reads.
    pub(crate) fn left(self, steps: usize) -> usize {
        if self == Self::Amx { self.steps(steps) } else { steps }
    }

    /// Rows that there must be for a panel of the right one: what is rounded where it lies was twice as large before.
    pub(crate) fn room(self, steps: usize) -> usize {
        if self == Self::Amx { steps.next_multiple_of(AMX_STEPS) } else { steps }
    }

    /// How many steps of a tile `steps` of the sum are.
    pub(crate) fn steps(self, steps: usize) -> usize {
        match self {
            Self::Single | Self::Rounded => steps,
            Self::Pairs => steps.div_ceil(2),
            Self::Amx => steps.next_multiple_of(AMX_STEPS) / 2,
        }
    }

    /// Makes a packed panel `[steps, lanes]` what a product multiplies, where it lies.
    ///
    /// # Safety
    ///
    /// The panel must be there, and the processor must know `V`.
    #[inline(always)]
    pub(crate) unsafe fn prepare<V: Lanes>(self, panel: *mut f32, steps: usize, lanes: usize) {
        match self {
            Self::Single => {}
            Self::Rounded => {
                for at in 0..steps * lanes {
                    // SAFETY: inside the panel.
                    unsafe { *panel.add(at) = round(*panel.add(at)) };
                }
            }
            Self::Pairs | Self::Amx => {
                // SAFETY: inside the panel; a row of pairs lies before the rows that it is made of, or on the first.
                unsafe {
                    pair_rows::<V>(panel, lanes, steps, lanes, panel, lanes);
                    self.fill_up(panel, steps, lanes);
                }
            }
        }
    }

    /// Writes zeros behind the rows of pairs of so many steps, up to whole units.
    ///
    /// # Safety
    ///
    /// The panel must have [`room`](Self::room).
    #[inline(always)]
    pub(crate) unsafe fn fill_up(self, panel: *mut f32, steps: usize, lanes: usize) {
        if self.are_pairs() {
            let pairs = steps.div_ceil(2);
            // SAFETY: the caller's promise.
            unsafe { panel.add(pairs * lanes).write_bytes(0, (self.steps(steps) - pairs) * lanes) };
        }
    }
}

/// Makes rows of pairs of `steps` rows of `len` values.
///
/// # Safety
///
/// As [`Lanes::pair`].
#[inline(always)]
pub(super) unsafe fn pair_rows<V: Lanes>(
    from: *const f32,
    stride: usize,
    steps: usize,
    len: usize,
    to: *mut f32,
    to_stride: usize,
) {
    for pair in 0..steps.div_ceil(2) {
        // SAFETY: the caller's promise.
        unsafe {
            let first = from.add(2 * pair * stride);
            let second = (2 * pair + 1 < steps).then(|| first.add(stride));
            V::pair(first, second, len, to.add(pair * to_stride));
        }
    }
}

/// The nearest `bfloat16`, of two the even one.
#[inline(always)]
pub(super) fn round(value: f32) -> f32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    // No number stays none where its lower half is left out.
    f32::from_bits(if value.is_nan() { bits | 1 << 22 } else { rounded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_the_nearest_bfloat16() {
        for (value, rounded) in [
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (-1.0 - 1.1 / 256.0, -1.0 - 2.0 / 256.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ] {
            assert_eq!(round(value), rounded, "{value}");
        }
        assert!(round(f32::from_bits(0x7fff_ffff)).is_nan());
    }
}
