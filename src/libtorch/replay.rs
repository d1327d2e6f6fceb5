//! Steps that are repeated: run as they are the first time, recorded the second, replayed from then on.

#[cfg(cuda_graphs)]
use super::cuda_graph::{self, CudaGraph};
use anyhow::Result;
use std::collections::HashMap;
use tch::Device;

/// Graphs that are kept at most; steps of further shapes run without one.
const MOST: usize = 64;

/// The recorded steps of one piece of work, one for each shape of its inputs.
pub struct Replays {
    enabled: bool,
    steps: HashMap<Vec<i64>, Known>,
}

#[cfg_attr(not(cuda_graphs), expect(dead_code, reason = "without graphs nothing is enabled"))]
enum Known {
    /// It has run once: what libraries set up is set up.
    Seen,
    #[cfg(cuda_graphs)]
    Recorded(CudaGraph),
    /// It cannot be recorded.
    Refused,
}

impl Replays {
    /// Replays on a CUDA device where `enabled`; elsewhere every step runs as it is.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn new(device: Device, enabled: bool) -> Result<Self> {
        let cuda = enabled && matches!(device, Device::Cuda(_));
        #[cfg(cuda_graphs)]
        if cuda {
            cuda_graph::own_stream(device)?;
        }
        if cuda && !cfg!(cuda_graphs) {
            say("this build has no CUDA graphs (`synth doctor`)");
        }
        Ok(Self { enabled: cuda && cfg!(cuda_graphs), steps: HashMap::new() })
    }

    /// Runs `step`, whose work depends on `key` and on the contents of tensors that stay where they are, and leaves its
    /// results in such tensors. Recording it computes nothing, so that the first run is the only warm-up, and counts.
    ///
    /// A step that cannot be recorded runs as it is, after one line that says why. It must therefore leave nothing on
    /// the host that a second call would find in its way.
    ///
    /// # Errors
    /// Those of `step`; what libtorch reports.
    pub fn run(&mut self, key: &[i64], step: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        if !self.enabled {
            return step();
        }
        match self.steps.get(key) {
            None => {
                step()?;
                self.remember(key);
                Ok(())
            }
            #[cfg(cuda_graphs)]
            Some(Known::Recorded(graph)) => Ok(graph.replay()?),
            Some(Known::Refused) => step(),
            Some(Known::Seen) => self.record(key, step),
        }
    }

    /// Whether steps are replayed: one was recorded at least, and none had to run as it is for good.
    pub fn replaying(&self) -> bool {
        let refused = self.steps.values().any(|known| matches!(known, Known::Refused));
        !refused && self.steps.values().any(|known| !matches!(known, Known::Seen))
    }

    fn remember(&mut self, key: &[i64]) {
        if self.steps.len() == MOST {
            say(&format!("more than {MOST} shapes of inputs"));
        }
        if self.steps.len() < MOST {
            self.steps.insert(key.to_vec(), Known::Seen);
        }
    }

    #[cfg(cuda_graphs)]
    fn record(&mut self, key: &[i64], step: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        match CudaGraph::record(|| crate::panics::catch(&mut *step)) {
            Ok(graph) => {
                graph.replay()?;
                self.steps.insert(key.to_vec(), Known::Recorded(graph));
                Ok(())
            }
            Err(error) => {
                tracing::debug!("{error:?}");
                say(&crate::panics::one_line(&error));
                self.steps.insert(key.to_vec(), Known::Refused);
                step()
            }
        }
    }

    #[cfg(not(cuda_graphs))]
    fn record(&mut self, _key: &[i64], step: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        step()
    }
}

/// The one line that tells why a step is slower than it could be.
fn say(why: &str) {
    tracing::warn!("running kernel by kernel instead of as a CUDA graph: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Cuda, Kind, Tensor};

    #[test]
    fn on_the_cpu_a_step_runs_each_time() {
        let mut replays = Replays::new(Device::Cpu, true).unwrap();
        let mut count = 0;
        for _ in 0..3 {
            let step = &mut || {
                count += 1;
                Ok(())
            };
            replays.run(&[1], step).unwrap();
        }
        assert_eq!(count, 3);
        assert!(!replays.replaying());
    }

    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn gpu() -> bool {
        if !Cuda::is_available() {
            eprintln!("skipped: no CUDA device");
        }
        Cuda::is_available() && cfg!(cuda_graphs)
    }

    #[test]
    fn gpu_each_run_counts_once_whether_recorded_or_not() {
        if !gpu() {
            return;
        }
        let mut replays = Replays::new(Device::Cuda(0), true).unwrap();
        let zeros = || Tensor::zeros([4], (Kind::Float, Device::Cuda(0)));
        let (mut sum, one) = (zeros(), zeros() + 1.0);
        for _ in 0..5 {
            let mut step = || {
                let _ = sum.f_add_(&one)?;
                Ok(())
            };
            replays.run(&[4], &mut step).unwrap();
        }
        assert!(replays.replaying());
        assert_eq!(sum.sum(Kind::Float).double_value(&[]), 4.0 * 5.0);
    }

    #[test]
    fn gpu_a_step_that_waits_for_the_device_runs_as_it_is() {
        if !gpu() {
            return;
        }
        let mut replays = Replays::new(Device::Cuda(0), true).unwrap();
        let mut sum = Tensor::zeros([4], (Kind::Float, Device::Cuda(0)));
        for step in 0..5 {
            let mut step = || {
                let read = sum.double_value(&[0]);
                assert_eq!(read, f64::from(step));
                // Draws from the generator go on after a record that failed.
                let _ = sum.dropout(0.5, true);
                let _ = sum.f_add_scalar_(1.0)?;
                Ok(())
            };
            replays.run(&[4], &mut step).unwrap();
        }
        assert!(!replays.replaying());
        assert_eq!(sum.double_value(&[3]), 5.0);
    }
}
