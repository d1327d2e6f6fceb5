//! What a train row reports, summed on the device and read when it is logged.

use crate::kernels::vocabulary_loss::Objective;
use crate::model::vocabulary_loss::Loss;
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
    /// Tokens of each step.
    tokens: Vec<Counts>,
    seconds: f64,
}

/// Tokens that were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Targets, by which losses are divided.
    pub targets: u64,
    /// Tokens of sources, where there are any.
    pub sources: u64,
}

impl Counts {
    /// Targets alone.
    pub fn of_targets(targets: u64) -> Self {
        Self { targets, sources: 0 }
    }

    /// All that were read.
    pub fn all(self) -> u64 {
        self.targets + self.sources
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Counts>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, next| Self {
            targets: sum.targets + next.targets,
            sources: sum.sources + next.sources,
        })
    }
}

/// What steps add up on the device.
pub struct Sums {
    nats: Sum,
    /// What is minimised, where that is something else.
    objective: Option<Sum>,
    /// Finite steps.
    finite: Tensor, // float64
    /// 1 once a step was not finite.
    broken: Tensor, // float32
    /// Mean loss, gradient norm and, where it is another, mean objective of the newest step, or of the step that was not
    /// finite.
    newest: Tensor, // float64 [2] or [3]
}

/// A sum over targets: float64 scalars.
struct Sum {
    /// Over the step's micro-batches: what the next [`Sums::add`] takes.
    step: Tensor,
    /// Over finite steps.
    all: Tensor,
}

/// What [`Meter::read`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Σ nats over finite steps.
    pub nats: f64,
    /// Σ of what is minimised over finite steps, where that is something else.
    pub objective: Option<f64>,
    /// Tokens of finite steps.
    pub tokens: Counts,
    /// Finite steps.
    pub steps: u64,
    /// Steps done that changed nothing: the one that was not finite and those after it.
    pub skipped: u64,
    /// Loss of the newest step, or of the one that was not finite.
    pub newest_loss: f64,
    /// Its objective, where there is another.
    pub newest_objective: Option<f64>,
    /// Norm of the gradients before clipping, likewise.
    pub grad_norm: f64,
    /// Seconds of training.
    pub seconds: f64,
}

/// The sums as `state.json` keeps them between two rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MeterState {
    nats: f64,
    /// Targets of each step.
    tokens: Vec<u64>,
    /// Tokens of sources of each step; empty where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    source_tokens: Vec<u64>,
    seconds: f64,
    /// Loss and gradient norm of the newest step; 0 where that was not finite.
    newest: [f64; 2],
    /// Of an objective that is not the plain loss: its sum, and its mean of the newest step, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objective: Option<[f64; 2]>,
}

impl MeterState {
    /// No step yet towards `objective`.
    pub fn start(objective: Objective) -> Self {
        Self { objective: (!objective.is_plain()).then_some([0.0; 2]), ..Self::default() }
    }
}

impl Sum {
    fn new(device: Device, all: f64) -> Self {
        let scalar = |value: f64| Tensor::from(value).to_device(device);
        Self { step: scalar(0.0), all: scalar(all) }
    }

    fn add(&self, sum: &Tensor) {
        let _ = self.step.shallow_clone().g_add_(sum);
    }

    /// Ends the step, which counts where `counts` is true.
    fn end_step(&self, counts: &Tensor) {
        let _ = self.all.shallow_clone().g_add_(&self.step.where_scalarother(counts, 0.0));
        let _ = self.step.shallow_clone().zero_();
    }
}

impl Sums {
    fn new(device: Device, state: &MeterState) -> Self {
        let scalar = |value: f64, kind| Tensor::from(value).to_kind(kind).to_device(device);
        let newest = [state.newest.to_vec(), state.objective.iter().map(|[_, newest]| *newest).collect()].concat();
        Self {
            nats: Sum::new(device, state.nats),
            objective: state.objective.map(|[sum, _]| Sum::new(device, sum)),
            finite: scalar(state.tokens.len() as f64, Kind::Double),
            broken: scalar(0.0, Kind::Float),
            newest: Tensor::from_slice(&newest).to_device(device),
        }
    }

    /// Adds the loss of a micro-batch, summed over its targets.
    pub fn add_loss(&self, loss: &Loss) {
        self.nats.add(&loss.nats);
        if let Some(objective) = &self.objective {
            objective.add(&loss.objective.detach());
        }
    }

