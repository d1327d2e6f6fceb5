//! Own CUDA kernels: their texts (`cuda/*.cu`), how they are compiled and launched, and beside each what it takes the
//! place of, its slow twin in plain tensor operations.
//!
//! A function here gives the same numbers whichever runs: with kernels on a card that takes them (see [`runs_on`]), else
//! the twin. Tests compile the same texts for the host and compare them with the twins in float64, without a GPU.

#![allow(unsafe_code)]

pub mod activation;
pub mod adamw;
pub mod add_norm;
mod cache;
mod column_sums;
mod device;
pub mod dropout;
pub mod embedding;
pub mod feed_forward;
mod feed_forward_products;
pub mod gated_activation;
#[cfg(test)]
pub(crate) mod host;
mod launch;
pub mod multiply;
pub mod narrow;
pub mod permute;
pub mod product;
pub mod score_operands;
pub mod shared_softmax;
pub mod stock_attention;
mod text;
mod timing;
pub mod vocabulary_loss;

pub use device::hopper_multiprocessors;
use launch::Launch;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tch::{Device, Kind, Tensor};
use text::Text;

/// Whether nobody switched the kernels off.
static ON: AtomicBool = AtomicBool::new(true);

/// Whether kernels run from now on, for the whole process (`train.kernels`).
pub fn switch(on: bool) {
    ON.store(on, Ordering::Relaxed);
}

/// Whether kernels run on `device`; if not, why not.
///
/// # Errors
/// The reason, as a sentence's end: "kernels are not used: …".
pub fn runs_on(device: Device) -> Result<(), String> {
    match device {
        _ if !ON.load(Ordering::Relaxed) => Err("train.kernels is false".to_string()),
        #[cfg(test)]
        Device::Cpu if host::is_on() => Ok(()),
        Device::Cuda(index) => device::supports(index),
        _ => Err("they are for NVIDIA GPUs".to_string()),
    }
}

/// Whether a kernel is to run on what lies where `x` does.
fn takes(x: &Tensor) -> bool {
    runs_on(x.device()).is_ok()
}

/// Says, once in a process for each of them, that `operation` of numbers like `x` takes plain operations on a GPU.
fn say_plain(operation: &'static str, x: &Tensor) {
    static SAID: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    if !matches!(x.device(), Device::Cuda(_)) {
        return;
    }
    let (key, text) = match runs_on(x.device()) {
        Err(why) => ("all", format!("own CUDA kernels are not used: {why}; plain operations run instead")),
        Ok(()) if x.kind() == Kind::Double => {
            ("float64", "float64 takes plain operations, not our kernels".to_string())
        }
        Ok(()) => {
            let (kind, width) = (x.kind(), x.size().last().copied().unwrap_or(1));
            (operation, format!("{operation} of {kind:?}, {width} wide, takes plain operations: no kernel covers it"))
        }
    };
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(key) {
        tracing::info!("{text}");
    }
}

/// What the texts call a kind of numbers; `None` for those that they do not know.
fn number(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Float => Some("float"),
        Kind::BFloat16 => Some("bf16"),
        _ => None,
    }
}

/// A new tensor beside `x`.
fn new(x: &Tensor, shape: &[i64], kind: Kind) -> Tensor {
    Tensor::empty(shape, (kind, x.device()))
}
