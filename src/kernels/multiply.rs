//! Products of matrices. On an NVIDIA GPU those of bfloat16 go to cuBLASLt directly, each with the algorithm that was the
//! fastest when its shape first came, which is remembered: in the process, and for the next in the user's cache folder.
//! All others are libtorch's operations.
//!
//! Operands are matrices `[rows, k]` and `[k, columns]`, or batches of them with one more axis in front. Sums are float32
//! at least. None of the functions leaves a history for backward passes.
//!
//! Deterministic runs (`train.deterministic`) take the first algorithm that cuBLASLt's heuristic names, and neither time
//! nor remember. Algorithms that add up parts in another kind than float32, or in the output's place, are never taken.

mod choice;
mod gpu;
mod header;
mod kept;
mod library;
mod plan;
mod problem;
mod stopwatch;

use super::ON;
use super::activation::{Activation, bias_activation};
use libc::c_void;
use library::Addresses;
use problem::Problem;
use std::sync::atomic::Ordering;
use tch::{Device, Kind, Tensor, no_grad};

/// cuBLASLt's version where products in bfloat16 on the CUDA device with this number go there directly.
///
/// # Errors
/// Why they do not.
pub fn cublaslt(index: usize) -> Result<String, String> {
    gpu::version(index)
}

/// `a·b` in the operands' kind.
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn multiply(a: &Tensor, b: &Tensor) -> Tensor {
    no_grad(|| by_cublaslt_new(a, b, a.kind(), None).unwrap_or_else(|| plain(a, b)))
}

/// `a·b` in at least float32, but on the CPU in the operands' kind.
///
/// # Panics
/// As [`multiply`].
pub fn multiply_wide(a: &Tensor, b: &Tensor) -> Tensor {
    no_grad(|| {
        by_cublaslt_new(a, b, Kind::Float, None).unwrap_or_else(|| match (on_cuda_in_bfloat16(a), a.dim()) {
            (true, 3) => a.bmm_dtype(b, Kind::Float),
            (true, _) => a.mm_dtype(b, Kind::Float),
            (false, _) => plain(a, b),
        })
    })
}

/// Writes `a·b` into `out`, whose rows may have gaps between them: in the operands' kind, or float32.
///
/// # Panics
/// As [`multiply`].
pub fn multiply_into(out: &Tensor, a: &Tensor, b: &Tensor) {
    no_grad(|| {
        if by_cublaslt(out, [a, b], false, None) {
            return;
        }
        if a.kind() == out.kind() {
            let _ = if a.dim() == 3 { a.bmm_out(out, b) } else { a.mm_out(out, b) };
        } else {
            out.shallow_clone().copy_(&multiply_wide(a, b));
        }
    });
}

/// Adds `a·b` to `sum`, in its kind.
///
/// # Panics
/// As [`multiply`].
pub fn add_product(sum: &mut Tensor, a: &Tensor, b: &Tensor) {
    no_grad(|| {
        if by_cublaslt(sum, [a, b], true, None) {
            return;
        }
        match (on_cuda_in_bfloat16(a) && sum.kind() == Kind::Float, a.kind() == sum.kind(), a.dim()) {
            (true, _, 3) => drop(sum.baddbmm_dtype_out(sum, a, b, Kind::Float)),
            (true, _, _) => drop(sum.addmm_dtype_out(sum, a, b, Kind::Float)),
            (_, true, 3) => drop(sum.baddbmm_(a, b)),
            (_, true, _) => drop(sum.addmm_(a, b)),
            _ => *sum += plain(a, b),
        }
    });
}

/// `relu(a·b + bias)` of matrices, in their kind; the bias `[columns]` in float32 or theirs. cuBLASLt rounds the result once;
/// other ways round the product first.
///
/// # Panics
/// As [`multiply`].
pub fn multiply_relu(a: &Tensor, b: &Tensor, bias: &Tensor) -> Tensor {
    no_grad(|| {
        let wide = by_cublaslt_new(a, b, a.kind(), Some(bias));
        // Where no algorithm takes the bias in another kind, one may in this.
        let narrowed = || (bias.kind() != a.kind()).then(|| bias.to_kind(a.kind()));
        let done = wide.or_else(|| by_cublaslt_new(a, b, a.kind(), Some(&narrowed()?)));
        done.unwrap_or_else(|| bias_activation(multiply(a, b), Some(&bias.detach()), Activation::Relu, None))
    })
}

fn plain(a: &Tensor, b: &Tensor) -> Tensor {
    if a.dim() == 3 { a.bmm(b) } else { a.mm(b) }
}

fn on_cuda_in_bfloat16(x: &Tensor) -> bool {
    x.kind() == Kind::BFloat16 && matches!(x.device(), Device::Cuda(_))
}

/// The product by cuBLASLt; `None` where it does not compute it.
fn by_cublaslt_new(a: &Tensor, b: &Tensor, kind: Kind, bias: Option<&Tensor>) -> Option<Tensor> {
    if !on_cuda_in_bfloat16(a) || a.dim() != b.dim() {
        return None;
    }
    let (mut shape, last) = (a.size(), b.size());
    *shape.last_mut()? = *last.last()?;
    let out = Tensor::empty(shape, (kind, a.device()));
    by_cublaslt(&out, [a, b], false, bias).then_some(out)
}

/// Whether cuBLASLt computes the product, which it then does.
fn by_cublaslt(out: &Tensor, [a, b]: [&Tensor; 2], adds: bool, bias: Option<&Tensor>) -> bool {
    let Device::Cuda(index) = a.device() else { return false };
    if !ON.load(Ordering::Relaxed) {
        return false;
    }
    let together = [Some(b), Some(out), bias].into_iter().flatten().all(|x| x.device() == a.device());
    let Some(problem) = together.then(|| Problem::of(out, [a, b], adds, bias)).flatten() else { return false };
    let address = |x: &Tensor| x.data_ptr() as *const c_void;
    let bias = bias.map_or(std::ptr::null(), address);
    let at = Addresses { a: address(b), b: address(a), out: out.data_ptr(), bias };
    let scratch = || {
        let mut copy = Tensor::empty_strided(out.size(), out.stride(), (out.kind(), out.device()));
        copy.copy_(out);
        let address = copy.data_ptr();
        (copy, address)
    };
    // SAFETY: the tensors that the problem was read from, all on this card, alive for the time of the call; cuBLASLt's
    // first operand is the second here.
    unsafe { gpu::run(index, problem, at, &scratch) }
}

#[cfg(test)]
mod tests;
