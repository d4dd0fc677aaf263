use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

/// Pieces of work that several threads take from, one after another.
pub(crate) struct Pieces {
    count: usize,
    next: AtomicUsize,
}

impl Pieces {
    pub(crate) fn new(count: usize) -> Self {
        Self { count, next: AtomicUsize::new(0) }
    }

    /// Does pieces until none is left that nobody has taken; gives the results with the places of the pieces. What
    /// `tools` makes stays with the thread.
    pub(crate) fn take<Tools, T>(
        &self,
        tools: impl FnOnce() -> Tools,
        work: impl Fn(&mut Tools, usize) -> T,
    ) -> Vec<(usize, T)> {
        let (mut tools, mut done) = (tools(), Vec::new());
        loop {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            if piece >= self.count {
                return done;
            }
            done.push((piece, work(&mut tools, piece)));
        }
    }
}

/// Does pieces of work on several threads and gives the results in the order of the pieces.
pub(crate) fn share_out<Tools, T: Send>(
    count: usize,
    threads: usize,
    tools: impl Fn() -> Tools + Sync,
    work: impl Fn(&mut Tools, usize) -> T + Sync,
) -> Vec<T> {
    let pieces = Pieces::new(count);
    let one_thread = || pieces.take(&tools, &work);
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(one_thread)).collect();
        let mut done = one_thread();
        others.into_iter().for_each(|other| done.extend(joined(other)));
        done
    });
    done.sort_by_key(|piece| piece.0);
    done.into_iter().map(|piece| piece.1).collect()
}

/// What a thread gives, or its panic here.
pub(crate) fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_order() {
        for threads in [0, 1, 3, 40] {
            let squares = super::share_out(20, threads, || 1, |one, piece| piece * piece * *one);
            assert_eq!(squares, (0..20).map(|n| n * n).collect::<Vec<_>>());
        }
    }
}
