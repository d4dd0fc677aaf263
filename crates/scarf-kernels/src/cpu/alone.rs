//! How a kernel's work is shared out. Threads that have work of their own each do by themselves what they ask for.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use super::crew;
use super::scoped::scoped;

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
    } else if !crew::share(count, &task) {
        (0..count).into_par_iter().with_max_len(1).for_each(task);
    }
}

/// [`share_out`] of the parts of `0..count` that have `each` numbers, the last perhaps fewer.
pub(crate) fn share_out_parts(count: usize, each: usize, run: impl Fn(Range<usize>) + Sync + Send) {
    let each = each.max(1);
    share_out(count.div_ceil(each), |part| run(part * each..((part + 1) * each).min(count)));
}

/// Runs `work` on this thread, by itself or with the others.
pub(crate) fn alone<R>(alone: bool, work: impl FnOnce() -> R) -> R {
    scoped(&ALONE, alone, work)
}
