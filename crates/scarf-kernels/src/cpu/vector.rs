//! Passes over slices, a vector at a time.

use super::simd::Lanes;

/// A place that tasks write disjoint parts of.
#[derive(Clone, Copy)]
pub(super) struct Place(*mut f32);

// SAFETY: tasks write disjoint parts.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Place {
    pub(super) fn new(start: *mut f32) -> Self {
        Self(start)
    }

    pub(super) fn get(self) -> *mut f32 {
        self.0
    }
}

/// The sum of `f` over pairs of values.
#[inline(always)]
pub(super) unsafe fn reduce<V: Lanes>(a: &[f32], b: &[f32], f: impl Fn(V, V) -> V) -> f64 {
    let len = a.len().min(b.len());
    // SAFETY: all reads lie inside the slices.
    unsafe {
        let (a, b) = (a.as_ptr(), b.as_ptr());
        let mut sums = [V::splat(0.0); 4];
        let mut at = 0;
        while at + 4 * V::N <= len {
            for (index, sum) in sums.iter_mut().enumerate() {
                let place = at + index * V::N;
                *sum = sum.add(f(V::load(a.add(place)), V::load(b.add(place))));
            }
            at += 4 * V::N;
        }
        while at + V::N <= len {
            sums[0] = sums[0].add(f(V::load(a.add(at)), V::load(b.add(at))));
            at += V::N;
        }
        if at < len {
            let rest = len - at;
            // What `f` makes of the zeros that fill the vector is left out.
            let mut last = [0.0f32; 16];
            f(V::load_part(a.add(at), rest), V::load_part(b.add(at), rest)).store(last.as_mut_ptr());
            sums[1] = sums[1].add(V::load_part(last.as_ptr(), rest));
        }
        f64::from(sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum())
    }
}

/// The sums of `f` over pairs of values, and of `f` times the first of the pair, in one pass.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // constant ends unroll whole
pub(super) unsafe fn reduce_with<V: Lanes>(a: &[f32], b: &[f32], f: impl Fn(V, V) -> V) -> (f64, f64) {
    let len = a.len().min(b.len());
    // SAFETY: all reads lie inside the slices.
    unsafe {
        let (a, b) = (a.as_ptr(), b.as_ptr());
        let (mut sums, mut products) = ([V::splat(0.0); 4], [V::splat(0.0); 4]);
        let mut at = 0;
        while at + 4 * V::N <= len {
            for index in 0..4 {
                let first = V::load(a.add(at + index * V::N));
                let value = f(first, V::load(b.add(at + index * V::N)));
                sums[index] = sums[index].add(value);
                products[index] = value.fma(first, products[index]);
            }
            at += 4 * V::N;
        }
        while at + V::N <= len {
            let first = V::load(a.add(at));
            let value = f(first, V::load(b.add(at)));
            sums[0] = sums[0].add(value);
            products[0] = value.fma(first, products[0]);
            at += V::N;
        }
        if at < len {
            let rest = len - at;
            let first = V::load_part(a.add(at), rest);
            let value = f(first, V::load_part(b.add(at), rest));
            // What `f` makes of the zeros that fill the vector is left out.
            let mut last = [0.0f32; 16];
            value.store(last.as_mut_ptr());
            let value = V::load_part(last.as_ptr(), rest);
            sums[1] = sums[1].add(value);
            products[1] = value.fma(first, products[1]);
        }
        let total = |parts: [V; 4]| f64::from(parts[0].add(parts[1]).add(parts[2].add(parts[3])).sum());
        (total(sums), total(products))
    }
}

/// Calls `f` on pairs of vectors and stores what it gives; `a` and `out` may be one.
#[inline(always)]
pub(super) unsafe fn map<V: Lanes>(a: *const f32, b: &[f32], out: *mut f32, f: impl Fn(V, V) -> V) {
    let len = b.len();
    // SAFETY: the caller vouches for `len` values of `a` and of `out`.
    unsafe {
        let b = b.as_ptr();
        let mut at = 0;
        while at + V::N <= len {
            f(V::load(a.add(at)), V::load(b.add(at))).store(out.add(at));
            at += V::N;
        }
        if at < len {
            let rest = len - at;
            let value = f(V::load_part(a.add(at), rest), V::load_part(b.add(at), rest));
            value.store_part(out.add(at), rest);
        }
    }
}
