//! Buffers that a thread keeps from call to call.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::thread::LocalKey;

use super::columns::Piece;

/// A cache line: what scratch memory is aligned to.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// A growing buffer, aligned to cache lines, with whatever values it had.
#[derive(Default)]
pub(crate) struct Buffer(Vec<Line>);

impl Buffer {
    /// At least `len` values.
    pub(crate) fn take(&mut self, len: usize) -> &mut [f32] {
        let lines = len.div_ceil(16);
        if self.0.len() < lines {
            self.0.resize(lines, Line([0.0; 16]));
        }
        // SAFETY: `Line` is 16 values without padding, and there are enough of them.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), lines * 16) }
    }
}

/// Room for the largest register tile, 32 rows of 32 lanes, with whatever there was.
#[repr(align(64))]
pub(super) struct Aside(MaybeUninit<[f32; 32 * 32]>);

impl Aside {
    pub(super) fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    pub(super) fn place(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}

/// All buffers of one thread.
#[derive(Default)]
pub(crate) struct Scratch {
    /// A packed block of the left matrix.
    pub(crate) left: Buffer,
    /// A packed panel of the right matrix.
    pub(crate) right: Buffer,
    /// Rows on their way to be transposed.
    pub(crate) rows: Buffer,
    /// An image plane with its padding, or columns on their way back into an image.
    pub(crate) plane: Buffer,
    /// What lies between two convolutions.
    pub(crate) between: Buffer,
    /// Pieces of rows.
    pub(crate) pieces: Vec<Piece>,
    /// Those of each tap's rows.
    pub(crate) of_taps: Vec<Vec<Piece>>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// Lends this thread's buffers. A call inside a call gets new ones.
pub(crate) fn with_scratch<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    let mut scratch = SCRATCH.take().unwrap_or_default();
    let result = work(&mut scratch);
    SCRATCH.set(Some(scratch));
    result
}

thread_local! {
    static PACKED: Cell<Option<Box<Buffer>>> = const { Cell::new(None) };
    static PAIRED: Cell<Option<Box<Buffer>>> = const { Cell::new(None) };
}

/// Values of such a buffer that are kept: 16 MiB. Each thread that detects has one, with AMX two, and some layers have ten times as
/// much.
pub(super) const KEPT: usize = (16 << 20) / size_of::<f32>();

/// Lends the buffer for a matrix that the tasks of one call share.
pub(crate) fn with_packed<R>(work: impl FnOnce(&mut Buffer) -> R) -> R {
    lend(&PACKED, work)
}

/// Lends the buffer for images as pairs of channels, which they share, too.
pub(crate) fn with_paired<R>(work: impl FnOnce(&mut Buffer) -> R) -> R {
    lend(&PAIRED, work)
}

fn lend<R>(kept: &'static LocalKey<Cell<Option<Box<Buffer>>>>, work: impl FnOnce(&mut Buffer) -> R) -> R {
    let mut buffer = kept.take().unwrap_or_default();
    let result = work(&mut buffer);
    if buffer.0.len() * 16 <= KEPT {
        kept.set(Some(buffer));
    }
    result
}
