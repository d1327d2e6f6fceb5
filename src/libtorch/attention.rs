//! Stock attention kernels that tch lacks: over a cache whose used length lies in device memory, and cuDNN's, which takes
//! values of another width than queries and keys.

use super::{TensorPointer, check, pointers};
use libc::{c_char, c_int};
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
    fn synth_cudnn_attention(
        q: TensorPointer,
        k: TensorPointer,
        v: TensorPointer,
        dropout: f64,
        causal: c_int,
        scale: f64,
        training: c_int,
        results: *mut TensorPointer,
    ) -> *mut c_char;
    fn synth_cudnn_attention_backward(
        gradient: TensorPointer,
        q: TensorPointer,
        k: TensorPointer,
        v: TensorPointer,
        saved: *const TensorPointer,
        dropout: f64,
        causal: c_int,
        scale: f64,
        results: *mut TensorPointer,
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

/// `softmax(scale·Q·Kᵀ)·V` by cuDNN, whose output is there and whose backward pass may follow.
#[derive(Debug)]
pub struct CudnnAttention {
    operands: [Tensor; 3],
    /// Output, logsumexp, and the generator's seed and offset.
    results: [Tensor; 4],
    dropout: f64,
    causal: bool,
    scale: f64,
}

impl CudnnAttention {
    /// Of `[q, k, v]` in bfloat16 on CUDA, each `[batch, heads, length, width]`, without a history; the values' width may
    /// be another. `training` keeps what [`CudnnAttention::backward`] needs.
    ///
    /// # Errors
    /// What libtorch reports, such as widths that cuDNN does not take.
    pub fn new(
        operands: [Tensor; 3],
        (dropout, causal, scale): (f64, bool, f64),
        training: bool,
    ) -> Result<Self, TchError> {
        let mut results = [std::ptr::null_mut(); 4];
        let [q, k, v] = operands.each_ref().map(|tensor| tensor.as_ptr() as TensorPointer);
        let (causal_flag, training) = (c_int::from(causal), c_int::from(training));
        // SAFETY: live tensors for the time of the call; on success the results are new tensors that we own.
        check(unsafe { synth_cudnn_attention(q, k, v, dropout, causal_flag, scale, training, results.as_mut_ptr()) })?;
        let results = results.map(|result| unsafe { Tensor::from_ptr(result) });
        Ok(Self { operands, results, dropout, causal, scale })
    }

    /// `[batch, heads, N, width of v]`.
    pub fn output(&self) -> &Tensor {
        &self.results[0]
    }

    /// The gradients of q, k and v, each for every sample, for that of the output.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn backward(&self, gradient: &Tensor) -> Result<[Tensor; 3], TchError> {
        let mut results = [std::ptr::null_mut(); 3];
        let [q, k, v] = self.operands.each_ref().map(|tensor| tensor.as_ptr() as TensorPointer);
        let saved = pointers(&self.results);
        // SAFETY: as above.
        check(unsafe {
            synth_cudnn_attention_backward(
                gradient.as_ptr() as TensorPointer,
                q,
                k,
                v,
                saved.as_ptr(),
                self.dropout,
                c_int::from(self.causal),
                self.scale,
                results.as_mut_ptr(),
            )
        })?;
        Ok(results.map(|result| unsafe { Tensor::from_ptr(result) }))
    }
}
