//! What is done to a number before it is stored: the activations, a vector at a time.

use super::simd::Lanes;
use crate::geometry::Activation;

/// Runs an expression with the number of an activation as a constant: the choice is made outside of loops, and what
/// is inside them stays small enough to be inlined.
macro_rules! by_activation {
    ($activation:expr, $number:ident => $run:expr) => {
        match $activation {
            $crate::geometry::Activation::None => {
                const $number: usize = 0;
                $run
            }
            $crate::geometry::Activation::Relu => {
                const $number: usize = 1;
                $run
            }
            $crate::geometry::Activation::Relu6 => {
                const $number: usize = 2;
                $run
            }
            $crate::geometry::Activation::HardSigmoid => {
                const $number: usize = 3;
                $run
            }
            $crate::geometry::Activation::HardSwish => {
                const $number: usize = 4;
                $run
            }
        }
    };
}
pub(crate) use by_activation;

impl Activation {
    /// The activation of that number, as [`by_activation!`] counts them.
    #[inline(always)]
    pub(crate) const fn of(number: usize) -> Self {
        match number {
            0 => Self::None,
            1 => Self::Relu,
            2 => Self::Relu6,
            3 => Self::HardSigmoid,
            _ => Self::HardSwish,
        }
    }

    /// The activation of `x`.
    ///
    /// # Safety
    ///
    /// The processor must know `V`.
    #[inline(always)]
    pub(crate) unsafe fn apply<V: Lanes>(self, x: V) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Self::None => x,
                Self::Relu => x.max(V::splat(0.0)),
                Self::Relu6 => x.max(V::splat(0.0)).min(V::splat(6.0)),
                Self::HardSigmoid => gate(x),
                Self::HardSwish => x.mul(gate(x)),
            }
        }
    }

    /// The gradient before the activation of `x`, from the one after it.
    ///
    /// # Safety
    ///
    /// The processor must know `V`.
    #[inline(always)]
    pub(crate) unsafe fn back<V: Lanes>(self, gradient: V, x: V) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Self::None => gradient,
                Self::Relu => inside(gradient, x, 0.0, f32::INFINITY),
                Self::Relu6 => inside(gradient, x, 0.0, 6.0),
                Self::HardSigmoid => inside(gradient.mul(V::splat(1.0 / 6.0)), x, -3.0, 3.0),
                Self::HardSwish => {
                    let bend = inside(x.fma(V::splat(1.0 / 3.0), V::splat(0.5)), x, -3.0, 3.0f32.next_up());
                    gradient.mul(bend.add(inside(V::splat(1.0), x, 3.0, f32::INFINITY)))
                }
            }
        }
    }
}

/// The values where `low < x < high`, else zero.
#[inline(always)]
unsafe fn inside<V: Lanes>(values: V, x: V, low: f32, high: f32) -> V {
    // SAFETY: the caller's promise.
    unsafe { values.keep_inside(x, V::splat(low), V::splat(high)) }
}

/// `relu6(x + 3) / 6`.
#[inline(always)]
unsafe fn gate<V: Lanes>(x: V) -> V {
    // SAFETY: the caller's promise.
    unsafe { x.add(V::splat(3.0)).max(V::splat(0.0)).min(V::splat(6.0)).mul(V::splat(1.0 / 6.0)) }
}
