//! The forward pass of the model. Of dropout it knows that of the attention weights.

use std::collections::BTreeMap;

use crate::folder::RunFolder;
use crate::masks::Masks;
use crate::number::Number;
use crate::plan::{Plan, Positions};

/// A row per position.
pub type Rows<S> = Vec<Vec<S>>;

/// A model: its plan, its weights by name (row by row), and what rounds operands and results of its products.
pub struct Model<S> {
    /// Sizes and choices.
    pub plan: Plan,
    /// The weights.
    pub weights: BTreeMap<String, Vec<S>>,
    /// bfloat16's rounding with `precision = "bf16"`, else nothing.
    pub round: fn(S) -> S,
}

/// The model of a checkpoint, whose tensors are those that the documentation names.
pub fn rebuilt(run: &RunFolder, checkpoint: &str, round: fn(f64) -> f64) -> Model<f64> {
    let plan = Plan::new(&run.config(), run.tokenizer().vocabulary_size());
    let tensors = run.tensors(checkpoint, "model");
    let mut documented = plan.shapes();
    documented.sort();
    let found: Vec<_> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
    assert_eq!(found, documented);
    Model { plan, weights: tensors.into_iter().map(|(name, tensor)| (name, tensor.values)).collect(), round }
}

impl<S: Number> Model<S> {
    /// The logits for the token after each position, `[positions, vocabulary]`, with dropout where there are masks.
    pub fn logits(&self, tokens: &[usize], masks: Option<Masks>) -> Rows<S> {
        let mut stream = self.embedded(tokens);
        for (layer, parts) in self.plan.layers.iter().enumerate() {
            let block = format!("decoder.layers.{layer}");
            let normalized = self.normalized(&stream, &format!("{block}.attention_norm"));
            join(&mut stream, &self.attention(&normalized, &format!("{block}.attention"), parts, masks));
            let normalized = self.normalized(&stream, &format!("{block}.feed_forward_norm"));
            join(&mut stream, &self.feed_forward(&normalized, &format!("{block}.feed_forward")));
        }
        let output = if self.plan.tied { "embedding" } else { "output" };
        self.projected(&self.normalized(&stream, "decoder.norm"), output)
    }

    fn embedded(&self, tokens: &[usize]) -> Rows<S> {
        let width = self.plan.width;
        let embedding = &self.weights["embedding.weight"];
        let element = |position: usize, token: usize, entry: usize| {
            let embedded = embedding[token * width + entry];
            match self.plan.positions {
                Positions::Learned => embedded + self.weights["positions.weight"][position * width + entry],
                Positions::Sinusoidal => {
                    embedded * S::from((width as f64).sqrt()) + S::from(wave(position, entry, width))
                }
                Positions::None => embedded,
            }
        };
        let row =
            |(position, token): (usize, &usize)| (0..width).map(|entry| element(position, *token, entry)).collect();
        tokens.iter().enumerate().map(row).collect()
    }

    fn normalized(&self, rows: &Rows<S>, name: &str) -> Rows<S> {
        let gain = &self.weights[&format!("{name}.weight")];
        let bias = self.weights.get(&format!("{name}.bias"));
        let bias = |entry: usize| bias.map_or(S::from(0.0), |bias| bias[entry]);
        let normalized = |row: &Vec<S>| {
            let count = S::from(row.len() as f64);
            let mean = sum(row.iter().copied()) / count;
            let variance = sum(row.iter().map(|x| (*x - mean) * (*x - mean))) / count;
            let deviation = (variance + S::from(1e-5)).sqrt();
            let entry = |(entry, (x, gain)): (usize, (&S, &S))| (*x - mean) / deviation * *gain + bias(entry);
            row.iter().zip(gain).enumerate().map(entry).collect()
        };
        rows.iter().map(normalized).collect()
    }

    /// x·Wᵀ, with the bias where there is one; b₁ of `dense` is added elsewhere.
    pub fn projected(&self, rows: &Rows<S>, name: &str) -> Rows<S> {
        let weight = &self.weights[&format!("{name}.weight")];
        let bias = self.weights.get(&format!("{name}.bias")).filter(|_| !name.ends_with("dense.w1"));
        let round = self.round;
        let rounded = |values: &[S]| values.iter().map(|x| round(*x)).collect::<Vec<S>>();
        let weight = rounded(weight);
        let projected = |row: &Vec<S>| {
            let row = rounded(row);
            let output = |(index, weight): (usize, &[S])| {
                let product = dot(&row, weight);
                round(bias.map_or(product, |bias| product + round(bias[index])))
            };
            weight.chunks(row.len()).enumerate().map(output).collect()
        };
        rows.iter().map(projected).collect()
    }

    fn feed_forward(&self, rows: &Rows<S>, name: &str) -> Rows<S> {
        let mut hidden = self.projected(rows, &format!("{name}.input"));
        hidden.iter_mut().flatten().for_each(|x| *x = self.plan.activation.of(*x));
        self.projected(&hidden, &format!("{name}.output"))
    }
}

/// −log of the softmax of a row of logits at the target.
pub fn negative_log_likelihood<S: Number>(logits: &[S], target: usize) -> S {
    let largest = S::from(logits.iter().map(|logit| logit.value()).fold(f64::NEG_INFINITY, f64::max));
    sum(logits.iter().map(|logit| (*logit - largest).exp())).ln() + largest - logits[target]
}

fn wave(position: usize, entry: usize, width: usize) -> f64 {
    let angle = position as f64 / 10_000f64.powf((entry / 2 * 2) as f64 / width as f64);
    if entry.is_multiple_of(2) { angle.sin() } else { angle.cos() }
}

fn join<S: Number>(stream: &mut Rows<S>, branch: &Rows<S>) {
    stream.iter_mut().flatten().zip(branch.iter().flatten()).for_each(|(x, y)| *x = *x + *y);
}

/// The sum of the products.
pub fn dot<S: Number>(left: &[S], right: &[S]) -> S {
    sum(left.iter().zip(right).map(|(x, y)| *x * *y))
}

/// The sum.
pub fn sum<S: Number>(terms: impl Iterator<Item = S>) -> S {
    terms.fold(S::from(0.0), |total, term| total + term)
}
