//! Adafactor (arXiv 1804.04235), as mesh-tensorflow's `AdafactorOptimizer` computes it.

use super::plain::{Change, Member, Members};
use super::{Rule, Step};
use crate::checkpoints::tensors::NamedTensors;
use crate::parameters::Parameter;
use crate::train::options::{AdafactorOptions, OptimizerOptions};
use tch::{Kind, TchError, Tensor, no_grad};

/// Adafactor: a second moment of rows and columns instead of one for each number.
pub struct Adafactor {
    members: Members,
    /// What is kept of each parameter, in the order of members.
    moments: Vec<Moments>,
    options: AdafactorOptions,
}

/// What is kept of a parameter, in its kind.
struct Moments {
    second: Second,
    /// The mean of steps, in the parameter's shape; only with `beta1`.
    first: Option<Tensor>,
}

/// Means of squared gradients.
enum Second {
    /// For each number.
    Whole(Tensor),
    /// Over each of the two largest axes.
    Factored {
        /// The largest axis and the next.
        axes: [i64; 2],
        /// Over the largest axis, in the shape without it.
        row: Tensor,
        /// Over the other, in the shape without that.
        column: Tensor,
    },
}

/// The decay b = 1 − t^−`decay_exponent` of the second moments at update t, and 1 − b: scalars on the device.
struct Decay {
    old: Tensor,
    new: Tensor,
}

impl Adafactor {
    /// No history.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn new(trained: &[&Parameter], options: &OptimizerOptions) -> Result<Self, TchError> {
        let members = Members::new(trained, options)?;
        let options = options.adafactor.clone();
        let moments = members.iter().map(|member| Moments::new(member, &options)).collect::<Result<_, _>>()?;
        Ok(Self { members, moments, options })
    }

    /// Of the update that follows those done, in the gradients' kind; float64 on the way.
    fn decay(&self, gradients: &[Tensor]) -> Result<Decay, TchError> {
        let kind = gradients.first().map_or(Kind::Float, Tensor::kind);
        let update = (&self.members.updates + 1.0).to_kind(Kind::Double);
        let new = update.f_pow_tensor_scalar(-self.options.decay_exponent)?;
        let old = new.f_neg()?.f_add_scalar(1.0)?;
        Ok(Decay { old: old.to_kind(kind), new: new.to_kind(kind) })
    }

    /// What is taken from the parameter.
    fn step(
        &self,
        (change, decay): (&Change<'_>, &Decay),
        (member, moments): (&Member, &Moments),
        gradient: &Tensor,
    ) -> Result<Tensor, TchError> {
        let AdafactorOptions { clip_threshold, scale_by_parameter, beta1, eps, .. } = self.options;
        let mut step = moments.second.scaled(change, decay, eps[0], gradient)?;
        if clip_threshold > 0.0 {
            step = step.f_div_(&(root_mean_square(&step)? / clip_threshold).clamp_min(1.0))?;
        }
        step = match scale_by_parameter {
            true => step.f_mul_(&change.at_rate(&root_mean_square(&member.parameter)?.clamp_min(eps[1])))?,
            false => change.at_rate(&step),
        };
        let Some(first) = &moments.first else { return Ok(step) };
        let mean = (first * beta1).f_add_(&(step * (1.0 - beta1)))?;
        change.put(first, &mean)?;
        Ok(mean)
    }
}

impl Moments {
    fn new(member: &Member, options: &AdafactorOptions) -> Result<Self, TchError> {
        let shape = member.parameter.size();
        let second = match factored_axes(&shape, options.min_factored) {
            None => Second::Whole(member.zeros(&shape)?),
            Some(axes) => {
                let [row, column] = axes.map(|axis| member.zeros(&without(&shape, axis)));
                Second::Factored { axes, row: row?, column: column? }
            }
        };
        let first = (options.beta1 > 0.0).then(|| member.zeros(&shape)).transpose()?;
        Ok(Self { second, first })
    }
}