    /// Adds the step whose micro-batches were added, with the `norm` of its gradient and its number of target `tokens`
    /// (scalars on the device). The answer is 1 where the step, or one before it, was not finite.
    pub fn add(&self, norm: &Tensor, tokens: &Tensor) -> Tensor {
        let mut broken = self.broken.shallow_clone();
        let mut values = vec![&self.nats.step / tokens, norm.to_kind(Kind::Double)];
        values.extend(self.objective.iter().map(|objective| &objective.step / tokens));
        let values = Tensor::stack(&values, 0);
        let stays = broken.gt(0.0);
        self.newest.shallow_clone().copy_(&self.newest.where_self(&stays, &values));
        let _ = broken.logical_or_(&values.isfinite().all().logical_not());
        let counts = broken.eq(0.0);
        self.all().for_each(|sum| sum.end_step(&counts));
        let _ = self.finite.shallow_clone().g_add_(&counts);
        broken
    }
}

impl Sums {
    /// Of nats, and of the objective where that is another.
    fn all(&self) -> impl Iterator<Item = &Sum> {
        std::iter::once(&self.nats).chain(&self.objective)
    }
}

impl Meter {
    /// Sums that go on from `state`.
    pub fn new(device: Device, state: MeterState) -> Self {
        let sources = state.source_tokens.iter().copied().chain(std::iter::repeat(0));
        let tokens = state.tokens.iter().zip(sources).map(|(&targets, sources)| Counts { targets, sources }).collect();
        Self { sums: Sums::new(device, &state), tokens, seconds: state.seconds }
    }

