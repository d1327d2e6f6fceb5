//! Dropout of attention weights from a counter hash, on the CPU in one pass over memory.

use super::{TensorPointer, check};
use libc::{c_char, c_int};
use tch::{TchError, Tensor};

unsafe extern "C" {
    fn synth_drop(
        out: TensorPointer,
        x: TensorPointer,
        rows: TensorPointer,
        columns: TensorPointer,
        threshold: c_int,
    ) -> *mut c_char;
}

/// `x` `[…, rows, keys]`, float32 or float64, contiguous, with 0 where the hash of a row's and a column's falls below
/// `threshold`, into `out`, which may be `x` itself. `rows` and `columns` are int32; where there are fewer rows than in
/// `x` they repeat.
///
/// # Errors
/// What libtorch reports: another device, kind or shape.
pub fn drop_into(out: &Tensor, x: &Tensor, rows: &Tensor, columns: &Tensor, threshold: i32) -> Result<(), TchError> {
    let [out, x, rows, columns] = [out, x, rows, columns].map(|tensor| tensor.as_ptr() as TensorPointer);
    // SAFETY: live tensors for the time of the call.
    check(unsafe { synth_drop(out, x, rows, columns, threshold) })
}
