//! The matrix product's register tile on AMX: the processor multiplies 16 rows of 32 `bfloat16` with 16 columns of them in one
//! instruction, eight times what AVX-512 does of `f32` in the time. What is rounded, packed and written takes longer then than
//! the products.
//!
//! Of its eight tiles four are sums, 32 rows by 32 columns, so that each instruction finds another sum to add to while the
//! last one is under way: Intel, "Intel 64 and IA-32 Architectures Optimization Reference Manual", chapter on AMX.

use std::arch::asm;

use super::gemm::{Micro, finish, prefetch};
use super::scratch::Aside;
use super::simd::Lanes;
use crate::geometry::Activation;

/// Rows, and columns, of a tile.
const SIDE: usize = 16;

/// Rows that [`finish`] gets at once: as many vectors as it would have in registers.
const ROWS: usize = 8;

/// Whether the processor has AMX for `bfloat16`, and what else goes with it, and the system lets this process use it: its
/// registers are so large that Linux wants to be asked.
pub(super) fn is_available() -> bool {
    #[cfg(target_os = "linux")]
    {
        /// `AMX-BF16` and `AMX-TILE` among the features of leaf 7.
        const BITS: u32 = 1 << 22 | 1 << 24;
        /// Linux, `arch/x86/include/uapi/asm/prctl.h`, and the number of the tiles among the states of a processor.
        const REQUEST: [libc::c_long; 2] = [0x1023, 18];
        let has = std::arch::x86_64::__cpuid_count(7, 0).edx & BITS == BITS;
        // SAFETY: the call reads and writes no memory of this process.
        has && unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST[0], REQUEST[1]) } == 0
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Places of a packed panel up to which it is as wide as several register tiles: what lies in rows far from each other is read
/// and written long runs at a time then, which takes an eighth of the time where there are few steps.
const NEAR: usize = 64 * 1024;

/// Register tiles in a row of a packed panel of so many steps.
pub(super) fn panel(steps: usize) -> usize {
    (NEAR / (2 * SIDE * steps)).clamp(1, 16)
}

/// How tiles are cut, as `LDTILECFG` reads it.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIG: Config = {
    let mut config = Config { palette: 1, start_row: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
    let mut tile = 0;
    while tile < 8 {
        config.bytes[tile] = 64;
        config.rows[tile] = SIDE as u8;
        tile += 1;
    }
    config
};

/// Cuts this thread's tiles, until [`leave`].
///
/// # Safety
///
/// [`is_available`] must have said so.
#[inline(always)]
pub(super) unsafe fn enter() {
    // SAFETY: it reads the 64 bytes, and changes tiles alone, in which nobody keeps anything.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, preserves_flags, readonly)) };
}

/// Hands the tiles back: a thread that has none is cheaper to halt.
///
/// # Safety
///
/// As [`enter`].
#[inline(always)]
pub(super) unsafe fn leave() {
    // SAFETY: it changes tiles alone.
    unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
}

/// Computes one register tile of up to 32 rows and 16 or 32 lanes: `a` is `[k / 16, 32 rows, 16 pairs]`, `b` is
/// `[k, lanes]` of pairs.
///
/// # Safety
///
/// As [`micro`](super::gemm::micro), between [`enter`] and [`leave`].
#[inline(always)]
pub(super) unsafe fn micro<V: Lanes>(lanes: usize, job: &Micro) {
    let plain = job.bias.is_null() && job.activation == Activation::None;
    // SAFETY: the caller's promise; what lies aside is as large as four tiles.
    unsafe {
        // Rows of results lie too far from each other for the processor to guess: without this it takes 1.4 times as long.
        for row in 0..job.rows {
            let place = job.c.wrapping_add(row * job.c_stride);
            prefetch(place);
            prefetch(place.wrapping_add(SIDE));
        }
        if plain && job.part == 0 && job.rows.is_multiple_of(SIDE) {
            sums(job, lanes, job.c, job.c_stride, job.accumulate);
            return;
        }
        let mut aside = Aside::new();
        let aside = aside.place();
        if job.accumulate {
            // The sum goes on from there, as it does in place: which tiles are whole hangs on how the result is cut.
            let vectors = lanes / V::N;
            for row in 0..job.rows {
                for at in 0..vectors {
                    let from = job.c.add(row * job.c_stride + at * V::N);
                    let whole = at + 1 < vectors || job.part == 0;
                    let before = if whole { V::load(from) } else { V::load_part(from, job.part) };
                    before.store(aside.add(row * lanes + at * V::N));
                }
            }
        }
        sums(job, lanes, aside, lanes, job.accumulate);
        for row in (0..job.rows).step_by(ROWS) {
            let after = |values: *const f32| if values.is_null() { values } else { values.add(row) };
            let part = Micro {
                c: job.c.add(row * job.c_stride),
                rows: (job.rows - row).min(ROWS),
                scale: after(job.scale),
                bias: after(job.bias),
                accumulate: false,
                ..*job
            };
            let from = aside.add(row * lanes);
            match (lanes > SIDE, part.rows == ROWS && part.part == 0) {
                (true, true) => finish::<V, ROWS, 2, true>(&part, load(from)),
                (true, false) => finish::<V, ROWS, 2, false>(&part, load(from)),
                (false, true) => finish::<V, ROWS, 1, true>(&part, load(from)),
                (false, false) => finish::<V, ROWS, 1, false>(&part, load(from)),
            }
        }
    }
}

