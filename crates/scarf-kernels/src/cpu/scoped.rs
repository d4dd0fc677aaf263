//! What is so on this thread while some work is done.

use std::cell::Cell;
use std::thread::LocalKey;

/// Runs `work` with `flag` set to `value`; afterwards it is as before, after a panic, too.
pub(crate) fn scoped<R>(flag: &'static LocalKey<Cell<bool>>, value: bool, work: impl FnOnce() -> R) -> R {
    let _before = Before(flag, flag.replace(value));
    work()
}

struct Before(&'static LocalKey<Cell<bool>>, bool);

impl Drop for Before {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}
