//! What a train row reports, summed on the device and read when it is logged.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Sums since the last train row, and the flag of a step that was not finite.
///
/// The flag stays up: after the first step that is not finite no step changes anything, so that the state
/// is that before it, however many steps follow until the next row. The sums stay at their place on the device, so that
/// a recorded step finds them there.
pub struct Meter {
    sums: Sums,
    /// Target tokens of each step.
    tokens: Vec<u64>,
    seconds: f64,
}

/// What steps add up on the device.
pub struct Sums {
    /// Σ over the step's micro-batches of the loss: what the next [`Sums::add`] takes.
    step_nats: Tensor, // float64
    /// Σ over finite steps of the loss.
    nats: Tensor, // float64
    /// Finite steps.
    finite: Tensor, // float64
    /// 1 once a step was not finite.
    broken: Tensor, // float32
    /// Mean loss and gradient norm of the newest step, or of the step that was not finite.
    newest: Tensor, // float64 [2]
}

/// What [`Meter::read`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Σ nats over finite steps.
    pub nats: f64,
    /// Target tokens of finite steps.
    pub tokens: u64,
    /// Finite steps.
    pub steps: u64,
    /// Steps done that changed nothing: the one that was not finite and those after it.
    pub skipped: u64,
    /// Loss of the newest step, or of the one that was not finite.
    pub newest_loss: f64,
    /// Norm of the gradients before clipping, likewise.
    pub grad_norm: f64,
    /// Seconds of training.
    pub seconds: f64,
}

/// The sums as `state.json` keeps them between two rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MeterState {
    nats: f64,
    tokens: Vec<u64>,
    seconds: f64,
    /// Loss and gradient norm of the newest step; 0 where that was not finite.
    newest: [f64; 2],
}

impl Sums {
    fn new(device: Device, state: &MeterState) -> Self {
        let scalar = |value: f64, kind| Tensor::from(value).to_kind(kind).to_device(device);
        Self {
            step_nats: scalar(0.0, Kind::Double),
            nats: scalar(state.nats, Kind::Double),
            finite: scalar(state.tokens.len() as f64, Kind::Double),
            broken: scalar(0.0, Kind::Float),
            newest: Tensor::from_slice(&state.newest).to_device(device),
        }
    }

    /// Adds the loss of a micro-batch, a scalar summed over its targets.
    pub fn add_loss(&self, nats: &Tensor) {
        let _ = self.step_nats.shallow_clone().g_add_(nats);
    }

    /// Adds the step whose micro-batches were added, with the `norm` of its gradient and its number of target `tokens`
    /// (scalars on the device). The answer is 1 where the step, or one before it, was not finite.
    pub fn add(&self, norm: &Tensor, tokens: &Tensor) -> Tensor {
        let mut broken = self.broken.shallow_clone();
        let values = Tensor::stack(&[&self.step_nats / tokens, norm.to_kind(Kind::Double)], 0);
        let stays = broken.gt(0.0);
        self.newest.shallow_clone().copy_(&self.newest.where_self(&stays, &values));
        let _ = broken.logical_or_(&values.isfinite().all().logical_not());
        let counts = broken.eq(0.0);
        let _ = self.nats.shallow_clone().g_add_(&self.step_nats.where_scalarother(&counts, 0.0));
        let _ = self.finite.shallow_clone().g_add_(&counts);
        let _ = self.step_nats.shallow_clone().zero_();
        broken
    }
}

impl Meter {
    /// Sums that go on from `state`.
    pub fn new(device: Device, state: MeterState) -> Self {
        Self { sums: Sums::new(device, &state), tokens: state.tokens, seconds: state.seconds }
    }

    /// What steps add to on the device.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Counts a step of so many targets.
    pub fn count(&mut self, tokens: u64) {
        self.tokens.push(tokens);
    }

    /// Adds seconds of training.
    pub fn add_seconds(&mut self, seconds: f64) {
        self.seconds += seconds;
    }

    /// Steps since the last row.
    pub fn steps(&self) -> usize {
        self.tokens.len()
    }

    /// Target tokens since the last row, of all steps.
    pub fn tokens(&self) -> u64 {
        self.tokens.iter().sum()
    }

    /// Reads the sums: waits for the device.
    ///
    /// # Errors
    /// What libtorch reports of the steps before.
    pub fn read(&self) -> Result<Reading> {
        let Sums { nats, finite, newest, .. } = &self.sums;
        let values = Tensor::f_cat(&[nats.view([1]), finite.view([1]), newest.shallow_clone()], 0)?;
        let values = Vec::<f64>::try_from(values.f_to_device(Device::Cpu)?)?;
        let steps = values[1] as usize;
        Ok(Reading {
            nats: values[0],
            tokens: self.tokens[..steps].iter().sum(),
            steps: steps as u64,
            skipped: (self.tokens.len() - steps) as u64,
            newest_loss: values[2],
            grad_norm: values[3],
            seconds: self.seconds,
        })
    }

    /// The sums for `state.json`.
    pub fn state(&self, reading: &Reading) -> MeterState {
        let tokens = self.tokens[..reading.steps as usize].to_vec();
        let newest = [reading.newest_loss, reading.grad_norm].map(|value| if value.is_finite() { value } else { 0.0 });
        MeterState { nats: reading.nats, tokens, seconds: reading.seconds, newest }
    }

    /// Starts anew after a row of finite steps.
    pub fn reset(&mut self) {
        for sum in [&self.sums.nats, &self.sums.finite, &self.sums.newest] {
            let _ = sum.shallow_clone().zero_();
        }
        self.tokens.clear();
        self.seconds = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(meter: &mut Meter, loss: f64, norm: f64, tokens: u64) -> f64 {
        meter.sums().add_loss(&Tensor::from(loss));
        meter.count(tokens);
        meter.sums().add(&Tensor::from(norm), &Tensor::from(tokens as f64)).double_value(&[])
    }

    #[test]
    fn a_row_is_the_mean_over_tokens() {
        let mut meter = Meter::new(Device::Cpu, MeterState::default());
        assert_eq!(add(&mut meter, 20.0, 1.0, 10), 0.0);
        assert_eq!(add(&mut meter, 10.0, 2.0, 5), 0.0);
        let reading = meter.read().unwrap();
        assert_eq!((reading.nats, reading.tokens, reading.steps, reading.skipped), (30.0, 15, 2, 0));
        assert_eq!((reading.newest_loss, reading.grad_norm), (2.0, 2.0));
        let mut resumed = Meter::new(Device::Cpu, meter.state(&reading));
        assert_eq!(resumed.read().unwrap(), reading);
        add(&mut resumed, 1.0, 1.0, 1);
        assert_eq!(resumed.read().unwrap().nats, 31.0);
        assert_eq!(resumed.read().unwrap().tokens, 16);
    }

    #[test]
    fn after_a_step_that_is_not_finite_nothing_counts() {
        for (loss, norm) in [(f64::NAN, 1.0), (f64::INFINITY, 1.0), (1.0, f64::NAN)] {
            let mut meter = Meter::new(Device::Cpu, MeterState::default());
            add(&mut meter, 4.0, 1.0, 2);
            assert_eq!(add(&mut meter, loss, norm, 2), 1.0);
            assert_eq!(add(&mut meter, 2.0, 1.0, 2), 1.0);
            let reading = meter.read().unwrap();
            assert_eq!((reading.nats, reading.tokens, reading.steps, reading.skipped), (4.0, 2, 1, 2));
            assert_eq!(reading.newest_loss.to_bits(), (loss / 2.0).to_bits());
            assert_eq!(reading.grad_norm.to_bits(), norm.to_bits());
        }
    }
}
