//! Threads that have work of their own each: products and convolutions that one of them asks for it does by itself.

use std::cell::Cell;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// How many threads share what this one has to do.
pub(crate) fn threads() -> usize {
    if ALONE.get() { 1 } else { rayon::current_num_threads() }
}

/// Runs `work` on this thread, by itself or with the others.
pub(crate) fn alone<R>(alone: bool, work: impl FnOnce() -> R) -> R {
    let _before = Before(ALONE.replace(alone));
    work()
}

/// What was so before is so again afterwards, after a panic, too.
struct Before(bool);

impl Drop for Before {
    fn drop(&mut self) {
        ALONE.set(self.0);
    }
}