    /// What steps add to on the device.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Counts a step of so many tokens.
    pub fn count(&mut self, tokens: Counts) {
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

    /// Tokens since the last row, of all steps.
    pub fn tokens(&self) -> Counts {
        self.tokens.iter().copied().sum()
    }

    /// Reads the sums: waits for the device.
    ///
    /// # Errors
    /// What libtorch reports of the steps before.
    pub fn read(&self) -> Result<Reading> {
        let Sums { finite, newest, .. } = &self.sums;
        let mut values = vec![finite.view([1]), newest.shallow_clone()];
        values.extend(self.sums.all().map(|sum| sum.all.view([1])));
        let values = Vec::<f64>::try_from(Tensor::f_cat(&values, 0)?.f_to_device(Device::Cpu)?)?;
        let (steps, values) = (values[0] as usize, &values[1..]);
        let (newest, sums) = values.split_at(2 + usize::from(self.sums.objective.is_some()));
        Ok(Reading {
            nats: sums[0],
            objective: sums.get(1).copied(),
            tokens: self.tokens[..steps].iter().copied().sum(),
            steps: steps as u64,
            skipped: (self.tokens.len() - steps) as u64,
            newest_loss: newest[0],
            newest_objective: newest.get(2).copied(),
            grad_norm: newest[1],
            seconds: self.seconds,
        })
    }

    /// The sums for `state.json`.
    pub fn state(&self, reading: &Reading) -> MeterState {
        let counts = &self.tokens[..reading.steps as usize];
        let tokens = counts.iter().map(|counts| counts.targets).collect();
        let mut source_tokens = Vec::from_iter(counts.iter().map(|counts| counts.sources));
        if source_tokens.iter().all(|count| *count == 0) {
            source_tokens.clear();
        }
        let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
        let objective = reading.objective.zip(reading.newest_objective).map(|(sum, newest)| [sum, finite(newest)]);
        let newest = [reading.newest_loss, reading.grad_norm].map(finite);
        MeterState { nats: reading.nats, tokens, source_tokens, seconds: reading.seconds, newest, objective }
    }

    /// Starts anew after a row of finite steps.
    pub fn reset(&mut self) {
        let Sums { finite, newest, .. } = &self.sums;
        for sum in [finite, newest].into_iter().chain(self.sums.all().map(|sum| &sum.all)) {
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
        meter.sums().add_loss(&Loss::plain(Tensor::from(loss)));
        meter.count(Counts::of_targets(tokens));
        meter.sums().add(&Tensor::from(norm), &Tensor::from(tokens as f64)).double_value(&[])
    }

    #[test]
    fn a_row_is_the_mean_over_tokens() {
        let mut meter = Meter::new(Device::Cpu, MeterState::default());
        assert_eq!(add(&mut meter, 20.0, 1.0, 10), 0.0);
        assert_eq!(add(&mut meter, 10.0, 2.0, 5), 0.0);
        let reading = meter.read().unwrap();
        assert_eq!((reading.nats, reading.tokens.targets, reading.steps, reading.skipped), (30.0, 15, 2, 0));
        assert_eq!((reading.newest_loss, reading.grad_norm), (2.0, 2.0));
        let mut resumed = Meter::new(Device::Cpu, meter.state(&reading));
        assert_eq!(resumed.read().unwrap(), reading);
        add(&mut resumed, 1.0, 1.0, 1);
        assert_eq!(resumed.read().unwrap().nats, 31.0);
        assert_eq!(resumed.read().unwrap().tokens.all(), 16);
    }

    #[test]
    fn an_objective_is_summed_beside_the_loss_and_checked() {
        let smoothed = Objective { smoothing: 0.1, z_loss: 0.0 };
        let mut meter = Meter::new(Device::Cpu, MeterState::start(smoothed));
        let add = |meter: &mut Meter, nats: f64, objective: f64| {
            meter.sums().add_loss(&Loss { nats: Tensor::from(nats), objective: Tensor::from(objective) });
            meter.count(Counts::of_targets(4));
            meter.sums().add(&Tensor::from(1.0), &Tensor::from(4.0)).double_value(&[])
        };
        assert_eq!((add(&mut meter, 8.0, 12.0), add(&mut meter, 4.0, 6.0)), (0.0, 0.0));
        let reading = meter.read().unwrap();
        assert_eq!((reading.nats, reading.objective), (12.0, Some(18.0)));
        assert_eq!((reading.newest_loss, reading.newest_objective, reading.grad_norm), (1.0, Some(1.5), 1.0));
        let text = serde_json::to_string(&meter.state(&reading)).unwrap();
        let mut resumed = Meter::new(Device::Cpu, serde_json::from_str(&text).unwrap());
        assert_eq!(resumed.read().unwrap(), reading);
        // What is minimised is what has to be finite.
        assert_eq!(add(&mut resumed, 4.0, f64::INFINITY), 1.0);
        let reading = resumed.read().unwrap();
        assert_eq!(
            (reading.objective, reading.newest_objective, reading.skipped),
            (Some(18.0), Some(f64::INFINITY), 1)
        );
        assert_eq!(resumed.state(&reading).objective, Some([18.0, 0.0]));
        resumed.reset();
        assert_eq!(MeterState::start(smoothed).objective, Some([0.0; 2]));
        assert!(!serde_json::to_string(&MeterState::start(Objective::default())).unwrap().contains("objective"));
    }

    #[test]
    fn after_a_step_that_is_not_finite_nothing_counts() {
        for (loss, norm) in [(f64::NAN, 1.0), (f64::INFINITY, 1.0), (1.0, f64::NAN)] {
            let mut meter = Meter::new(Device::Cpu, MeterState::default());
            add(&mut meter, 4.0, 1.0, 2);
            assert_eq!(add(&mut meter, loss, norm, 2), 1.0);
            assert_eq!(add(&mut meter, 2.0, 1.0, 2), 1.0);
            let reading = meter.read().unwrap();
            assert_eq!((reading.nats, reading.tokens.targets, reading.steps, reading.skipped), (4.0, 2, 1, 2));
            assert_eq!(reading.newest_loss.to_bits(), (loss / 2.0).to_bits());
            assert_eq!(reading.grad_norm.to_bits(), norm.to_bits());
        }
    }

    #[test]
    fn sources_are_counted_beside_the_targets() {
        let mut meter = Meter::new(Device::Cpu, MeterState::default());
        add(&mut meter, 20.0, 1.0, 10);
        let state = serde_json::to_string(&meter.state(&meter.read().unwrap())).unwrap();
        assert!(!state.contains("source_tokens"), "{state}");
        meter.sums().add_loss(&Loss::plain(Tensor::from(10.0)));
        meter.count(Counts { targets: 5, sources: 7 });
        let _ = meter.sums().add(&Tensor::from(1.0), &Tensor::from(5.0));
        let reading = meter.read().unwrap();
        assert_eq!((reading.tokens, reading.tokens.all()), (Counts { targets: 15, sources: 7 }, 22));
        let state = serde_json::to_string(&meter.state(&reading)).unwrap();
        let resumed = Meter::new(Device::Cpu, serde_json::from_str(&state).unwrap());
        assert_eq!(resumed.read().unwrap(), reading);
        assert_eq!(resumed.tokens().all(), 22);
    }
}
