//! Stock attention kernels with their backward passes apart from autograd: cuDNN's and FlashAttention (arXiv 2307.08691).

use super::{TensorPointer, check, pointers};
use libc::{c_char, c_int};
use tch::{TchError, Tensor};

unsafe extern "C" {
    fn synth_stock_attention(
        flash: c_int,
        q: TensorPointer,
        k: TensorPointer,
        v: TensorPointer,
        dropout: f64,
        causal: c_int,
        scale: f64,
        training: c_int,
        results: *mut TensorPointer,
    ) -> *mut c_char;
    fn synth_stock_attention_backward(
        flash: c_int,
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

/// Whose kernel it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// cuDNN's; values may have another width than queries and keys.
    Cudnn,
    /// FlashAttention, whose backward pass gives the same bits each time in deterministic runs. It wants one width: the
    /// narrower operands are padded with zeros.
    Flash,
}

/// What is computed of queries, keys and values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Probability that a weight is dropped, by libtorch's generator of the device.
    pub dropout: f64,
    /// Whether queries see the keys up to their own position only.
    pub causal: bool,
    /// What scores are multiplied by.
    pub scale: f64,
    /// Whether [`StockAttention::backward`] is to follow.
    pub training: bool,
}

/// `softmax(scale·Q·Kᵀ)·V` by a stock kernel, whose output is there and whose backward pass may follow.
#[derive(Debug)]
pub struct StockAttention {
    backend: Backend,
    settings: Settings,
    /// As the kernel took them.
    operands: [Tensor; 3],
    /// Of q, k and v as they came.
    widths: [i64; 3],
    /// Output, logsumexp, and the generator's seed and offset.
    results: [Tensor; 4],
}

impl StockAttention {
    /// Of `[q, k, v]` in bfloat16 on CUDA, each `[batch, heads, length, width]`, without a history.
    ///
    /// # Errors
    /// What libtorch reports, such as widths that the kernel does not take.
    pub fn new(backend: Backend, operands: [Tensor; 3], settings: Settings) -> Result<Self, TchError> {
        let widths = operands.each_ref().map(|operand| operand.size()[3]);
        let operands = match backend {
            Backend::Cudnn => operands,
            Backend::Flash => {
                let widest = widths.into_iter().max().unwrap_or_default();
                operands.map(|operand| padded(operand, widest))
            }
        };
        let mut results = [std::ptr::null_mut(); 4];
        let [q, k, v] = operands.each_ref().map(|tensor| tensor.as_ptr() as TensorPointer);
        let Settings { dropout, causal, scale, training } = settings;
        // SAFETY: live tensors for the time of the call; on success the results are new tensors that we own.
        check(unsafe {
            synth_stock_attention(
                flash(backend),
                q,
                k,
                v,
                dropout,
                c_int::from(causal),
                scale,
                c_int::from(training),
                results.as_mut_ptr(),
            )
        })?;
        let results = results.map(|result| unsafe { Tensor::from_ptr(result) });
        Ok(Self { backend, settings, operands, widths, results })
    }

    /// `[batch, heads, N, width of v]`.
    pub fn output(&self) -> Tensor {
        cut(self.results[0].shallow_clone(), self.widths[2])
    }

    /// The gradients of q, k and v, each for every sample, for that of the output, dense in its last axis.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn backward(&self, gradient: &Tensor) -> Result<[Tensor; 3], TchError> {
        let gradient = padded(gradient.shallow_clone(), self.results[0].size()[3]);
        let mut results = [std::ptr::null_mut(); 3];
        let [q, k, v] = self.operands.each_ref().map(|tensor| tensor.as_ptr() as TensorPointer);
        let saved = pointers(&self.results);
        let Settings { dropout, causal, scale, .. } = self.settings;
        // SAFETY: as above.
        check(unsafe {
            synth_stock_attention_backward(
                flash(self.backend),
                gradient.as_ptr() as TensorPointer,
                q,
                k,
                v,
                saved.as_ptr(),
                dropout,
                c_int::from(causal),
                scale,
                results.as_mut_ptr(),
            )
        })?;
        let [of_q, of_k, of_v] = results.map(|result| unsafe { Tensor::from_ptr(result) });
        let [q, k, v] = self.widths;
        Ok([cut(of_q, q), cut(of_k, k), cut(of_v, v)])
    }
}

fn flash(backend: Backend) -> c_int {
    c_int::from(backend == Backend::Flash)
}

/// With columns of zeros behind its own.
fn padded(x: Tensor, width: i64) -> Tensor {
    let missing = width - x.size()[3];
    if missing > 0 { x.constant_pad_nd([0, missing]) } else { x }
}

/// Without the columns behind the first `width`.
fn cut(x: Tensor, width: i64) -> Tensor {
    if x.size()[3] > width { x.narrow(3, 0, width) } else { x }
}
