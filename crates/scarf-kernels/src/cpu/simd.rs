//! Vectors of `f32` for the processor at hand: AVX-512, AVX2, or plain arrays that the compiler
//! maps to what the target always has. The choice is made once per call of a kernel, at run time.

#[cfg(target_arch = "x86_64")]
use std::sync::LazyLock;

use super::gemm::{Micro, micro};
use super::rounded::{self, Factors};

/// A vector of `f32` lanes and what kernels do with it.
///
/// # Safety
///
/// The functions of an implementation may only run on a processor that has its instructions;
/// [`versions!`] sees to that. Pointers must be valid for the lanes that are read or written; no
/// alignment is asked for.
pub(crate) trait Lanes: Copy {
    /// Lanes of the vector.
    const N: usize;
    /// Rows of the matrix product's register tile, and of a packed panel.
    const MR: usize;
    /// Vectors in a row of the matrix product's register tile.
    const NV: usize;
    /// Lanes of the narrowest register tile: a whole vector, or part of a wide one.
    const NARROW: usize = Self::N;
    /// Whether there are loads of some lanes that cost no more than one of all: if not, nobody may call them.
    const MASKED: bool;

    /// Whether what a product multiplies are pairs of `bfloat16`: nobody else may call [`dot`](Self::dot),
    /// [`pair`](Self::pair) and [`transpose_pairs`](Self::transpose_pairs).
    const PAIRS: bool = false;

