//! Memory of devices, as libtorch's allocator counts it.

use super::{TensorPointer, check};
use libc::{c_char, c_int};
use tch::{TchError, Tensor};

unsafe extern "C" {
    fn synth_memory(device: c_int, bytes: *mut i64) -> *mut c_char;
    fn synth_pinned(tensor: TensorPointer, pinned: *mut TensorPointer) -> *mut c_char;
    fn synth_memory_reset_peak(device: c_int) -> *mut c_char;
}

/// Bytes of a CUDA device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaMemory {
    /// In tensors now.
    pub allocated: i64,
    /// In tensors at most, since the start or the last reset.
    pub peak_allocated: i64,
    /// Held by the allocator now.
    pub reserved: i64,
    /// Held by the allocator at most.
    pub peak_reserved: i64,
    /// Free on the device, as the driver sees it.
    pub free: i64,
    /// On the device in all.
    pub total: i64,
}

/// Memory of a CUDA device.
///
/// # Errors
/// What libtorch reports, such as an absent device.
pub fn cuda_memory(index: usize) -> Result<CudaMemory, TchError> {
    let mut bytes = [0; 6];
    // SAFETY: the shim writes six numbers.
    check(unsafe { synth_memory(index as c_int, bytes.as_mut_ptr()) })?;
    let [allocated, peak_allocated, reserved, peak_reserved, free, total] = bytes;
    Ok(CudaMemory { allocated, peak_allocated, reserved, peak_reserved, free, total })
}

/// Starts the peaks of a CUDA device anew.
///
/// # Errors
/// What libtorch reports.
pub fn reset_cuda_peak(index: usize) -> Result<(), TchError> {
    // SAFETY: takes a number only.
    check(unsafe { synth_memory_reset_peak(index as c_int) })
}

/// A copy of a CPU tensor in pinned memory, from which a GPU copies while the host goes on.
///
/// # Errors
/// What libtorch reports, an absent device first of all.
pub fn pinned(tensor: &Tensor) -> Result<Tensor, TchError> {
    let mut pinned = std::ptr::null_mut();
    // SAFETY: a live tensor; on success `pinned` is a new tensor that we own.
    check(unsafe { synth_pinned(tensor.as_ptr() as TensorPointer, &mut pinned) })?;
    Ok(unsafe { Tensor::from_ptr(pinned) })
}
