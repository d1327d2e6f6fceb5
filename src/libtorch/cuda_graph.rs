//! CUDA graphs: a step recorded once and replayed without the cost of its launches.

use super::check;
use libc::{c_char, c_int, c_void};
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use tch::{Device, TchError};

unsafe extern "C" {
    fn synth_own_stream(device: c_int) -> *mut c_char;
    fn synth_synchronize(device: c_int) -> *mut c_char;
    fn synth_current_stream(device: c_int, stream: *mut *mut c_void) -> *mut c_char;
    fn synth_hold(device: c_int, cycles: i64) -> *mut c_char;
    fn synth_empty_cache() -> *mut c_char;
    fn synth_graph_pool(pool: *mut u64) -> *mut c_char;
    fn synth_graph_begin(pool: *const u64, graph: *mut *mut c_void) -> *mut c_char;
    fn synth_graph_end(graph: *mut c_void) -> *mut c_char;
    fn synth_graph_replay(graph: *mut c_void) -> *mut c_char;
    fn synth_graph_free(graph: *mut c_void);
}

/// The name of a pool of memory, in use as long as a graph has it.
type Pool = Rc<[u64; 2]>;

thread_local! {
    /// The pool of this thread's graphs, shared because they run one after the other and none needs what another left.
    /// A pool that no graph has is gone, and its name with it.
    static POOL: RefCell<Weak<[u64; 2]>> = const { RefCell::new(Weak::new()) };
}

/// A recorded step.
pub struct CudaGraph {
    graph: *mut c_void,
    _pool: Pool,
}

/// Lets this thread's work on a CUDA device run on a stream of its own from now on: the default stream cannot be
/// recorded. Does nothing the second time, or on the CPU.
///
/// # Errors
/// What libtorch reports.
pub fn own_stream(device: Device) -> Result<(), TchError> {
    let Device::Cuda(index) = device else { return Ok(()) };
    // SAFETY: takes a number only.
    check(unsafe { synth_own_stream(index as c_int) })
}

/// The driver's handle of the stream on which this thread's work runs.
///
/// # Errors
/// What libtorch reports.
pub fn current_stream(index: usize) -> Result<*mut c_void, TchError> {
    let mut stream = std::ptr::null_mut();
    // SAFETY: writes one handle, which stays libtorch's.
    check(unsafe { synth_current_stream(index as c_int, &mut stream) })?;
    Ok(stream)
}

/// Lets this thread's stream do nothing for so many cycles of the device's clock, so that the host gets ahead of it.
///
/// # Errors
/// What libtorch reports.
pub fn hold(index: usize, cycles: i64) -> Result<(), TchError> {
    // SAFETY: takes numbers only.
    check(unsafe { synth_hold(index as c_int, cycles) })
}

/// Waits for the work of this thread's stream.
///
/// # Errors
/// What the work before reports.
pub fn synchronize(index: usize) -> Result<(), TchError> {
    // SAFETY: takes a number only.
    check(unsafe { synth_synchronize(index as c_int) })
}

impl CudaGraph {
    /// Records `step`, which does not run yet, on this thread's stream ([`own_stream`]).
    ///
    /// A step that is recorded neither reads values on the host nor makes tensors from host data; all that it reads
    /// from outside or leaves behind lies in tensors that stay where they are. It has run before, so that no library
    /// sets itself up in the record. Where recording fails, nothing has been computed and work can go on.
    ///
    /// # Errors
    /// What the step reports, or libtorch of an operation that cannot be recorded.
    pub fn record<E: From<TchError>>(step: impl FnOnce() -> Result<(), E>) -> Result<CudaGraph, E> {
        let pool = pool()?;
        let mut graph = std::ptr::null_mut();
        // SAFETY: `pool` is a pool's name; on success `graph` is a new graph, which `CudaGraph` frees.
        check(unsafe { synth_empty_cache() })?;
        check(unsafe { synth_graph_begin(pool.as_ptr(), &mut graph) })?;
        let graph = CudaGraph { graph, _pool: pool };
        let stepped = step();
        // SAFETY: the graph is alive; recording ends in every case.
        let ended = check(unsafe { synth_graph_end(graph.graph) });
        // The step's own error is the cause of the other.
        stepped?;
        ended?;
        Ok(graph)
    }

    /// Runs the recorded step on the current stream.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn replay(&self) -> Result<(), TchError> {
        // SAFETY: the graph is alive.
        check(unsafe { synth_graph_replay(self.graph) })
    }
}

impl Drop for CudaGraph {
    fn drop(&mut self) {
        // SAFETY: made by `synth_graph_begin`, freed once.
        unsafe { synth_graph_free(self.graph) }
    }
}

fn pool() -> Result<Pool, TchError> {
    POOL.with_borrow_mut(|current| {
        if let Some(pool) = current.upgrade() {
            return Ok(pool);
        }
        let mut name = [0; 2];
        // SAFETY: the shim writes two numbers.
        check(unsafe { synth_graph_pool(name.as_mut_ptr()) })?;
        let pool = Rc::new(name);
        *current = Rc::downgrade(&pool);
        Ok(pool)
    })
}
