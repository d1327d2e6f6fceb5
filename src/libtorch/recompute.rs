//! Work whose intermediate results are not kept but computed again in the backward pass (arXiv 1604.06174).

use super::autograd::{attach_backward, gradients_of};
use anyhow::Result;
use tch::{Tensor, no_grad, with_grad};

/// What `work` makes of `inputs`, with a history that keeps the inputs alone: the backward pass runs `work` again.
///
/// `work` must give the same numbers each time, and read no tensor that is trained but the inputs and `parameters`. It
/// must not change what it is given.
///
/// # Errors
/// What `work` or libtorch reports.
pub fn recompute(
    inputs: &[&Tensor],
    parameters: &[Tensor],
    work: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + 'static,
) -> Result<Vec<Tensor>> {
    let kept: Vec<Tensor> = inputs.iter().map(|input| input.detach()).collect();
    let outputs = no_grad(|| work(&kept))?;
    // One of them may be another, or an input, by another name: each needs a history of its own.
    let outputs: Vec<Tensor> = outputs.iter().map(Tensor::detach).collect();
    let wanted: Vec<bool> = inputs.iter().map(|input| input.requires_grad()).collect();
    let own: Vec<Tensor> = parameters.iter().map(Tensor::shallow_clone).collect();
    let held = OnAnyThread(Box::new(move |upstream: &[Tensor]| backward(&work, (&kept, &wanted), &own, upstream)));
    let all: Vec<&Tensor> = inputs.iter().copied().chain(parameters).collect();
    attach_backward(&all, &outputs.iter().collect::<Vec<_>>(), Box::new(move |upstream| held.call(upstream)))?;
    Ok(outputs)
}

/// The gradients of inputs and parameters.
fn backward(
    work: &impl Fn(&[Tensor]) -> Result<Vec<Tensor>>,
    (kept, wanted): (&[Tensor], &[bool]),
    parameters: &[Tensor],
    upstream: &[Tensor],
) -> Vec<Option<Tensor>> {
    let leaf = |(input, wanted): (&Tensor, &bool)| input.detach().set_requires_grad(*wanted);
    let leaves: Vec<Tensor> = kept.iter().zip(wanted).map(leaf).collect();
    let outputs = with_grad(|| work(&leaves)).unwrap_or_else(|error| panic!("{error:#}"));
    let asked = outputs.iter().zip(upstream).filter(|(output, upstream)| upstream.defined() && output.requires_grad());
    let (outputs, upstream): (Vec<_>, Vec<_>) =
        asked.map(|(output, upstream)| (output.shallow_clone(), upstream.shallow_clone())).unzip();
    let trained = leaves.iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(leaf, _)| leaf);
    let of: Vec<&Tensor> = trained.chain(parameters).collect();
    let found = gradients_of(&outputs, &upstream, &of).unwrap_or_else(|error| panic!("{error}"));
    let mut found = found.into_iter();
    let of_inputs: Vec<Option<Tensor>> =
        wanted.iter().map(|wanted| if *wanted { found.next().flatten() } else { None }).collect();
    of_inputs.into_iter().chain(found).collect()
}

type Backward = Box<dyn Fn(&[Tensor]) -> Vec<Option<Tensor>>>;

/// A backward pass for autograd's threads.
struct OnAnyThread(Backward);

// SAFETY: autograd runs the closure once, on one thread, while the thread that made it waits for the backward pass; what it
// shares with that thread are tensors and `Arc`s, whose counts are atomic.
unsafe impl Send for OnAnyThread {}

impl OnAnyThread {
    fn call(&self, upstream: &[Tensor]) -> Vec<Option<Tensor>> {
        (self.0)(upstream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libtorch::autograd::backward;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tch::{Device, Kind};

    fn leaf(numbers: &[f64]) -> Tensor {
        Tensor::from_slice(numbers).set_requires_grad(true)
    }

    #[test]
    fn gradients_are_those_of_work_that_is_kept() {
        let runs = Arc::new(AtomicU32::new(0));
        let (x, y, weight, unused) = (leaf(&[1.0, -2.0]), leaf(&[0.5, 3.0]), leaf(&[2.0, 4.0]), leaf(&[7.0]));
        let (counted, held) = (runs.clone(), weight.shallow_clone());
        let work = move |inputs: &[Tensor]| {
            counted.fetch_add(1, Ordering::Relaxed);
            let first = (&inputs[0] * &held).sin() * &inputs[1];
            Ok(vec![first.shallow_clone(), first, inputs[0].shallow_clone()])
        };
        let parameters = [weight.shallow_clone(), unused.shallow_clone()];
        let outputs = recompute(&[&x, &y], &parameters, work).unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        let upstream = [[1.0, 2.0], [-3.0, 0.5], [0.25, 1.0]].map(|numbers| Tensor::from_slice(&numbers));
        backward(&outputs, &upstream).unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 2);
        let found = [x.grad(), y.grad(), weight.grad()];
        assert!(!unused.grad().defined());

        let [x, y, weight] = [x, y, weight].map(|tensor| tensor.detach().copy().set_requires_grad(true));
        let first = (&x * &weight).sin() * &y;
        backward(&[first.shallow_clone(), first, &x * 1.0], &upstream).unwrap();
        for (found, expected) in found.iter().zip([x.grad(), y.grad(), weight.grad()]) {
            assert!(found.allclose(&expected, 1e-14, 1e-14, false), "{found:?} {expected:?}");
        }
    }

    #[test]
    fn an_output_that_nobody_reads_and_an_input_without_gradient() {
        let (x, constant) = (leaf(&[1.0, -2.0]), Tensor::from_slice(&[3.0, 5.0]));
        let work = |inputs: &[Tensor]| Ok(vec![&inputs[0] * &inputs[1], inputs[0].exp()]);
        let outputs = recompute(&[&x, &constant], &[], work).unwrap();
        backward(&outputs[..1], &[Tensor::ones([2], (Kind::Double, Device::Cpu))]).unwrap();
        assert_eq!(Vec::<f64>::try_from(x.grad()).unwrap(), [3.0, 5.0]);
    }

    #[test]
    fn failing_work_is_an_error() {
        let x = leaf(&[1.0]);
        assert!(recompute(&[&x], &[], |_| anyhow::bail!("no")).is_err());
        let first = std::cell::Cell::new(true);
        let work = move |inputs: &[Tensor]| match first.replace(false) {
            true => Ok(vec![&inputs[0] * 2.0]),
            false => anyhow::bail!("out of room"),
        };
        let outputs = recompute(&[&x], &[], work).unwrap();
        let error = backward(&outputs, &[Tensor::from_slice(&[1.0])]).unwrap_err();
        assert!(error.to_string().contains("out of room"), "{error}");
    }
}
