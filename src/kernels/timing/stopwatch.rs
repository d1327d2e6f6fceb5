//! How long work takes on a card, by events on its stream.

use cudarc::driver::{result::event, sys};
use libc::c_void;

/// An event; destroyed when it is dropped.
struct Event(sys::CUevent);

impl Event {
    /// One that the stream reaches after the work it has been given so far.
    fn now(stream: *mut c_void) -> Result<Self, String> {
        let text = |error: cudarc::driver::DriverError| error.to_string();
        let this = Self(event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map_err(text)?);
        // SAFETY: a live event and a stream of this thread's context.
        unsafe { event::record(this.0, stream.cast()) }.map_err(text)?;
        Ok(this)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: made by `create`, destroyed once; what is to be said of errors, the work's own calls say.
        let _ = unsafe { event::destroy(self.0) };
    }
}

/// Seconds that the work started by each call of `start` takes on the stream, one behind the other; infinite where a call
/// says false. Waits for all of it.
///
/// # Errors
/// What the driver reports, of the work too.
pub fn seconds(stream: *mut c_void, count: usize, start: &mut dyn FnMut(usize) -> bool) -> Result<Vec<f64>, String> {
    let mut marks = vec![Event::now(stream)?];
    let mut started = Vec::new();
    for i in 0..count {
        started.push(start(i));
        marks.push(Event::now(stream)?);
    }
    let between = |i: usize| -> Result<f64, String> {
        if !started[i] {
            return Ok(f64::INFINITY);
        }
        // SAFETY: live events of one stream.
        let milliseconds =
            unsafe { event::synchronize(marks[i + 1].0).and_then(|()| event::elapsed(marks[i].0, marks[i + 1].0)) };
        milliseconds.map(|milliseconds| f64::from(milliseconds) * 1e-3).map_err(|error| error.to_string())
    };
    (0..count).map(between).collect()
}
