//! Two maps added, with the activation in the same pass.

use super::alone::share_out_parts;
use super::finish::by_activation;
use super::simd::{Lanes, level, versions};
use super::vector::{Place, map};
use crate::geometry::Activation;

/// Values that make a task.
const TASK: usize = 65_536;

/// Writes `activation(x + y)` to `out`, which may be the place of `x`.
///
/// # Safety
///
/// `x` and `out` must be valid for as many values as `y`.
pub(crate) unsafe fn add(x: *const f32, y: &[f32], activation: Activation, out: *mut f32) {
    let (level, x, out) = (level(), Place::new(x.cast_mut()), Place::new(out));
    share_out_parts(y.len(), TASK, |part| {
        let start = part.start;
        // SAFETY: each task has its own part; the level is this processor's.
        unsafe { add_part(level, x.get().add(start), &y[part], activation, out.get().add(start)) };
    });
}

versions! {
    unsafe fn add_part(x: *const f32, y: &[f32], activation: Activation, out: *mut f32) = add_part_in
}

#[inline(always)]
unsafe fn add_part_in<V: Lanes>(x: *const f32, y: &[f32], activation: Activation, out: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        by_activation!(activation, A => {
            map::<V>(x, y, out, |x, y| Activation::of(A).apply(x.add(y)));
        });
    }
}
