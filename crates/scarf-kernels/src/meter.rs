//! Where the time goes, by operation.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What one operation took on tensors of one shape, since [`meter`] was switched on.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What was done, as `convolution 3x3`.
    pub name: String,
    /// To what, as `[4, 64, 75, 75] to [4, 128, 75, 75]`.
    pub shape: String,
    /// How often.
    pub calls: usize,
    /// Of the clock on the wall, in all calls together.
    pub time: Duration,
}

type Spent = HashMap<(String, String), (usize, Duration)>;

static ON: AtomicBool = AtomicBool::new(false);
static SPENT: Mutex<Option<Spent>> = Mutex::new(None);

/// Begins to count this crate's own kernels on the CPU anew, or stops. What other backends and burn's own operations
/// take is not counted. It is the whole process's, so a program's to call.
pub fn meter(on: bool) {
    *spent() = on.then(HashMap::new);
    ON.store(on, Ordering::Relaxed);
}

/// What was counted since [`meter`] was switched on, the costliest first.
pub fn metered() -> Vec<Operation> {
    let mut operations: Vec<Operation> = spent()
        .iter()
        .flatten()
        .map(|((name, shape), &(calls, time))| Operation {
            name: name.clone(),
            shape: shape.clone(),
            calls,
            time,
        })
        .collect();
    operations
        .sort_by(|a, b| b.time.cmp(&a.time).then_with(|| (&a.name, &a.shape).cmp(&(&b.name, &b.shape))));
    operations
}

/// A call that is being counted: until it is dropped.
pub(crate) struct Timer {
    name: String,
    shape: String,
    begun: Instant,
}

/// Counts a call from here to the end of the scope, if somebody asked.
pub(crate) fn timed(label: impl FnOnce() -> (String, String)) -> Option<Timer> {
    ON.load(Ordering::Relaxed).then(|| {
        let (name, shape) = label();
        Timer { name, shape, begun: Instant::now() }
    })
}

impl Drop for Timer {
    fn drop(&mut self) {
        let time = self.begun.elapsed();
        if let Some(spent) = spent().as_mut() {
            let key = (std::mem::take(&mut self.name), std::mem::take(&mut self.shape));
            let (calls, sum) = spent.entry(key).or_default();
            *calls += 1;
            *sum += time;
        }
    }
}

fn spent() -> MutexGuard<'static, Option<Spent>> {
    // Counts are whole whenever the lock is free.
    SPENT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_counted() {
        let label = |name: &str| (name.to_owned(), "[1]".to_owned());
        drop(timed(|| label("before")));
        meter(true);
        drop(timed(|| label("short")));
        for _ in 0..2 {
            let _timer = timed(|| label("long"));
            std::thread::sleep(Duration::from_millis(2));
        }
        let counted = metered();
        meter(false);
        let brief: Vec<_> = counted.iter().map(|operation| (&operation.name[..], operation.calls)).collect();
        // Other tests of this process may be at work too.
        let own: Vec<_> =
            brief.into_iter().filter(|(name, _)| ["before", "short", "long"].contains(name)).collect();
        assert_eq!(own, [("long", 2), ("short", 1)]);
        assert!(metered().is_empty());
    }
}
