//! libtorch's generator of a CUDA device: what is drawn besides a run must not change what the run draws.

use tch::TchError;
#[cfg(cuda_graphs)]
use {
    super::{TensorPointer, check},
    libc::{c_char, c_int},
    tch::Tensor,
};

#[cfg(cuda_graphs)]
unsafe extern "C" {
    fn synth_generator_state(device: c_int, state: *mut TensorPointer) -> *mut c_char;
    fn synth_set_generator_state(device: c_int, state: TensorPointer) -> *mut c_char;
}

/// Does `work`, after which the device's generator stands where it stood before. Not while a graph is recorded.
///
/// # Errors
/// What libtorch reports.
#[cfg(cuda_graphs)]
pub fn keeping_generator<T>(index: usize, work: impl FnOnce() -> T) -> Result<T, TchError> {
    let mut state = std::ptr::null_mut();
    // SAFETY: on success `state` is a new tensor on the host that we own.
    check(unsafe { synth_generator_state(index as c_int, &mut state) })?;
    let state = unsafe { Tensor::from_ptr(state) };
    let result = work();
    // SAFETY: a live tensor for the time of the call.
    check(unsafe { synth_set_generator_state(index as c_int, state.as_ptr() as TensorPointer) })?;
    Ok(result)
}

/// Refuses: without CUDA's headers the state cannot be read.
///
/// # Errors
/// Always.
#[cfg(not(cuda_graphs))]
pub fn keeping_generator<T>(_index: usize, _work: impl FnOnce() -> T) -> Result<T, TchError> {
    Err(TchError::Torch("this build has no CUDA headers".to_string()))
}
