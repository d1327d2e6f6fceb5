//! Products that take up what stands around them.

use super::{TensorPointer, check};
use libc::c_char;
use tch::{TchError, Tensor};

unsafe extern "C" {
    fn synth_linear_relu(
        x: TensorPointer,
        w: TensorPointer,
        bias: TensorPointer,
        output: *mut TensorPointer,
    ) -> *mut c_char;
}

/// `relu(x·w + bias)` without gradients, of `x` `[rows, in]`, `w` `[in, out]` and `bias` `[out]`: on CUDA from two rows
/// on one kernel. tch's own `internal_addmm_activation` leaves the bias out, because it hands its flag on as β.
///
/// # Errors
/// What libtorch reports.
pub fn linear_relu(x: &Tensor, w: &Tensor, bias: &Tensor) -> Result<Tensor, TchError> {
    let pointer = |tensor: &Tensor| tensor.as_ptr() as TensorPointer;
    let mut output = std::ptr::null_mut();
    // SAFETY: live tensors for the time of the call; on success `output` is a new tensor that we own.
    check(unsafe { synth_linear_relu(pointer(x), pointer(w), pointer(bias), &mut output) })?;
    Ok(unsafe { Tensor::from_ptr(output) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bias_and_relu_are_in_the_product() {
        let x = Tensor::from_slice2(&[[1.0, 2.0], [-3.0, 1.0]]);
        let w = Tensor::from_slice2(&[[1.0, -1.0, 2.0], [0.5, 1.0, -3.0]]);
        let bias = Tensor::from_slice(&[0.25, -2.0, 1.0]);
        let expected = Tensor::from_slice2(&[[2.25, 0.0, 0.0], [0.0, 2.0, 0.0]]);
        assert_eq!(linear_relu(&x, &w, &bias).unwrap(), expected);
    }
}
