//! The left-hand matrix of a product, packed into panels of `MR` rows, `[panel, k, MR]`, or where it lies.

use std::ops::Range;

use super::rounded::{AMX_STEPS, Factors, pair_rows};
use super::scratch::Buffer;
use super::simd::{Lanes, versions};

/// A matrix in memory, its column index split in two: element `(row, outer * inner_len + inner)`
/// lies at `start + row * row + outer * outer + inner * inner`.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) start: usize,
    pub(crate) row: usize,
    pub(crate) outer: usize,
    pub(crate) inner: isize,
    pub(crate) inner_len: usize,
    /// Taps of a channel where a product goes through two channels at once, tap by tap; 0 where it does not.
    pub(crate) pair_taps: usize,
    pub(crate) rows: usize,
}

/// The left-hand matrix.
#[derive(Clone, Copy)]
pub(crate) enum Left<'a> {
    /// Packed as a whole by [`pack_panels`], with its columns: shared by all tasks.
    Packed(&'a [f32], usize),
    /// To be packed block by block by each task.
    Strided(Strided<'a>),
    /// To be read where it lies, whose `inner` must be 1 and `inner_len` all its columns: to pack it takes longer than to
    /// read it a few times.
    There(Strided<'a>),
}

/// A block of some rows.
#[derive(Clone, Copy)]
pub(crate) struct Panels {
    pub(crate) start: *const f32,
    /// Values from panel to panel.
    pub(crate) panel: usize,
    /// Values from row to row; 0 where panels are packed.
    pub(crate) row: usize,
}

/// Where a step of a row lies in a panel for AMX.
#[inline(always)]
fn place<V: Lanes>(row: usize, step: usize) -> usize {
    (step / AMX_STEPS * V::MR + row) * AMX_STEPS + step % AMX_STEPS
}

impl Left<'_> {
    /// The block of some rows and columns.
    ///
    /// # Safety
    ///
    /// The processor must know `V`.
    #[inline(always)]
    pub(crate) unsafe fn block<V: Lanes>(
        &self,
        rows: &Range<usize>,
        from: usize,
        to: usize,
        factors: Factors,
        buffer: &mut Buffer,
    ) -> Panels {
        match self {
            Self::Packed(values, columns) => {
                let panel = factors.left(*columns) * V::MR;
                let start = values[rows.start / V::MR * panel + factors.steps(from) * V::MR..].as_ptr();
                Panels { start, panel, row: 0 }
            }
            Self::Strided(matrix) => {
                let panel = factors.left(to - from).next_multiple_of(8) * V::MR;
                let packed = buffer.take(rows.len().div_ceil(V::MR) * panel);
                for (index, row) in rows.clone().step_by(V::MR).enumerate() {
                    let packed = &mut packed[index * panel..(index + 1) * panel];
                    // SAFETY: the caller's promise; the panel has so many steps.
                    unsafe { matrix.pack::<V>(row, from, to, factors, packed) };
                }
                Panels { start: packed.as_ptr(), panel, row: 0 }
            }
            Self::There(matrix) => {
                debug_assert!(
                    factors == Factors::Single
                        && matrix.inner == 1
                        && to <= matrix.inner_len
                        && rows.end <= matrix.rows
                );
                let start = matrix.start + rows.start * matrix.row + from;
                let read = &matrix.values[start..start + (rows.len() - 1) * matrix.row + to - from];
                Panels { start: read.as_ptr(), panel: V::MR * matrix.row, row: matrix.row }
            }
        }
    }
}

impl Strided<'_> {
    fn at(&self, row: usize, column: usize) -> usize {
        let (outer, inner) = (column / self.inner_len, column % self.inner_len);
        (self.start + row * self.row + outer * self.outer).wrapping_add_signed(inner as isize * self.inner)
    }

    /// Packs the panel of the rows from `row` on, as what a product multiplies.
    ///
    /// # Safety
    ///
    /// The processor must know `V`.
    #[inline(always)]
    unsafe fn pack<V: Lanes>(
        &self,
        row: usize,
        from: usize,
        to: usize,
        factors: Factors,
        packed: &mut [f32],
    ) {
        // Columns that are split into ones are one run of them.
        let matrix = match self.inner_len {
            1 => Self { inner: self.outer as isize, inner_len: usize::MAX, ..*self },
            _ => *self,
        };
        // SAFETY: the caller's promise; a panel has so many steps.
        unsafe {
            if factors == Factors::Amx {
                matrix.pack_rows::<V>(row, from, to, packed);
            } else if V::PAIRS {
                matrix.pack_pairs::<V>(row, from, to, packed);
            } else {
                matrix.pack_panel::<V>(row, from, to, packed);
                factors.prepare::<V>(packed.as_mut_ptr(), to - from, V::MR);
            }
        }
    }

    /// Packs the panel of the rows from `row` on: `[to - from, MR]`, zeros below the last row.
    ///
    /// # Safety
    ///
    /// The processor must know `V`.
    #[inline(always)]
    unsafe fn pack_panel<V: Lanes>(&self, row: usize, from: usize, to: usize, packed: &mut [f32]) {
        let rows = V::MR.min(self.rows - row);
        if rows < V::MR {
            packed.fill(0.0);
        }
        let mut column = from;
        while column < to {
            let run = (self.inner_len - column % self.inner_len).min(to - column);
            let start = self.at(row, column);
            let mut done = 0;
            if self.inner == 1 && rows == V::MR {
                while done + 8 <= run {
                    let last = start + (rows - 1) * self.row + done + 7;
                    assert!(last < self.values.len() && (column - from + done + 8) * rows <= packed.len());
                    // SAFETY: the block's last values lie inside both slices.
                    unsafe {
                        let source = self.values.as_ptr().add(start + done);
                        let target = packed.as_mut_ptr().add((column - from + done) * rows);
                        V::transpose_rows(source, self.row, target);
                    }
                    done += 8;
                }
            }
            for step in done..run {
                let source = start.wrapping_add_signed(step as isize * self.inner);
                let target = &mut packed[(column - from + step) * V::MR..][..rows];
                if self.row == 1 && rows == V::MR {
                    target.copy_from_slice(&self.values[source..][..V::MR]);
                    continue;
                }
                for (index, value) in target.iter_mut().enumerate() {
                    *value = self.values[source + index * self.row];
                }
            }
            column += run;
        }
    }

    /// The same as AMX takes it: `[(to - from) / 32, MR, 32]` of `bfloat16`, zeros behind the last step.
    ///
    /// # Safety
    ///
    /// The processor must know `V`, which is AMX.
    #[inline(always)]
    unsafe fn pack_rows<V: Lanes>(&self, row: usize, from: usize, to: usize, packed: &mut [f32]) {
        let (steps, rows) = (to - from, V::MR.min(self.rows - row));
        let whole = Factors::Amx.room(steps);
        assert!(whole / 2 * V::MR <= packed.len());
        let packed = packed.as_mut_ptr().cast::<u16>();
        // SAFETY: the panel has places for `MR` rows of so many steps.
        unsafe {
            if rows < V::MR {
                packed.write_bytes(0, whole * V::MR);
            } else if steps < whole {
                packed.add(place::<V>(0, steps)).write_bytes(0, AMX_STEPS * V::MR - steps % AMX_STEPS);
            }
            if self.pair_taps > 0 {
                return self.lay_pairs::<V>(row..row + rows, from, to, packed);
            }
            let mut begin = from;
            if self.row == 1 && rows == V::MR && self.inner >= 0 && to <= self.inner_len {
                begin += steps / 16 * 16;
                for step in (from..begin).step_by(16) {
                    let (first, last) = (self.at(row, step), self.at(row + rows - 1, step + 15));
                    assert!(last < self.values.len());
                    let first = self.values.as_ptr().add(first);
                    V::turn_pairs(first, self.inner as usize, packed.add(place::<V>(0, step - from)).cast());
                }
            }
            for index in 0..rows {
                let mut aside = [0.0; 16];
                let mut column = begin;
                while column < to {
                    let run = (self.inner_len - column % self.inner_len).min(to - column);
                    let first = self.at(row + index, column);
                    let (mut done, mut step) = (0, column - from);
                    while done < run {
                        let some = (16 - step % 16).min(run - done);
                        let values = self.some(first, done, some, &mut aside);
                        V::round(values, some, packed.add(place::<V>(index, step)));
                        (done, step) = (done + some, step + some);
                    }
                    column += run;
                }
            }
        }
    }

    /// Lays out rows of two channels at once, tap by tap.
    ///
    /// # Safety
    ///
    /// As [`pack_rows`](Self::pack_rows); there must be places for so many rows and steps.
    #[inline(always)]
    unsafe fn lay_pairs<V: Lanes>(&self, rows: Range<usize>, from: usize, to: usize, packed: *mut u16) {
        let taps = self.pair_taps;
        let (mut of_first, mut of_second) = ([0.0; 16], [0.0; 16]);
        for (index, row) in rows.enumerate() {
            for column in (from..to).step_by(2 * taps) {
                let (first, second) = (self.at(row, column), self.at(row, column + taps));
                let (mut done, mut step) = (0, column - from);
                while done < taps {
                    let some = (16 - step / 2 % 16).min(taps - done);
                    let a = self.some(first, done, some, &mut of_first);
                    let b = self.some(second, done, some, &mut of_second);
                    // SAFETY: the caller's promise; so many pairs lie in one row of a tile.
                    unsafe { V::pair(a, Some(b), some, packed.add(place::<V>(index, step)).cast()) };
                    (done, step) = (done + some, step + 2 * some);
                }
            }
        }
    }

    /// Up to 16 values of a run that starts at `first`, from number `done` on: where they lie, or put `aside`.
    #[inline(always)]
    fn some(&self, first: usize, done: usize, len: usize, aside: &mut [f32; 16]) -> *const f32 {
        if self.inner == 1 {
            return self.values[first + done..][..len].as_ptr();
        }
        for (at, value) in aside[..len].iter_mut().enumerate() {
            *value = self.values[first.wrapping_add_signed((done + at) as isize * self.inner)];
        }
        aside.as_ptr()
    }

    /// The same as pairs: `[(to - from) / 2, MR]`.
    ///
    /// # Safety
    ///
    /// The processor must know `V`, whose panels have 8 rows.
    #[inline(always)]
    unsafe fn pack_pairs<V: Lanes>(&self, row: usize, from: usize, to: usize, packed: &mut [f32]) {
        let one_run = self.inner == 1 && from % self.inner_len + to - from <= self.inner_len;
        let blocks = if one_run && self.rows - row >= V::MR { (to - from) / 16 } else { 0 };
        for block in 0..blocks {
            let start = self.at(row, from) + block * 16;
            assert!(start + (V::MR - 1) * self.row + 15 < self.values.len());
            let target = packed[block * 8 * V::MR..][..8 * V::MR].as_mut_ptr();
            // SAFETY: the block's last values lie inside both slices.
            unsafe { V::transpose_pairs(self.values.as_ptr().add(start), self.row, target, V::MR) };
        }
        let rest = &mut packed[blocks * 8 * V::MR..];
        // SAFETY: a panel has as many steps as it has pairs, and as many again; a row of pairs lies before those that it is
        // made of, or on the first.
        unsafe {
            let from = from + blocks * 16;
            self.pack_panel::<V>(row, from, to, rest);
            assert!((to - from) * V::MR <= rest.len());
            let rest = rest.as_mut_ptr();
            pair_rows::<V>(rest, V::MR, to - from, V::MR, rest, V::MR);
        }
    }
}

versions! {
    /// Packs panels of all `columns` from the row on that the first of them starts at.
    ///
    /// # Safety
    ///
    /// The level and the factors must be this processor's.
    pub(crate) unsafe fn pack_panels(
        factors: Factors, matrix: &Strided, row: usize, columns: usize, packed: &mut [f32],
    ) = pack_panels_in,
    of factors
}

#[inline(always)]
unsafe fn pack_panels_in<V: Lanes>(
    factors: Factors,
    matrix: &Strided,
    row: usize,
    columns: usize,
    packed: &mut [f32],
) {
    for (index, panel) in packed.chunks_exact_mut(factors.left(columns) * V::MR).enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            matrix.pack::<V>(row + index * V::MR, 0, columns, factors, panel);
        }
    }
}
