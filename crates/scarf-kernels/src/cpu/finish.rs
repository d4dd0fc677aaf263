//! What is done to a number before it is stored: the activations, a vector at a time.

use super::simd::Lanes;
use crate::geometry::Activation;

impl Activation {
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
            let inside = |values: V, low, high| values.keep_inside(x, V::splat(low), V::splat(high));
            match self {
                Self::None => gradient,
                Self::Relu => inside(gradient, 0.0, f32::INFINITY),
                Self::Relu6 => inside(gradient, 0.0, 6.0),
                Self::HardSigmoid => inside(gradient.mul(V::splat(1.0 / 6.0)), -3.0, 3.0),
                Self::HardSwish => {
                    let bend = inside(x.fma(V::splat(1.0 / 3.0), V::splat(0.5)), -3.0, 3.0f32.next_up());
                    gradient.mul(bend.add(inside(V::splat(1.0), 3.0, f32::INFINITY)))
                }
            }
        }
    }
}

/// `relu6(x + 3) / 6`.
#[inline(always)]
unsafe fn gate<V: Lanes>(x: V) -> V {
    // SAFETY: the caller's promise.
    unsafe { x.add(V::splat(3.0)).max(V::splat(0.0)).min(V::splat(6.0)).mul(V::splat(1.0 / 6.0)) }
}
