//! The moving average of the weights (`train.ema`), which is measured and used instead of them.

use crate::checkpoints::tensors::NamedTensors;
use crate::parameters::Parameters;
use tch::{TchError, Tensor, no_grad};

/// The average's file in a checkpoint.
pub const FILE: &str = "ema.safetensors";

/// An average of each trained tensor: e ← decay · e + (1 − decay) · θ after each update, from the weights at its own start
/// on.
pub struct Ema {
    decay: f64,
    members: Vec<Member>,
}

struct Member {
    name: String,
    /// The tensor that the layers hold.
    parameter: Tensor,
    average: Tensor,
}

impl Ema {
    /// Begins with the weights as they are; none where `decay` is 0.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn new(parameters: &Parameters, decay: f64) -> Result<Option<Self>, TchError> {
        if decay == 0.0 {
            return Ok(None);
        }
        let members = parameters.trainable().map(|parameter| {
            let (name, parameter) = (parameter.name.clone(), parameter.tensor.shallow_clone());
            Ok(Member { name, average: copy_of(&parameter)?, parameter })
        });
        Ok(Some(Self { decay, members: members.collect::<Result<_, TchError>>()? }))
    }

    /// Takes in the weights after an update. Where `skip` (float32 scalar on the device) is 1 nothing changes. An update is
    /// recorded and replayed: averages stay where they are.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn update(&self, skip: &Tensor) -> Result<(), TchError> {
        no_grad(|| {
            let go = skip.f_eq(0.0)?;
            for Member { parameter, average, .. } in &self.members {
                let next = (average * self.decay).f_add_(&(parameter * (1.0 - self.decay)))?;
                let _ = next.f_where_self_out(average, &go, average)?;
            }
            Ok(())
        })
    }

    /// The averages by their parameters' names, the tensors themselves.
    pub fn state(&self) -> NamedTensors {
        self.members.iter().map(|member| (member.name.clone(), member.average.shallow_clone())).collect()
    }

    /// Does `work` with the averages in the weights' place, and the weights in theirs; then all is as it was, to the bit.
    /// Numbers are exchanged and tensors stay where they are, so that what is recorded reads them. An optimizer's copies of
    /// the weights stay those of the weights: `work` reads none.
    ///
    /// # Errors
    /// What libtorch reports of the exchange.
    pub fn instead<T>(&self, work: impl FnOnce() -> T) -> Result<T, TchError> {
        self.exchange()?;
        let done = work();
        self.exchange()?;
        Ok(done)
    }

    fn exchange(&self) -> Result<(), TchError> {
        no_grad(|| {
            for Member { parameter, average, .. } in &self.members {
                let held = copy_of(parameter)?;
                parameter.shallow_clone().f_copy_(average)?;
                average.shallow_clone().f_copy_(&held)?;
            }
            Ok(())
        })
    }
}

fn copy_of(x: &Tensor) -> Result<Tensor, TchError> {
    no_grad(|| {
        let mut copy = x.detach().f_empty_like()?;
        copy.f_copy_(x)?;
        Ok(copy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Init;
    use tch::{Device, Kind};

    fn numbers(x: &Tensor) -> Vec<f64> {
        Vec::try_from(x.detach().view([-1])).unwrap()
    }

    /// One trained tensor, a frozen one, and their average.
    fn start(decay: f64) -> (Parameters, Tensor, Option<Ema>) {
        let mut parameters = Parameters::new(1, Device::Cpu, Kind::Double);
        let weight = parameters.root().tensor("w", &[2, 2], Init::Normal(1.0));
        let _ = parameters.root().frozen("table", &[3], Init::Normal(1.0));
        let ema = Ema::new(&parameters, decay).unwrap();
        (parameters, weight, ema)
    }

    fn set(weight: &Tensor, numbers: &[f64]) {
        no_grad(|| weight.shallow_clone().copy_(&Tensor::from_slice(numbers).view([2, 2])));
    }

    #[test]
    fn it_follows_the_weights_and_skips_with_them() {
        let (_, weight, ema) = start(0.75);
        let ema = ema.unwrap();
        let mut expected = numbers(&weight);
        for update in 1..=4 {
            let theta: Vec<f64> = (0..4).map(|i| f64::from(update * 7 + i).sin()).collect();
            set(&weight, &theta);
            ema.update(&Tensor::from(0f32)).unwrap();
            expected.iter_mut().zip(&theta).for_each(|(e, theta)| *e = 0.75 * *e + 0.25 * theta);
            let before = numbers(&ema.state()[0].1);
            assert_eq!(before, expected);
            set(&weight, &[f64::NAN, f64::INFINITY, 1.0, 2.0]);
            ema.update(&Tensor::from(1f32)).unwrap();
            assert_eq!(numbers(&ema.state()[0].1), before);
        }
        assert_eq!(ema.state().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["w"]);
        assert!(start(0.0).2.is_none());
    }

    #[test]
    fn it_takes_the_weights_place_and_gives_it_back() {
        let (_, weight, ema) = start(0.5);
        let ema = ema.unwrap();
        let (place, first) = (weight.data_ptr(), numbers(&weight));
        set(&weight, &[1.0, -0.0, 3.0, 4.0]);
        let average = ema.state()[0].1.shallow_clone();
        let seen = ema.instead(|| (numbers(&weight), numbers(&average), weight.data_ptr())).unwrap();
        assert_eq!(seen, (first.clone(), vec![1.0, 0.0, 3.0, 4.0], place));
        assert_eq!((numbers(&weight), numbers(&average)), (vec![1.0, 0.0, 3.0, 4.0], first));
        assert!(numbers(&weight)[1].is_sign_negative() && weight.requires_grad());
    }
}
