//! A stock attention kernel that tch lacks: over a cache whose used length lies in device memory.

use super::{TensorPointer, check};
use libc::c_char;
use tch::{TchError, Tensor};

unsafe extern "C" {
    fn synth_flash_over_cache(
        q: TensorPointer,
        k: TensorPointer,
        v: TensorPointer,
        query_starts: TensorPointer,
        key_starts: TensorPointer,
        lengths: TensorPointer,
        longest: i64,
        scale: f64,
        output: *mut TensorPointer,
    ) -> *mut c_char;
}

/// Where each sample's query and keys begin in [`flash_over_cache`]: int32 `[batch + 1]` each, from 0 on.
pub struct Starts {
    /// 0, 1, … batch.
    pub queries: Tensor,
    /// Rows of the keys.
    pub keys: Tensor,
}

/// `softmax(scale·q·Kᵀ)·V` of one query per sample, `q` `[batch, heads, width]`, over the first `lengths` (int32
/// `[batch]`) of its rows of `k` and `v` `[rows, heads, width]`, `longest` at most: FlashAttention (arXiv 2307.08691),
/// for bfloat16 on CUDA.
///
/// # Errors
/// What libtorch reports, such as a device, kind or width that the kernel does not take.
pub fn flash_over_cache(
    q: &Tensor,
    (k, v): (&Tensor, &Tensor),
    starts: &Starts,
    (lengths, longest): (&Tensor, i64),
    scale: f64,
) -> Result<Tensor, TchError> {
    let pointer = |tensor: &Tensor| tensor.as_ptr() as TensorPointer;
    let mut output = std::ptr::null_mut();
    // SAFETY: live tensors for the time of the call; on success `output` is a new tensor that we own.
    check(unsafe {
        synth_flash_over_cache(
            pointer(q),
            pointer(k),
            pointer(v),
            pointer(&starts.queries),
            pointer(&starts.keys),
            pointer(lengths),
            longest,
            scale,
            &mut output,
        )
    })?;
    Ok(unsafe { Tensor::from_ptr(output) })
}
