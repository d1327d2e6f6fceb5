//! The fused AdamW update and norms over lists of tensors, without a host synchronization.

use super::{TensorPointer, check, pointers};
use libc::{c_char, c_int};
use tch::{TchError, Tensor};

unsafe extern "C" {
    fn synth_fused_adamw(
        parameters: *const TensorPointer,
        gradients: *const TensorPointer,
        first: *const TensorPointer,
        second: *const TensorPointer,
        count: c_int,
        step: TensorPointer,
        lr: f64,
        lr_on_device: TensorPointer,
        beta1: f64,
        beta2: f64,
        eps: f64,
        weight_decay: f64,
        skip: TensorPointer,
    ) -> *mut c_char;
    fn synth_global_norm(list: *const TensorPointer, count: c_int, norm: *mut TensorPointer) -> *mut c_char;
    fn synth_scale(list: *const TensorPointer, count: c_int, factor: TensorPointer) -> *mut c_char;
    fn synth_gradients(list: *const TensorPointer, count: c_int, gradients: *mut TensorPointer) -> *mut c_char;
    fn synth_forget_gradients(list: *const TensorPointer, count: c_int) -> *mut c_char;
    fn synth_zero(list: *const TensorPointer, count: c_int) -> *mut c_char;
}

/// The learning rate of an update.
#[derive(Debug, Clone, Copy)]
pub enum LearningRate<'a> {
    /// A number on the host.
    Host(f64),
    /// A float32 scalar on the parameters' device, as a captured graph needs it.
    Device(&'a Tensor),
}

