//! From scores to the output of an attention.

use crate::kinds::{Part, fused};
use crate::masks::Masks;
use crate::model::{Model, Rows, sum};
use crate::number::Number;
use crate::scores::Reading;

impl<S: Number> Model<S> {
    /// What an attention of this name and these parts adds to the stream, `[positions, width]`.
    pub fn attention(&self, reading: Reading<'_, S>, name: &str, parts: &[Part], masks: Option<Masks>) -> Rows<S> {
        let value = self.projected(reading.keys(), &format!("{name}.value"));
        let mut outputs: Rows<S> = vec![Vec::new(); reading.queries().len()];
        for (head, scores) in self.scores(reading, name, parts).into_iter().enumerate() {
            for (position, (output, scores)) in outputs.iter_mut().zip(scores).enumerate() {
                let (mut weights, total) = exponentials(scores);
                if !fused(parts) {
                    weights.iter_mut().for_each(|weight| *weight = *weight / total);
                }
                if let Some(masks) = masks {
                    let sample = if parts.iter().any(|part| part.depends_on_the_input()) { masks.sample } else { 0 };
                    let row = (sample * self.plan.heads + head) * masks.length + position;
                    let factors = masks.factors(name, row, weights.len(), masks.attention);
                    weights.iter_mut().zip(factors).for_each(|(weight, factor)| *weight = *weight * S::from(factor));
                }
                let divisor = if fused(parts) { total } else { S::from(1.0) };
                output.extend(self.mixed(&weights, divisor, &value, head));
            }
        }
        self.projected(&outputs, &format!("{name}.output"))
    }

    /// A head's values by their weights, divided.
    fn mixed(&self, weights: &[S], divisor: S, value: &Rows<S>, head: usize) -> Vec<S> {
        let (round, width) = (self.round, self.plan.head_width);
        let weights: Vec<S> = weights.iter().map(|weight| round(*weight)).collect();
        let entry = |entry: usize| sum(weights.iter().zip(value).map(|(weight, value)| *weight * value[entry]));
        (head * width..(head + 1) * width).map(|column| round(entry(column) / divisor)).collect()
    }
}

/// The shares that the exponentials of scores have in their sum.
pub fn softmax<S: Number>(scores: Vec<S>) -> Vec<S> {
    let (exponentials, total) = exponentials(scores);
    exponentials.into_iter().map(|exponential| exponential / total).collect()
}

/// e to each score, all divided by the largest, and their sum.
fn exponentials<S: Number>(scores: Vec<S>) -> (Vec<S>, S) {
    let largest = S::from(scores.iter().map(|score| score.value()).fold(f64::NEG_INFINITY, f64::max));
    let exponentials: Vec<S> = scores.into_iter().map(|score| (score - largest).exp()).collect();
    let total = sum(exponentials.iter().copied());
    (exponentials, total)
}