    /// Some of the lanes.
    type Mask: Copy;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// The first `len < N` lanes; the others are zero.
    unsafe fn load_part(from: *const f32, len: usize) -> Self;
    /// The lanes whose bits are set.
    unsafe fn mask(bits: u32) -> Self::Mask;
    /// The lanes of the mask; the others are zero, and not read.
    unsafe fn load_where(from: *const f32, mask: Self::Mask) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// The first `len < N` lanes.
    unsafe fn store_part(self, to: *mut f32, len: usize);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * a + b`.
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    /// `self[0] * a[0] + self[1] * a[1] + b`, where each lane of `self` and `a` is a pair of `bfloat16`.
    unsafe fn dot(self, _a: Self, _b: Self) -> Self {
        unreachable!("for vectors of pairs")
    }
    /// Rounds `len` values and as many others (zeros, if there are none) to `bfloat16`, and writes them pair by pair; the
    /// first ones may lie where the pairs go.
    unsafe fn pair(_first: *const f32, _second: Option<*const f32>, _len: usize, _to: *mut f32) {
        unreachable!("for vectors of pairs")
    }
    /// Rounds `len <= N` values to `bfloat16` and writes them one after the other.
    unsafe fn round(_from: *const f32, _len: usize, _to: *mut u16) {
        unreachable!("for vectors of pairs")
    }
    /// 16 rows of `MR` values, `from_stride` apart, rounded: as `MR` rows of 8 pairs of what stood one below the other, 16 pairs
    /// apart.
    unsafe fn turn_pairs(_from: *const f32, _from_stride: usize, _to: *mut f32) {
        unreachable!("for AMX")
    }
    /// 8 rows of 16 values, `from_stride` apart, rounded: as 8 rows of 8 pairs of neighbours, `to_stride` apart.
    unsafe fn transpose_pairs(_from: *const f32, _from_stride: usize, _to: *mut f32, _to_stride: usize) {
        unreachable!("for vectors of pairs")
    }
    /// The larger one; `self` where it is not a number.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller one; `self` where it is not a number.
    unsafe fn min(self, other: Self) -> Self;
    /// `self` where `low < x < high`, else zero.
    unsafe fn keep_inside(self, x: Self, low: Self, high: Self) -> Self;
    /// The sum of the lanes, in an order that is always the same.
    unsafe fn sum(self) -> f32;
    /// Lanes `0, 2, 4, ..` of `2 N` values from `from`.
    unsafe fn load_even(from: *const f32) -> Self;
    /// Of `2 N` values from `from` numbers `0, 2, 4, ..` and `1, 3, 5, ..`.
    unsafe fn load_pairs(from: *const f32) -> [Self; 2];
    /// Of `2 N` values from `from` those of the masks, one for each half, and zero for the others, which are not read:
    /// numbers `0, 2, 4, ..` and `1, 3, 5, ..`.
    unsafe fn load_pairs_where(from: *const f32, masks: [Self::Mask; 2]) -> [Self; 2];
    /// `to[column * to_stride + row] = from[row * from_stride + column]` for 8 rows and columns.
    unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize);

    /// `MR` rows of 8 values, `from_stride` apart, as 8 rows of `MR` values one after the other.
    ///
    /// # Safety
    ///
    /// As [`load`](Self::load), for both blocks.
    #[inline(always)]
    unsafe fn transpose_rows(from: *const f32, from_stride: usize, to: *mut f32) {
        for column in 0..8 {
            for row in 0..Self::MR {
                // SAFETY: the caller's promise.
                unsafe { *to.add(column * Self::MR + row) = *from.add(row * from_stride + column) };
            }
        }
    }
    /// Vectors in a row of a packed panel of so many steps: one register tile, or several.
    #[inline(always)]
    fn panel(_steps: usize) -> usize {
        Self::NV
    }
    /// Does what must be done before the first [`micro`](Self::micro) of a product.
    #[inline(always)]
    unsafe fn enter() {}
    /// And after the last.
    #[inline(always)]
    unsafe fn leave() {}
    /// The register tile of the matrix product with so many lanes: `NARROW`, or up to `NV` times `N`; of `MR` rows, or of no more
    /// than there are.
    unsafe fn micro<const APART: bool>(lanes: usize, job: &Micro);
}

#[inline(always)]
unsafe fn transpose8_plain(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    for row in 0..8 {
        for column in 0..8 {
            // SAFETY: the caller vouches for both blocks.
            unsafe { *to.add(column * to_stride + row) = *from.add(row * from_stride + column) };
        }
    }
}

/// Eight lanes as an array: what every processor can do.
#[derive(Clone, Copy)]
pub(crate) struct Plain([f32; 8]);

impl Plain {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

// SAFETY (all of it): plain Rust behind the pointers that the caller vouches for.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Lanes for Plain {
    const N: usize = 8;
    const MR: usize = 4;
    const NV: usize = 2;
    const MASKED: bool = false;
    type Mask = ();

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, len: usize) -> Self {
        Self(std::array::from_fn(|lane| if lane < len { unsafe { *from.add(lane) } } else { 0.0 }))
    }
    #[inline(always)]
    unsafe fn mask(_: u32) {
        unreachable!("masked loads are for processors that have them")
    }
    #[inline(always)]
    unsafe fn load_where(_: *const f32, (): ()) -> Self {
        unreachable!("masked loads are for processors that have them")
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) };
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, len: usize) {
        for (lane, value) in self.0.iter().enumerate().take(len) {
            unsafe { *to.add(lane) = *value };
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        // Fused where the target always has it; a library call elsewhere would cost far more.
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            Self(std::array::from_fn(|lane| self.0[lane].mul_add(a.0[lane], b.0[lane])))
        } else {
            Self(std::array::from_fn(|lane| self.0[lane] * a.0[lane] + b.0[lane]))
        }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if b > a { b } else { a })
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if b < a { b } else { a })
    }
    #[inline(always)]
    unsafe fn keep_inside(self, x: Self, low: Self, high: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            if x.0[lane] > low.0[lane] && x.0[lane] < high.0[lane] { self.0[lane] } else { 0.0 }
        }))
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    unsafe fn load_even(from: *const f32) -> Self {
        Self(std::array::from_fn(|lane| unsafe { *from.add(2 * lane) }))
    }
    #[inline(always)]
    unsafe fn load_pairs(from: *const f32) -> [Self; 2] {
        unsafe { [Self::load_even(from), Self::load_even(from.add(1))] }
    }
    #[inline(always)]
    unsafe fn load_pairs_where(_: *const f32, _: [(); 2]) -> [Self; 2] {
        unreachable!("masked loads are for processors that have them")
    }
    #[inline(always)]
    unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        unsafe { transpose8_plain(from, from_stride, to, to_stride) };
    }
    #[inline(always)]
    unsafe fn micro<const APART: bool>(lanes: usize, job: &Micro) {
        unsafe {
            match lanes {
                8 => micro::<Self, 4, 1, APART>(job),
                _ => micro::<Self, 4, 2, APART>(job),
            }
        }
    }
}

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512, and AMX for products of rounded factors.
    #[cfg(target_arch = "x86_64")]
    Amx,
}

#[cfg(test)]
thread_local! {
    /// Tests run every level that the processor has: the highest one that kernels called from this thread may use.
    pub(crate) static HIGHEST: std::cell::Cell<Option<Level>> = const { std::cell::Cell::new(None) };
}

/// The best level of this processor for what this thread asks for.
#[inline]
pub(crate) fn level() -> Level {
    #[cfg(test)]
    if let Some(highest) = HIGHEST.get() {
        return highest.min(detected());
    }
    detected()
}

#[inline]
fn detected() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        static AMX: LazyLock<bool> =
            LazyLock::new(|| Level::Avx512.has_pairs() && super::amx::is_available());
        let v3 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        if v3 && is_x86_feature_detected!("avx512f") {
            return if rounded::are_asked_for() && *AMX { Level::Amx } else { Level::Avx512 };
        }
        if v3 {
            return Level::Avx2;
        }
    }
    Level::Plain
}

/// Compiles a kernel that is generic over [`Lanes`] once per instruction set behind one function.
///
/// The generic function, and all it calls in a loop, must be `#[inline(always)]`: only so does it
/// get the instructions of the version that it is compiled into.
///
/// `of FACTORS` adds those for pairs of `bfloat16`, in place of the level's where a product's factors are such.
macro_rules! versions {
    (
        $(#[$meta:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $generic:ident,
        of $factors:expr
    ) => {
        $(#[$meta])*
        $vis unsafe fn $name(level: $crate::cpu::simd::Level, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma")]
                unsafe fn pairs($($arg: $ty),*) {
                    // SAFETY: the caller's promise, passed on.
                    unsafe { $generic::<$crate::cpu::x86::Pairs>($($arg),*) }
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma")]
                unsafe fn amx($($arg: $ty),*) {
                    // SAFETY: the caller's promise, passed on.
                    unsafe { $generic::<$crate::cpu::x86::Amx>($($arg),*) }
                }
                match $factors {
                    // SAFETY: the factors are this processor's; the rest is the caller's promise.
                    $crate::cpu::rounded::Factors::Pairs => return unsafe { pairs($($arg),*) },
                    // SAFETY: as above.
                    $crate::cpu::rounded::Factors::Amx => return unsafe { amx($($arg),*) },
                    _ => {}
                }
            }
            versions! { unsafe fn values($($arg: $ty),*) = $generic }
            // SAFETY: the caller's promise, passed on.
            unsafe { values(level, $($arg),*) }
        }
    };
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $generic:ident) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis unsafe fn $name(level: $crate::cpu::simd::Level, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                unsafe fn avx512($($arg: $ty),*) {
                    // SAFETY: the caller's promise, passed on.
                    unsafe { $generic::<$crate::cpu::x86::Avx512>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                unsafe fn avx2($($arg: $ty),*) {
                    // SAFETY: the caller's promise, passed on.
                    unsafe { $generic::<$crate::cpu::x86::Avx2>($($arg),*) }
                }
                match level {
                    // SAFETY: `level` was detected; the rest is the caller's promise.
                    $crate::cpu::simd::Level::Avx512 | $crate::cpu::simd::Level::Amx => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::cpu::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::cpu::simd::Level::Plain => {}
                }
            }
            let _ = level;
            // SAFETY: the caller's promise, passed on.
            unsafe { $generic::<$crate::cpu::simd::Plain>($($arg),*) }
        }
    };
}
pub(crate) use versions;

impl Level {
    /// Whether it has instructions for pairs of `bfloat16`.
    #[inline]
    pub(crate) fn has_pairs(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self >= Self::Avx512
            && is_x86_feature_detected!("avx512bf16")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether it has AMX.
    #[inline]
    pub(crate) fn has_amx(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Self::Amx;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Lanes, rows and vectors of the register tile.
    pub(crate) fn tile(self, #[allow(unused)] factors: Factors) -> (usize, usize, usize) {
        match self {
            Self::Plain => (Plain::N, Plain::MR, Plain::NV),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => tile_of::<super::x86::Avx2>(),
            #[cfg(target_arch = "x86_64")]
            Self::Amx if factors == Factors::Amx => tile_of::<super::x86::Amx>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Amx => tile_of::<super::x86::Avx512>(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn tile_of<V: Lanes>() -> (usize, usize, usize) {
    (V::N, V::MR, V::NV)
}
