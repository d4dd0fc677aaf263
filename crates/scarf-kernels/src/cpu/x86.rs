//! The vectors of x86-64: AVX-512 (16 lanes) and AVX2 with FMA (8 lanes).

use std::arch::x86_64::*;

use super::amx;
use super::gemm::{Micro, micro};
use super::rounded::pair_rows;
use super::simd::Lanes;

/// AVX-512: 16 lanes, 32 registers; products are of `f32`.
pub(crate) type Avx512 = Wide<0>;

/// AVX-512 with BF16: products are of pairs of `bfloat16`.
pub(crate) type Pairs = Wide<1>;

/// The same, with AMX for the products.
pub(crate) type Amx = Wide<2>;

/// A vector of AVX-512, and one of three ways to multiply.
#[derive(Clone, Copy)]
pub(crate) struct Wide<const WAY: usize>(__m512);

/// AVX2 with FMA: 8 lanes, 16 registers.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256);

#[inline(always)]
fn mask16(len: usize) -> __mmask16 {
    ((1u32 << len) - 1) as __mmask16
}

/// All ones in the first `len` of 8 lanes.
#[inline(always)]
unsafe fn mask8(len: usize) -> __m256i {
    const ONES: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    debug_assert!(len <= 8);
    // SAFETY: 8 values from index 8 - len on lie inside the table of 16.
    unsafe { _mm256_loadu_si256(ONES.as_ptr().add(8 - len).cast()) }
}

/// The even and the odd of 16 values.
#[inline(always)]
unsafe fn pairs_apart(low: __m256, high: __m256) -> [Avx2; 2] {
    // SAFETY: the caller vouches for AVX2.
    unsafe {
        let (even, odd) = (_mm256_shuffle_ps::<0x88>(low, high), _mm256_shuffle_ps::<0xdd>(low, high));
        let even = _mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(even));
        let odd = _mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(odd));
        [Avx2(_mm256_castpd_ps(even)), Avx2(_mm256_castpd_ps(odd))]
    }
}

/// Columns 0 and 4, 1 and 5, 2 and 6, 3 and 7 of four rows of 8 values.
#[inline(always)]
unsafe fn columns_of_four(from: *const f32, stride: usize) -> [__m256; 4] {
    // SAFETY: the caller vouches for the rows and for AVX.
    unsafe {
        let row = |i: usize| _mm256_loadu_ps(from.add(i * stride));
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        [
            _mm256_shuffle_ps::<0x44>(ab_low, cd_low),
            _mm256_shuffle_ps::<0xee>(ab_low, cd_low),
            _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
            _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
        ]
    }
}

/// Six rows of 8 values as 8 rows of six.
#[inline(always)]
unsafe fn transpose6_avx(from: *const f32, from_stride: usize, to: *mut f32) {
    // SAFETY: the caller vouches for the blocks and for AVX.
    unsafe {
        let first = columns_of_four(from, from_stride);
        let (a, b) = (from.add(4 * from_stride), from.add(5 * from_stride));
        let (a, b) = (_mm256_loadu_ps(a), _mm256_loadu_ps(b));
        // Columns 0, 1, 4 and 5 of the last two rows, then 2, 3, 6 and 7.
        let last = [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)];
        for half in 0..2 {
            let part = |x: __m256| {
                if half == 0 { _mm256_castps256_ps128(x) } else { _mm256_extractf128_ps::<1>(x) }
            };
            for i in 0..4 {
                let to = to.add(6 * (4 * half + i));
                _mm_storeu_ps(to, part(first[i]));
                let pair = _mm_castps_pd(part(last[i / 2]));
                let to = to.add(4).cast();
                if i % 2 == 0 { _mm_storel_pd(to, pair) } else { _mm_storeh_pd(to, pair) }
            }
        }
    }
}

/// An 8 x 8 transposition in registers.
#[inline(always)]
unsafe fn transpose8_avx(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    // SAFETY: the caller vouches for the blocks and for AVX.
    unsafe {
        let top = columns_of_four(from, from_stride);
        let bottom = columns_of_four(from.add(4 * from_stride), from_stride);
        for i in 0..4 {
            let low = _mm256_permute2f128_ps::<0x20>(top[i], bottom[i]);
            let high = _mm256_permute2f128_ps::<0x31>(top[i], bottom[i]);
            _mm256_storeu_ps(to.add(i * to_stride), low);
            _mm256_storeu_ps(to.add((i + 4) * to_stride), high);
        }
    }
}