impl Second {
    /// The gradient over the root of its mean square, which goes on; `epsilon` is added to the squares.
    fn scaled(
        &self,
        change: &Change<'_>,
        Decay { old, new }: &Decay,
        epsilon: f64,
        gradient: &Tensor,
    ) -> Result<Tensor, TchError> {
        let square = gradient.f_square()?.f_add_scalar_(epsilon)?;
        let goes_on = |moment: &Tensor, now: Tensor| -> Result<Tensor, TchError> {
            let next = (moment * old).f_add_(&(now * new))?;
            change.put(moment, &next)?;
            Ok(next)
        };
        match self {
            Second::Whole(moment) => gradient.f_mul(&goes_on(moment, square)?.f_rsqrt_()?),
            Second::Factored { axes: [largest, other], row, column } => {
                let mean = |x: &Tensor, axis: i64, keeps: bool| x.f_mean_dim(&[axis][..], keeps, x.kind());
                let row = goes_on(row, mean(&square, *largest, false)?)?.f_unsqueeze(*largest)?;
                let column = goes_on(column, mean(&square, *other, false)?)?.f_unsqueeze(*other)?;
                let row = row.f_div(&mean(&row, *other, true)?)?;
                gradient.f_mul(&row.f_rsqrt()?)?.f_mul_(&column.f_rsqrt()?)
            }
        }
    }
}

/// The largest axis and the next, of equal ones the earlier first, where the second moment is factored over them.
fn factored_axes(shape: &[i64], min_factored: i64) -> Option<[i64; 2]> {
    let mut axes: Vec<usize> = (0..shape.len()).collect();
    axes.sort_by_key(|&axis| std::cmp::Reverse(shape[axis])); // stable
    match axes[..] {
        [largest, other, ..] if shape[other] >= min_factored => Some([largest as i64, other as i64]),
        _ => None,
    }
}

fn without(shape: &[i64], axis: i64) -> Vec<i64> {
    shape.iter().enumerate().filter(|(i, _)| *i as i64 != axis).map(|(_, size)| *size).collect()
}

/// √(mean of the squares), a scalar.
fn root_mean_square(x: &Tensor) -> Result<Tensor, TchError> {
    Ok(x.f_norm()? / (x.numel() as f64).sqrt())
}

impl Rule for Adafactor {
    fn parameters(&self) -> Vec<Tensor> {
        self.members.parameters()
    }

    fn update(&self, step: &Step<'_>) -> Result<(), TchError> {
        no_grad(|| {
            let (change, decay) = (Change::begin(step)?, self.decay(&step.gradients.list)?);
            for ((member, moments), gradient) in self.members.iter().zip(&self.moments).zip(&step.gradients.list) {
                let step = self.step((&change, &decay), (member, moments), gradient)?;
                change.descend(member, &step)?;
            }
            self.members.count(&change)
        })
    }

    /// `row_moment.<parameter>` and `column_moment.<parameter>`, each in the parameter's shape without the axis that it is
    /// a mean over (the largest, the next), or `second_moment.<parameter>`; with `beta1` `first_moment.<parameter>`;
    /// `updates`.
    fn state(&self) -> NamedTensors {
        let mut state = NamedTensors::new();
        for (Member { name, .. }, moments) in self.members.iter().zip(&self.moments) {
            let mut push = |moment: &str, x: &Tensor| state.push((format!("{moment}.{name}"), x.shallow_clone()));
            match &moments.second {
                Second::Whole(moment) => push("second_moment", moment),
                Second::Factored { row, column, .. } => {
                    push("row_moment", row);
                    push("column_moment", column);
                }
            }
            if let Some(first) = &moments.first {
                push("first_moment", first);
            }
        }
        state.push(("updates".to_string(), self.members.updates.shallow_clone()));
        state
    }
}

#[cfg(test)]
mod tests;
