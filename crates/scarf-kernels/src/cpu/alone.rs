//! Threads that have work of their own each: products and convolutions that one of them asks for it does by itself.

use std::cell::Cell;

use rayon::prelude::*;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// How many threads share what this one has to do.
pub(crate) fn threads() -> usize {
    if ALONE.get() { 1 } else { rayon::current_num_threads() }
}

/// Runs the tasks of numbers `0..count`: in order where there is one thread for them, or one task.
pub(crate) fn share_out(count: usize, task: impl Fn(usize) + Sync + Send) {
    if count <= 1 || threads() == 1 {
        (0..count).for_each(task);
    } else {
        (0..count).into_par_iter().with_max_len(1).for_each(task);
    }
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
