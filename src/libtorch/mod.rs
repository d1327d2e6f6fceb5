//! What tch lacks, through a C++ shim: the fused optimizer, switches of attention and
//! determinism, attention over a cache and by stock kernels, fused products, memory figures, backward passes in Rust, CUDA
//! graphs, copies ahead of the work.
//!
//! With `kernels` the only home of `unsafe`. The rules that make it sound: a `*mut C_tensor` is an
//! `at::Tensor*` (torch-sys's own convention), borrowed for the call unless a comment says that it is
//! owned; no exception and no panic crosses the border; every entry answers NULL or a message.

#![allow(unsafe_code)]

pub mod allocator;
pub mod attention;
pub mod autograd;
pub mod context;
#[cfg(cuda_graphs)]
pub mod copy_ahead;
#[cfg(cuda_graphs)]
pub mod cuda_graph;
pub mod dropout;
pub mod generator;
pub mod memory;
pub mod optimizer;
pub mod products;
pub mod recompute;
pub mod replay;
pub mod stock_attention;

use libc::c_char;
use std::borrow::Borrow;
use std::ffi::CStr;
use tch::{TchError, Tensor};
use torch_sys::C_tensor;

type TensorPointer = *mut C_tensor;

/// Turns the shim's answer into a result, and frees the message.
fn check(message: *mut c_char) -> Result<(), TchError> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the shim answers NULL or a zero-terminated string from malloc that is ours to free.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    unsafe { libc::free(message.cast()) };
    Err(TchError::Torch(text))
}

/// The pointers of tensors, valid as long as the tensors are.
fn pointers<T: Borrow<Tensor>>(tensors: &[T]) -> Vec<TensorPointer> {
    tensors.iter().map(|tensor| tensor.borrow().as_ptr() as TensorPointer).collect()
}