/// Rows of `NV` vectors, one after the other.
///
/// # Safety
///
/// As [`Lanes::load`].
#[inline(always)]
unsafe fn load<V: Lanes, const NV: usize>(from: *const f32) -> [[V; NV]; ROWS] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut rows = [[V::splat(0.0); NV]; ROWS];
        for (row, vectors) in rows.iter_mut().enumerate() {
            for (at, vector) in vectors.iter_mut().enumerate() {
                *vector = V::load(from.add((row * NV + at) * V::N));
            }
        }
        rows
    }
}

/// Runs one loop over the steps: what `c` holds, or zeros, then the steps, then `c` again.
///
/// It is one statement of assembly, for the compiler does not know what tiles hold. Its registers: `{a}`, `{b}`, `{c}` and `{d}`
/// (the sums' rows from the sixteenth on) are places, `{bs}` and `{cs}` bytes from row to row.
macro_rules! sums {
    ($job:ident, $c:ident, $stride:ident, $accumulate:ident,
     [$($zero:literal),*], [$($load:literal),*], [$($step:literal),*], [$($store:literal),*]) => {
        asm!(
            "/* {d}: for more than 16 rows */",
            $($zero,)*
            "test {add:e}, {add:e}",
            "jz 2f",
            $($load,)*
            "2:",
            $($step,)*
            "add {a}, 2048",
            "add {b}, {next}",
            "dec {k}",
            "jnz 2b",
            $($store,)*
            a = inout(reg) $job.a => _,
            b = inout(reg) $job.b => _,
            c = in(reg) $c,
            d = in(reg) $c.wrapping_add(SIDE * $stride),
            k = inout(reg) $job.k / SIDE => _,
            line = in(reg) 64usize,
            bs = in(reg) $job.b_stride * 4,
            cs = in(reg) $stride * 4,
            next = in(reg) $job.b_stride * 4 * SIDE,
            add = in(reg) u32::from($accumulate),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        )
    };
}

/// The sums of a job's whole tiles, written to `c`, whose rows lie `stride` values apart, or added to what is there.
///
/// # Safety
///
/// As [`micro`], with at least a step.
#[inline(always)]
unsafe fn sums(job: &Micro, lanes: usize, c: *mut f32, stride: usize, accumulate: bool) {
    // SAFETY: the caller's promise.
    unsafe {
        match (job.rows > SIDE, lanes > SIDE) {
            (true, true) => sums!(
                job,
                c,
                stride,
                accumulate,
                ["tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3"],
                [
                    "tileloadd tmm0, [{c} + {cs}*1]",
                    "tileloadd tmm1, [{c} + {cs}*1 + 64]",
                    "tileloadd tmm2, [{d} + {cs}*1]",
                    "tileloadd tmm3, [{d} + {cs}*1 + 64]"
                ],
                [
                    "tileloadd tmm4, [{a} + {line}*1]",
                    "tileloadd tmm6, [{b} + {bs}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{b} + {bs}*1 + 64]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm5, [{a} + {line}*1 + 1024]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7"
                ],
                [
                    "tilestored [{c} + {cs}*1], tmm0",
                    "tilestored [{c} + {cs}*1 + 64], tmm1",
                    "tilestored [{d} + {cs}*1], tmm2",
                    "tilestored [{d} + {cs}*1 + 64], tmm3"
                ]
            ),
            (true, false) => sums!(
                job,
                c,
                stride,
                accumulate,
                ["tilezero tmm0", "tilezero tmm2"],
                ["tileloadd tmm0, [{c} + {cs}*1]", "tileloadd tmm2, [{d} + {cs}*1]"],
                [
                    "tileloadd tmm4, [{a} + {line}*1]",
                    "tileloadd tmm6, [{b} + {bs}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm5, [{a} + {line}*1 + 1024]",
                    "tdpbf16ps tmm2, tmm5, tmm6"
                ],
                ["tilestored [{c} + {cs}*1], tmm0", "tilestored [{d} + {cs}*1], tmm2"]
            ),
            (false, true) => sums!(
                job,
                c,
                stride,
                accumulate,
                ["tilezero tmm0", "tilezero tmm1"],
                ["tileloadd tmm0, [{c} + {cs}*1]", "tileloadd tmm1, [{c} + {cs}*1 + 64]"],
                [
                    "tileloadd tmm4, [{a} + {line}*1]",
                    "tileloadd tmm6, [{b} + {bs}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{b} + {bs}*1 + 64]",
                    "tdpbf16ps tmm1, tmm4, tmm7"
                ],
                ["tilestored [{c} + {cs}*1], tmm0", "tilestored [{c} + {cs}*1 + 64], tmm1"]
            ),
            (false, false) => sums!(
                job,
                c,
                stride,
                accumulate,
                ["tilezero tmm0"],
                ["tileloadd tmm0, [{c} + {cs}*1]"],
                [
                    "tileloadd tmm4, [{a} + {line}*1]",
                    "tileloadd tmm6, [{b} + {bs}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6"
                ],
                ["tilestored [{c} + {cs}*1], tmm0"]
            ),
        }
    }
}
