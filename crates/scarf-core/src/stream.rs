//! Copies that go past the cache: memory that is written once, and is larger than the cache, need
//! not be read into it first.

/// Plain numbers: no padding, so that all their bytes may be read.
pub trait Number: Copy {}
impl Number for f32 {}
impl Number for f64 {}

/// Copies a slice past the cache, but for the lines at either end that it has in part.
///
/// Nobody may look at `to` before [`fence`] was called.
#[cfg(target_arch = "x86_64")]
pub(crate) fn copy<T: Number>(from: &[T], to: &mut [T]) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
    const LINE: usize = 64;
    assert_eq!(from.len(), to.len(), "as many numbers as there is room for");
    let each = LINE / size_of::<T>();
    let head = to.as_ptr().align_offset(LINE).min(to.len());
    let tail = to.len() - (to.len() - head) % each;
    for (line, of) in to[head..tail].chunks_exact_mut(each).zip(from[head..tail].chunks_exact(each)) {
        for quarter in 0..4 {
            // SAFETY: both slices are `LINE` bytes long, and `line` begins at a multiple of `LINE`, for
            // `head` numbers come before the first and each is as long: 16 bytes lie at each quarter,
            // aligned where they are written. SSE2 is part of x86-64. Numbers have no padding.
            unsafe {
                let numbers = _mm_loadu_si128(of.as_ptr().cast::<__m128i>().add(quarter));
                _mm_stream_si128(line.as_mut_ptr().cast::<__m128i>().add(quarter), numbers);
            }
        }
    }
    to[..head].copy_from_slice(&from[..head]);
    to[tail..].copy_from_slice(&from[tail..]);
}

/// Whatever was copied past the cache is there for all to see.
#[cfg(target_arch = "x86_64")]
pub(crate) fn fence() {
    // SAFETY: SSE is part of x86-64.
    unsafe { std::arch::x86_64::_mm_sfence() }
}

/// A plain copy, where there is no portable way past the cache.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn copy<T: Number>(from: &[T], to: &mut [T]) {
    to.copy_from_slice(from);
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn fence() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_copied_and_nothing_else() {
        let from: Vec<f32> = (1..200u8).map(f32::from).collect();
        for start in 0..20 {
            for len in [0, 1, 15, 16, 17, 40, 150] {
                let mut to = vec![0.0; 200];
                copy(&from[..len], &mut to[start..start + len]);
                fence();
                assert_eq!(to[start..start + len], from[..len]);
                assert!(to[..start].iter().chain(&to[start + len..]).all(|&v| v == 0.0));
            }
        }
    }
}
