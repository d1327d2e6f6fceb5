//! What only an NVIDIA GPU shows. `make test-gpu` runs these and fails without one; elsewhere they skip.

mod attention;
mod graphs;
mod kernels;
mod memory;
mod pairs;
mod place;
mod runs;
mod training;

use std::sync::{Mutex, MutexGuard, PoisonError};
use synth::parameters::{Init, Parameters};
use tch::{Cuda, Device, Kind, Tensor};

/// A test's turn on the device, where there is one: memory, generators and switches of libtorch are the process's.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn gpu() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    if !Cuda::is_available() {
        assert!(std::env::var_os("SYNTH_TEST_GPU").is_none(), "SYNTH_TEST_GPU is set and there is no CUDA device");
        eprintln!("skipped: no CUDA device");
        return None;
    }
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

fn normal(seed: u64, shape: &[i64]) -> Tensor {
    let mut parameters = Parameters::new(seed, Device::Cpu, Kind::Double);
    parameters.root().tensor("x", shape, Init::Normal(1.0)).detach()
}
