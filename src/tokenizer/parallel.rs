//! The same work for many items, on all cores.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What `work` gives for each of `0..len`, in order, on as many threads as the machine has cores. Threads take the next `batch` items
/// when they are done with some, rather than a fixed share: texts differ in length.
pub(crate) fn map<T: Send>(len: usize, batch: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let most = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = most.min(len.div_ceil(batch.max(1)));
    if threads <= 1 {
        return (0..len).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let start = next.fetch_add(batch, Ordering::Relaxed);
            if start >= len {
                return done;
            }
            done.extend((start..len.min(start + batch)).map(|i| (i, work(i))));
        }
    };
    let mut results: Vec<_> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut results = worker();
        for other in others {
            match other.join() {
                Ok(done) => results.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_unstable_by_key(|&(i, _)| i);
    results.into_iter().map(|(_, result)| result).collect()
}
