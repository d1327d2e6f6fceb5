//! Which of some ways to the same result is the fastest on a card, by running each.

mod choice;
mod stopwatch;

use libc::c_void;
use std::time::Instant;
use tracing::debug;

/// The fastest of ways 0 … `count` − 1, of which the first is kept unless another is clearly faster; `None` where none
/// runs.
///
/// `start` starts a way on the stream, and says whether it could; `lead` gives the stream something to do meanwhile, and is
/// told which way comes first and how many runs are to be started.
pub fn fastest(
    stream: *mut c_void,
    count: usize,
    lead: &mut dyn FnMut(usize, usize),
    start: &dyn Fn(usize) -> bool,
) -> Option<usize> {
    let begin = Instant::now();
    let mut round = |order: &[usize], repeats: usize| {
        lead(order[0], order.len() * repeats);
        let run = &mut |i: usize| (0..repeats).all(|_| start(order[i]));
        let times = stopwatch::seconds(stream, order.len(), run).unwrap_or_else(|error| {
            debug!("nothing was timed: {error}");
            vec![f64::INFINITY; order.len()]
        });
        times.iter().map(|time| time / repeats as f64).collect()
    };
    let chosen = choice::fastest(count, &mut round);
    debug!("{chosen:?} of {count} is the fastest, {:.0} ms of timing", begin.elapsed().as_secs_f64() * 1e3);
    chosen
}
