use std::sync::atomic::{AtomicUsize, Ordering};

/// Does pieces of work on several threads and gives the results in the order of the pieces.
///
/// A thread that is done with one takes the next; what `tools` makes stays with the thread.
pub(crate) fn share_out<Tools, T: Send>(
    pieces: usize,
    threads: usize,
    tools: impl Fn() -> Tools + Sync,
    work: impl Fn(&mut Tools, usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let one_thread = || {
        let (mut tools, mut done) = (tools(), Vec::new());
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return done;
            }
            done.push((piece, work(&mut tools, piece)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(pieces)).map(|_| scope.spawn(one_thread)).collect();
        let mut done = one_thread();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|piece| piece.0);
    done.into_iter().map(|piece| piece.1).collect()
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