// SAFETY (all of it): the caller vouches for the instructions and for the pointers.
#[allow(clippy::undocumented_unsafe_blocks)]
impl<const WAY: usize> Lanes for Wide<WAY> {
    const N: usize = 16;
    const MR: usize = if WAY == 2 { 32 } else { 8 };
    const NV: usize = if WAY == 2 { 2 } else { 3 };
    const NARROW: usize = if WAY == 0 { 8 } else { 16 };
    const MASKED: bool = true;
    const PAIRS: bool = WAY > 0;
    type Mask = __mmask16;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self(unsafe { _mm512_set1_ps(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { _mm512_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, len: usize) -> Self {
        Self(unsafe { _mm512_maskz_loadu_ps(mask16(len), from) })
    }
    #[inline(always)]
    unsafe fn mask(bits: u32) -> __mmask16 {
        bits as __mmask16
    }
    #[inline(always)]
    unsafe fn load_where(from: *const f32, mask: __mmask16) -> Self {
        Self(unsafe { _mm512_maskz_loadu_ps(mask, from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self.0) };
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, len: usize) {
        unsafe { _mm512_mask_storeu_ps(to, mask16(len), self.0) };
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        Self(unsafe { _mm512_fmadd_ps(self.0, a.0, b.0) })
    }
    #[inline(always)]
    unsafe fn dot(self, a: Self, b: Self) -> Self {
        let pairs = |x: __m512| unsafe { std::mem::transmute::<__m512, __m512bh>(x) };
        Self(unsafe { _mm512_dpbf16_ps(b.0, pairs(self.0), pairs(a.0)) })
    }
    #[inline(always)]
    unsafe fn pair(first: *const f32, second: Option<*const f32>, len: usize, to: *mut f32) {
        unsafe {
            // The first one's words lie below the second one's.
            let words = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let mixed = _mm512_slli_epi32::<16>(_mm512_add_epi32(words, _mm512_set1_epi32(16)));
            let mixed = _mm512_or_si512(words, mixed);
            for at in (0..len).step_by(16) {
                let mask = mask16((len - at).min(16));
                let load = |from: *const f32| _mm512_maskz_loadu_ps(mask, from.add(at));
                let both = _mm512_cvtne2ps_pbh(second.map_or(_mm512_setzero_ps(), load), load(first));
                let both = std::mem::transmute::<__m512bh, __m512i>(both);
                _mm512_mask_storeu_epi32(to.add(at).cast(), mask, _mm512_permutexvar_epi16(mixed, both));
            }
        }
    }
    #[inline(always)]
    unsafe fn round(from: *const f32, len: usize, to: *mut u16) {
        unsafe {
            let mask = mask16(len);
            let half = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from));
            _mm256_mask_storeu_epi16(to.cast(), mask, std::mem::transmute::<__m256bh, __m256i>(half));
        }
    }
    #[inline(always)]
    unsafe fn turn_pairs(from: *const f32, from_stride: usize, to: *mut f32) {
        unsafe {
            let mut pairs = [0.0f32; 8 * 32];
            pair_rows::<Self>(from, from_stride, 16, 32, pairs.as_mut_ptr(), 32);
            for row in (0..32).step_by(8) {
                transpose8_avx(pairs.as_ptr().add(row), 32, to.add(row * 16), 16);
            }
        }
    }
    #[inline(always)]
    unsafe fn transpose_pairs(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        unsafe {
            let mut rows = [0.0f32; 64];
            for row in 0..8 {
                let half = _mm512_cvtneps_pbh(_mm512_loadu_ps(from.add(row * from_stride)));
                let half = std::mem::transmute::<__m256bh, __m256i>(half);
                _mm256_storeu_si256(rows.as_mut_ptr().add(row * 8).cast(), half);
            }
            transpose8_avx(rows.as_ptr(), 8, to, to_stride);
        }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // The instruction gives its second operand where one is not a number.
        Self(unsafe { _mm512_max_ps(other.0, self.0) })
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        Self(unsafe { _mm512_min_ps(other.0, self.0) })
    }
    #[inline(always)]
    unsafe fn keep_inside(self, x: Self, low: Self, high: Self) -> Self {
        unsafe {
            let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x.0, low.0);
            let inside = _mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(above, x.0, high.0);
            Self(_mm512_maskz_mov_ps(inside, self.0))
        }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        unsafe {
            let low = _mm512_castps512_ps256(self.0);
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self.0)));
            Avx2(_mm256_add_ps(low, high)).sum()
        }
    }
    #[inline(always)]
    unsafe fn load_even(from: *const f32) -> Self {
        unsafe {
            let pick = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let (low, high) = (_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(16)));
            Self(_mm512_permutex2var_ps(low, pick, high))
        }
    }
    #[inline(always)]
    unsafe fn load_pairs(from: *const f32) -> [Self; 2] {
        unsafe { Self::load_pairs_where(from, [0xffff; 2]) }
    }
    #[inline(always)]
    unsafe fn load_pairs_where(from: *const f32, [low, high]: [__mmask16; 2]) -> [Self; 2] {
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            let low = _mm512_maskz_loadu_ps(low, from);
            let high = _mm512_maskz_loadu_ps(high, from.wrapping_add(16));
            [Self(_mm512_permutex2var_ps(low, even, high)), Self(_mm512_permutex2var_ps(low, odd, high))]
        }
    }
    #[inline(always)]
    unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        unsafe { transpose8_avx(from, from_stride, to, to_stride) };
    }
    #[inline(always)]
    unsafe fn transpose_rows(from: *const f32, from_stride: usize, to: *mut f32) {
        unsafe { transpose8_avx(from, from_stride, to, Self::MR) };
    }
    #[inline(always)]
    fn panel(steps: usize) -> usize {
        if WAY == 2 { amx::panel(steps) * Self::NV } else { Self::NV }
    }
    #[inline(always)]
    unsafe fn enter() {
        if WAY == 2 {
            unsafe { amx::enter() };
        }
    }
    #[inline(always)]
    unsafe fn leave() {
        if WAY == 2 {
            unsafe { amx::leave() };
        }
    }
    #[inline(always)]
    unsafe fn micro<const APART: bool>(lanes: usize, job: &Micro) {
        unsafe {
            match lanes {
                _ if WAY == 2 => amx::micro::<Self>(lanes, job),
                // Half a vector takes half the time.
                8 => micro::<Avx2, 8, 1, APART>(job),
                16 => micro::<Self, 8, 1, APART>(job),
                32 => micro::<Self, 8, 2, APART>(job),
                _ => micro::<Self, 8, 3, APART>(job),
            }
        }
    }
}

