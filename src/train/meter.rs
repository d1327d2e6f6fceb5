//! What a train row reports, summed on the device and read when it is logged.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Sums since the last train row, and the flag of a step that was not finite.
///
/// The flag stays up: after the first step that is not finite no step changes anything, so that the state
/// is that before it, however many steps follow until the next row.
pub struct Meter {
    /// Σ over finite steps of the mean loss · target tokens.
    nats: Tensor, // float64
    /// Finite steps.
    finite: Tensor, // float64
    /// 1 once a step was not finite.
    broken: Tensor, // float32
    /// Loss and gradient norm of the newest step, or of the step that was not finite.
    newest: [Tensor; 2], // float64
    /// Target tokens of each step.
    tokens: Vec<u64>,
    seconds: f64,
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

impl Meter {
    /// Sums that go on from `state`.
    pub fn new(device: Device, state: MeterState) -> Self {
        let scalar = |value: f64, kind| Tensor::from(value).to_kind(kind).to_device(device);
        Self {
            nats: scalar(state.nats, Kind::Double),
            finite: scalar(state.tokens.len() as f64, Kind::Double),
            broken: scalar(0.0, Kind::Float),
            newest: state.newest.map(|value| scalar(value, Kind::Double)),
            tokens: state.tokens,
            seconds: state.seconds,
        }
    }

    /// Adds a step of `tokens` targets whose loss summed to `nats` and whose gradient had `norm` (both scalars
    /// on the device). The answer is 1 where the step, or one before it, was not finite.
    pub fn add(&mut self, nats: &Tensor, norm: &Tensor, tokens: u64) -> Tensor {
        let (nats, norm) = (nats.to_kind(Kind::Double), norm.to_kind(Kind::Double));
        let finite = nats.isfinite().logical_and(&norm.isfinite());
        let was_broken = self.broken.gt(0.0);
        let loss = &nats / tokens as f64;
        self.newest = [
            loss.where_self(&was_broken.logical_not(), &self.newest[0]),
            norm.where_self(&was_broken.logical_not(), &self.newest[1]),
        ];
        self.broken = was_broken.logical_or(&finite.logical_not()).to_kind(Kind::Float);
        let counts = self.broken.eq(0.0);
        self.nats = &self.nats + nats.where_self(&counts, &self.nats.zeros_like());
        self.finite = &self.finite + counts.to_kind(Kind::Double);
        self.tokens.push(tokens);
        self.broken.shallow_clone()
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
        let values = Tensor::f_stack(&[&self.nats, &self.finite, &self.newest[0], &self.newest[1]], 0)?;
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

    /// Starts anew after a row.
    pub fn reset(&mut self) {
        *self = Meter::new(self.nats.device(), MeterState::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(meter: &mut Meter, loss: f64, norm: f64, tokens: u64) -> f64 {
        meter.add(&Tensor::from(loss), &Tensor::from(norm), tokens).double_value(&[])
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
