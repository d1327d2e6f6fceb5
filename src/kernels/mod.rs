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

use launch::Launch;
use tch::{Device, Kind, Tensor};
use text::Text;

/// Whether kernels run on `device`; if not, why not.
///
/// # Errors
/// The reason, as a sentence's end: "kernels are not used: …".
pub fn runs_on(device: Device) -> Result<(), String> {
    match device {
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
