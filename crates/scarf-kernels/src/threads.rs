//! Where the thread that trains belongs.

/// Runs `work` on one of the threads that the kernels share their work out to.
///
/// A kernel that is called from elsewhere has to hand all of its work over and to wait, asleep; each
/// takes a switch of threads, hundreds of times in a step. From a thread of the pool it begins at
/// once, and the others help. It changes no result.
///
/// Without the feature `flex` there is no pool, and `work` runs where it is called.
pub fn on_workers<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    #[cfg(feature = "flex")]
    return rayon::scope(|_| work());
    #[cfg(not(feature = "flex"))]
    work()
}