// SAFETY (all of it): the caller vouches for the instructions and for the pointers.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Lanes for Avx2 {
    const N: usize = 8;
    // Twelve sums, two columns and a row: one of the 16 registers is left. Tiles of 4 x 3 leave none, and then the compiler
    // keeps a sum in memory.
    const MR: usize = 6;
    const NV: usize = 2;
    const MASKED: bool = true;
    type Mask = __m256i;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self(unsafe { _mm256_set1_ps(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { _mm256_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, len: usize) -> Self {
        Self(unsafe { _mm256_maskload_ps(from, mask8(len)) })
    }
    #[inline(always)]
    unsafe fn mask(bits: u32) -> __m256i {
        unsafe {
            let lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits as i32), lanes), lanes)
        }
    }
    #[inline(always)]
    unsafe fn load_where(from: *const f32, mask: __m256i) -> Self {
        Self(unsafe { _mm256_maskload_ps(from, mask) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, self.0) };
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, len: usize) {
        unsafe { _mm256_maskstore_ps(to, mask8(len), self.0) };
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        Self(unsafe { _mm256_fmadd_ps(self.0, a.0, b.0) })
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Self(unsafe { _mm256_max_ps(other.0, self.0) })
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        Self(unsafe { _mm256_min_ps(other.0, self.0) })
    }
    #[inline(always)]
    unsafe fn keep_inside(self, x: Self, low: Self, high: Self) -> Self {
        unsafe {
            let above = _mm256_cmp_ps::<_CMP_GT_OQ>(x.0, low.0);
            let below = _mm256_cmp_ps::<_CMP_LT_OQ>(x.0, high.0);
            Self(_mm256_and_ps(self.0, _mm256_and_ps(above, below)))
        }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        unsafe {
            let halves = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let pairs = _mm_add_ps(halves, _mm_movehl_ps(halves, halves));
            _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps::<1>(pairs, pairs)))
        }
    }
    #[inline(always)]
    unsafe fn load_even(from: *const f32) -> Self {
        unsafe {
            let (low, high) = (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8)));
            let mixed = _mm256_shuffle_ps::<0x88>(low, high);
            Self(_mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(mixed))))
        }
    }
    #[inline(always)]
    unsafe fn load_pairs(from: *const f32) -> [Self; 2] {
        unsafe { pairs_apart(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }
    #[inline(always)]
    unsafe fn load_pairs_where(from: *const f32, [low, high]: [__m256i; 2]) -> [Self; 2] {
        unsafe { pairs_apart(_mm256_maskload_ps(from, low), _mm256_maskload_ps(from.wrapping_add(8), high)) }
    }
    #[inline(always)]
    unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        unsafe { transpose8_avx(from, from_stride, to, to_stride) };
    }
    #[inline(always)]
    unsafe fn transpose_rows(from: *const f32, from_stride: usize, to: *mut f32) {
        unsafe { transpose6_avx(from, from_stride, to) };
    }
    #[inline(always)]
    unsafe fn micro<const APART: bool>(lanes: usize, job: &Micro) {
        unsafe {
            // Of 32 rows the last two take a third of a whole tile's time.
            match (lanes, job.rows) {
                (8, 1..=2) => micro::<Self, 2, 1, APART>(job),
                (8, 3..=4) => micro::<Self, 4, 1, APART>(job),
                (8, _) => micro::<Self, 6, 1, APART>(job),
                (_, 1..=2) => micro::<Self, 2, 2, APART>(job),
                (_, 3..=4) => micro::<Self, 4, 2, APART>(job),
                _ => micro::<Self, 6, 2, APART>(job),
            }
        }
    }
}
