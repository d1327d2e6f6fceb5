//! Backward passes written in Rust.

use super::{TensorPointer, check, pointers};
use libc::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tch::{TchError, Tensor};

type Closure = Box<dyn FnMut(&[Tensor]) -> Vec<Option<Tensor>> + Send>;
type Callback = extern "C" fn(*mut c_void, *const TensorPointer, c_int, *mut TensorPointer, c_int) -> *mut c_char;

unsafe extern "C" {
    fn synth_attach_backward(
        inputs: *const TensorPointer,
        input_count: c_int,
        outputs: *const TensorPointer,
        output_count: c_int,
        closure: *mut c_void,
        backward: Callback,
        drop: extern "C" fn(*mut c_void),
    ) -> *mut c_char;
    fn synth_gradients_of(
        outputs: *const TensorPointer,
        upstream: *const TensorPointer,
        output_count: c_int,
        inputs: *const TensorPointer,
        input_count: c_int,
        gradients: *mut TensorPointer,
    ) -> *mut c_char;
    fn synth_backward(list: *const TensorPointer, gradients: *const TensorPointer, count: c_int) -> *mut c_char;
}

extern "C" fn run_closure(
    closure: *mut c_void,
    gradients: *const TensorPointer,
    outputs: c_int,
    made: *mut TensorPointer,
    inputs: c_int,
) -> *mut c_char {
    let run = AssertUnwindSafe(|| {
        // SAFETY: `closure` is the box of `attach_backward`, alive until `drop_closure`; the lists have the
        // lengths that are given beside them; a made tensor passes into the shim's ownership.
        unsafe {
            let closure = &mut *(closure as *mut Closure);
            let gradients: Vec<_> = (0..outputs as usize).map(|i| Tensor::clone_from_ptr(*gradients.add(i))).collect();
            let results = closure(&gradients);
            assert_eq!(results.len(), inputs as usize, "one gradient per input");
            for (i, tensor) in results.into_iter().enumerate() {
                if let Some(tensor) = tensor {
                    *made.add(i) = tensor.as_ptr() as TensorPointer;
                    std::mem::forget(tensor);
                }
            }
        }
    });
    let Err(panic) = catch_unwind(run) else { return std::ptr::null_mut() };
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let text = std::ffi::CString::new(text.unwrap_or("a backward pass panicked").replace('\0', " "));
    // SAFETY: a zero-terminated string; the shim frees the copy.
    text.map_or(std::ptr::null_mut(), |text| unsafe { libc::strdup(text.as_ptr()) })
}

extern "C" fn drop_closure(closure: *mut c_void) {
    // SAFETY: called once, with the box of `attach_backward`.
    drop(unsafe { Box::from_raw(closure as *mut Closure) });
}

/// Makes `outputs`, computed from `inputs` under `no_grad`, differentiable through `backward`, which turns
/// the outputs' gradients into one gradient per input or `None`.
///
/// The closure runs once, on autograd's thread. It must save `detach()`ed tensors and never the outputs
/// themselves, which would be a cycle.
///
/// # Errors
/// What libtorch reports.
pub fn attach_backward(inputs: &[&Tensor], outputs: &[&Tensor], backward: Closure) -> Result<(), TchError> {
    let closure = Box::into_raw(Box::new(backward)) as *mut c_void;
    let (inputs, outputs) = (pointers(inputs), pointers(outputs));
    // SAFETY: live tensors for the time of the call; the shim takes the closure.
    check(unsafe {
        synth_attach_backward(
            inputs.as_ptr(),
            inputs.len() as c_int,
            outputs.as_ptr(),
            outputs.len() as c_int,
            closure,
            run_closure,
            drop_closure,
        )
    })
}

/// The gradients of `inputs` for those of `outputs`, which `upstream` gives; `None` for an input that none depends on.
/// No `grad()` of any tensor changes.
///
/// # Errors
/// What libtorch reports, or the panic of a closure.
pub fn gradients_of(
    outputs: &[Tensor],
    upstream: &[Tensor],
    inputs: &[&Tensor],
) -> Result<Vec<Option<Tensor>>, TchError> {
    if outputs.len() != upstream.len() {
        return Err(TchError::Shape("one gradient per output".into()));
    }
    let (outputs, upstream, inputs) = (pointers(outputs), pointers(upstream), pointers(inputs));
    let mut found = vec![std::ptr::null_mut(); inputs.len()];
    // SAFETY: live tensors for the time of the call; on success each place of `found` holds a new tensor that we own, or
    // NULL.
    check(unsafe {
        synth_gradients_of(
            outputs.as_ptr(),
            upstream.as_ptr(),
            outputs.len() as c_int,
            inputs.as_ptr(),
            inputs.len() as c_int,
            found.as_mut_ptr(),
        )
    })?;
    let owned = |pointer: TensorPointer| (!pointer.is_null()).then(|| unsafe { Tensor::from_ptr(pointer) });
    Ok(found.into_iter().map(owned).collect())
}

/// Runs the backward pass from `tensors`, whose gradients are given.
///
/// # Errors
/// What libtorch reports, or the panic of a closure.
pub fn backward(tensors: &[Tensor], gradients: &[Tensor]) -> Result<(), TchError> {
    let (list, gradients) = (pointers(tensors), pointers(gradients));
    if list.len() != gradients.len() {
        return Err(TchError::Shape("one gradient per tensor".into()));
    }
    // SAFETY: live tensors for the time of the call.
    check(unsafe { synth_backward(list.as_ptr(), gradients.as_ptr(), list.len() as c_int) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: &Tensor) -> Tensor {
        let y = tch::no_grad(|| x * x);
        let saved = x.detach();
        attach_backward(&[x], &[&y], Box::new(move |g| vec![Some(&g[0] * &saved * 2.0)])).unwrap();
        y
    }

    #[test]
    fn a_closure_is_the_backward_pass() {
        let x = Tensor::from_slice(&[1f64, -3.0]).set_requires_grad(true);
        let y = square(&x);
        backward(&[y], &[Tensor::from_slice(&[1f64, 10.0])]).unwrap();
        assert_eq!(Vec::<f64>::try_from(x.grad()).unwrap(), [2.0, -60.0]);
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let x = Tensor::from_slice(&[1f64]).set_requires_grad(true);
        let y = tch::no_grad(|| &x * 1.0);
        attach_backward(&[&x], &[&y], Box::new(|_| panic!("no such gradient"))).unwrap();
        let error = backward(&[y], &[Tensor::from_slice(&[1f64])]).unwrap_err();
        assert!(error.to_string().contains("no such gradient"), "{error}");
    }
}
