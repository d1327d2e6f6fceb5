//! The same work on many things by all processors, with the results in order.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many things a thread takes at a time.
const CHUNK: usize = 32;

/// What sees how many things are done.
pub type Watch<'a> = &'a (dyn Fn(usize) + Sync);

/// `work(i)` for every i below `count`, in order. `watch` is called from any thread, with a count that only grows
/// as seen by that thread.
pub fn map<T: Send>(count: usize, watch: Watch, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(count.div_ceil(CHUNK));
    let (taken, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let run = || {
        let mut parts = Vec::new();
        loop {
            let start = taken.fetch_add(CHUNK, Ordering::Relaxed);
            if start >= count {
                return parts;
            }
            let part: Vec<T> = (start..count.min(start + CHUNK)).map(&work).collect();
            watch(done.fetch_add(part.len(), Ordering::Relaxed) + part.len());
            parts.push((start, part));
        }
    };
    let mut parts = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut parts = run();
        for other in others {
            parts.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        parts
    });
    parts.sort_unstable_by_key(|(start, _)| *start);
    parts.into_iter().flat_map(|(_, part)| part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order() {
        for count in [0, 1, CHUNK, 1000] {
            let last = AtomicUsize::new(0);
            let watch = |done| {
                last.fetch_max(done, Ordering::Relaxed);
            };
            let squares = map(count, &watch, |i| i * i);
            assert_eq!(squares, (0..count).map(|i| i * i).collect::<Vec<_>>());
            assert_eq!(last.into_inner(), count);
        }
    }
}
