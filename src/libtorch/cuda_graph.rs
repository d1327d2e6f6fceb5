//! CUDA graphs: a step recorded once and replayed without the cost of its launches.

use super::check;
use libc::{c_char, c_int, c_void};
use tch::TchError;

unsafe extern "C" {
    fn synth_graph_side_begin(device: c_int, graph: *mut *mut c_void) -> *mut c_char;
    fn synth_graph_side_end(graph: *mut c_void) -> *mut c_char;
    fn synth_graph_begin(graph: *mut c_void) -> *mut c_char;
    fn synth_graph_end(graph: *mut c_void) -> *mut c_char;
    fn synth_graph_replay(graph: *mut c_void) -> *mut c_char;
    fn synth_graph_free(graph: *mut c_void);
}

/// A recorded step.
pub struct CudaGraph(*mut c_void);

impl CudaGraph {
    /// Runs `step` `warmup` times, then records it once, on a stream of its own.
    ///
    /// A step that is recorded neither reads values on the host nor makes tensors from host data.
    ///
    /// # Errors
    /// What libtorch reports, such as an operation that cannot be recorded.
    pub fn capture(
        device: usize,
        warmup: usize,
        mut step: impl FnMut() -> Result<(), TchError>,
    ) -> Result<CudaGraph, TchError> {
        let mut graph = std::ptr::null_mut();
        // SAFETY: on success `graph` is a new graph; `CudaGraph` frees it in every case.
        check(unsafe { synth_graph_side_begin(device as c_int, &mut graph) })?;
        let graph = CudaGraph(graph);
        let recorded = graph.record(warmup, &mut step);
        check(unsafe { synth_graph_side_end(graph.0) })?;
        recorded.map(|()| graph)
    }

    fn record(&self, warmup: usize, step: &mut dyn FnMut() -> Result<(), TchError>) -> Result<(), TchError> {
        for _ in 0..warmup {
            step()?;
        }
        // SAFETY: the graph is alive; recording is ended before an error of the step is answered.
        check(unsafe { synth_graph_begin(self.0) })?;
        let stepped = step();
        check(unsafe { synth_graph_end(self.0) })?;
        stepped
    }

    /// Runs the recorded step on the current stream.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn replay(&self) -> Result<(), TchError> {
        // SAFETY: the graph is alive.
        check(unsafe { synth_graph_replay(self.0) })
    }
}

impl Drop for CudaGraph {
    fn drop(&mut self) {
        // SAFETY: made by `synth_graph_side_begin`, freed once.
        unsafe { synth_graph_free(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Cuda, Device, Kind, Tensor};

    #[test]
    fn gpu_a_replay_repeats_the_step() {
        if !Cuda::is_available() {
            #[allow(clippy::print_stderr)]
            return eprintln!("skipped: no CUDA device");
        }
        let mut sum = Tensor::zeros([4], (Kind::Float, Device::Cuda(0)));
        let one = Tensor::ones([4], (Kind::Float, Device::Cuda(0)));
        let graph = CudaGraph::capture(0, 2, || sum.f_add_(&one).map(drop)).unwrap();
        for _ in 0..5 {
            graph.replay().unwrap();
        }
        assert_eq!(sum.sum(Kind::Float).double_value(&[]), 4.0 * 7.0);
    }
}