/// The constants of AdamW (arXiv 1711.05101).
#[derive(Debug, Clone, Copy)]
pub struct AdamWConstants {
    /// Decay rates of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

/// One AdamW update of a group of parameters, in place, by one fused operation.
///
/// All lists have one length and matching shapes; `step` (float32 scalar) counts the group's updates.
/// Where `skip` (float32 scalar) is 1 nothing changes, as decided on the device.
///
/// # Errors
/// What libtorch reports, such as lists that do not match.
pub fn fused_adamw(
    [parameters, gradients, first, second]: [&[Tensor]; 4],
    step: &Tensor,
    lr: LearningRate<'_>,
    constants: AdamWConstants,
    skip: &Tensor,
) -> Result<(), TchError> {
    if [gradients, first, second].iter().any(|list| list.len() != parameters.len()) {
        return Err(TchError::Shape("AdamW's lists differ in length".into()));
    }
    let (host, device) = match lr {
        LearningRate::Host(rate) => (rate, std::ptr::null_mut()),
        LearningRate::Device(rate) => (0.0, rate.as_ptr() as TensorPointer),
    };
    let [p, g, m, v] = [parameters, gradients, first, second].map(pointers);
    // SAFETY: each list holds `p.len()` pointers to live tensors for the time of the call.
    check(unsafe {
        synth_fused_adamw(
            p.as_ptr(),
            g.as_ptr(),
            m.as_ptr(),
            v.as_ptr(),
            p.len() as c_int,
            step.as_ptr() as TensorPointer,
            host,
            device,
            constants.betas[0],
            constants.betas[1],
            constants.eps,
            constants.weight_decay,
            skip.as_ptr() as TensorPointer,
        )
    })
}

/// The L2 norm over all tensors together, a scalar on their device.
///
/// # Errors
/// What libtorch reports.
pub fn global_norm(tensors: &[Tensor]) -> Result<Tensor, TchError> {
    let list = pointers(tensors);
    let mut norm = std::ptr::null_mut();
    // SAFETY: live tensors; on success `norm` is a new tensor that we own.
    check(unsafe { synth_global_norm(list.as_ptr(), list.len() as c_int, &mut norm) })?;
    Ok(unsafe { Tensor::from_ptr(norm) })
}

/// Multiplies every tensor by a scalar tensor, in place.
///
/// # Errors
/// What libtorch reports.
pub fn scale(tensors: &[Tensor], factor: &Tensor) -> Result<(), TchError> {
    let list = pointers(tensors);
    // SAFETY: live tensors for the time of the call.
    check(unsafe { synth_scale(list.as_ptr(), list.len() as c_int, factor.as_ptr() as TensorPointer) })
}

/// The gradients of parameters; zeros where a backward pass reached none.
///
/// # Errors
/// What libtorch reports.
pub fn gradients(parameters: &[Tensor]) -> Result<Vec<Tensor>, TchError> {
    let list = pointers(parameters);
    let mut found = vec![std::ptr::null_mut(); list.len()];
    // SAFETY: live tensors; on success each place of `found` holds a new tensor that we own.
    check(unsafe { synth_gradients(list.as_ptr(), list.len() as c_int, found.as_mut_ptr()) })?;
    Ok(found.into_iter().map(|pointer| unsafe { Tensor::from_ptr(pointer) }).collect())
}

/// Lets go of the gradients of parameters: the next backward pass gives its own tensors and adds to none.
///
/// # Errors
/// What libtorch reports.
pub fn forget_gradients(parameters: &[Tensor]) -> Result<(), TchError> {
    let list = pointers(parameters);
    // SAFETY: live tensors for the time of the call.
    check(unsafe { synth_forget_gradients(list.as_ptr(), list.len() as c_int) })
}

/// Sets every tensor to zero, in place.
///
/// # Errors
/// What libtorch reports.
pub fn zero(tensors: &[Tensor]) -> Result<(), TchError> {
    let list = pointers(tensors);
    // SAFETY: live tensors for the time of the call.
    check(unsafe { synth_zero(list.as_ptr(), list.len() as c_int) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    const CONSTANTS: AdamWConstants = AdamWConstants { betas: [0.9, 0.98], eps: 1e-8, weight_decay: 0.1 };

    /// AdamW in plain Rust, from the paper's algorithm 2.
    fn reference(p: &mut [f64], m: &mut [f64], v: &mut [f64], g: &[f64], t: i32, lr: f64) {
        let [b1, b2] = CONSTANTS.betas;
        for i in 0..p.len() {
            p[i] -= lr * CONSTANTS.weight_decay * p[i];
            m[i] = b1 * m[i] + (1.0 - b1) * g[i];
            v[i] = b2 * v[i] + (1.0 - b2) * g[i] * g[i];
            let (mean, square) = (m[i] / (1.0 - b1.powi(t)), v[i] / (1.0 - b2.powi(t)));
            p[i] -= lr * mean / (square.sqrt() + CONSTANTS.eps);
        }
    }

    #[test]
    fn adamw_follows_the_paper() {
        let mut p = vec![0.5, -1.0, 2.0];
        let (mut m, mut v) = (vec![0.0; 3], vec![0.0; 3]);
        let tensors = [Tensor::from_slice(&p), Tensor::zeros([3], (Kind::Double, tch::Device::Cpu))];
        let (first, second) = (tensors[1].copy(), tensors[1].copy());
        let step = Tensor::from(0f32);
        for t in 1..=10 {
            let g: Vec<f64> = (0..3).map(|i| ((i + t) as f64).sin()).collect();
            let lists = [
                &[tensors[0].shallow_clone()][..],
                &[Tensor::from_slice(&g)],
                &[first.shallow_clone()],
                &[second.shallow_clone()],
            ];
            fused_adamw(lists, &step, LearningRate::Host(0.01), CONSTANTS, &Tensor::from(0f32)).unwrap();
            reference(&mut p, &mut m, &mut v, &g, t, 0.01);
        }
        let found = Vec::<f64>::try_from(&tensors[0]).unwrap();
        for (a, b) in found.iter().zip(&p) {
            approx::assert_abs_diff_eq!(a, b, epsilon = 1e-12);
        }
        assert_eq!(step.double_value(&[]), 10.0);
    }

    #[test]
    fn a_skipped_update_changes_nothing() {
        let p = Tensor::from_slice(&[1f32, 2.0]);
        let state = p.zeros_like();
        let step = Tensor::from(0f32);
        let gradient = Tensor::from_slice(&[f32::NAN, 1.0]);
        let lists = [&[p.shallow_clone()][..], &[gradient], &[state.shallow_clone()], &[state.copy()]];
        fused_adamw(lists, &step, LearningRate::Host(0.1), CONSTANTS, &Tensor::from(1f32)).unwrap();
        assert_eq!(Vec::<f32>::try_from(&p).unwrap(), [1.0, 2.0]);
        assert_eq!(Vec::<f32>::try_from(&state).unwrap(), [0.0, 0.0]);
        assert_eq!(step.double_value(&[]), 0.0);
    }

    #[test]
    fn the_norm_is_over_all_tensors() {
        let list = [Tensor::from_slice(&[3f32]), Tensor::from_slice(&[0f32, 4.0])];
        assert_eq!(global_norm(&list).unwrap().double_value(&[]), 5.0);
        scale(&list, &Tensor::from(2f32)).unwrap();
        assert_eq!(list[1].double_value(&[1]), 8.0);
        zero(&list).unwrap();
        assert_eq!(list[0].double_value(&[0]), 0.0);
    }
}
