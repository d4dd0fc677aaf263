//! Threads that have work of their own each, and so don't share it out.

use std::cell::Cell;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// How many threads there are for what this one has to do.
pub(crate) fn threads() -> usize {
    if ALONE.get() { 1 } else { rayon::current_num_threads() }
}

/// While it lives its thread works by itself.
pub(crate) struct Alone {
    before: bool,
}

impl Alone {
    pub(crate) fn new() -> Self {
        Self { before: ALONE.replace(true) }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        ALONE.set(self.before);
    }
}
