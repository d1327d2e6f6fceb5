//! The forward pass of the model, without dropout.

use std::collections::BTreeMap;

use crate::folder::RunFolder;
use crate::number::Number;
use crate::plan::{Kind, Plan, Positions};

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
    /// The logits for the token after each position: `[positions, vocabulary]`.
    pub fn logits(&self, tokens: &[usize]) -> Rows<S> {
        let mut stream = self.embedded(tokens);
        for layer in 0..self.plan.layers {
            let block = format!("decoder.layers.{layer}");
            let normalized = self.normalized(&stream, &format!("{block}.attention_norm"));
            join(&mut stream, &self.attention(&normalized, &format!("{block}.attention")));
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
        let bias = &self.weights[&format!("{name}.bias")];
        let normalized = |row: &Vec<S>| {
            let count = S::from(row.len() as f64);
            let mean = sum(row.iter().copied()) / count;
            let variance = sum(row.iter().map(|x| (*x - mean) * (*x - mean))) / count;
            let deviation = (variance + S::from(1e-5)).sqrt();
            row.iter().zip(gain).zip(bias).map(|((x, gain), bias)| (*x - mean) / deviation * *gain + *bias).collect()
        };
        rows.iter().map(normalized).collect()
    }

    /// x·Wᵀ, with the bias where there is one.
    fn projected(&self, rows: &Rows<S>, name: &str) -> Rows<S> {
        let weight = &self.weights[&format!("{name}.weight")];
        let bias = self.weights.get(&format!("{name}.bias"));
        let round = self.round;
        let projected = |row: &Vec<S>| {
            let output = |(index, weight): (usize, &[S])| {
                let product = sum(row.iter().zip(weight).map(|(x, w)| round(*x) * round(*w)));
                round(bias.map_or(product, |bias| product + round(bias[index])))
            };
            weight.chunks(row.len()).enumerate().map(output).collect()
        };
        rows.iter().map(projected).collect()
    }

    fn attention(&self, rows: &Rows<S>, name: &str) -> Rows<S> {
        let value = self.projected(rows, &format!("{name}.value"));
        let (round, width) = (self.round, self.plan.head_width);
        let mut outputs: Rows<S> = vec![Vec::new(); rows.len()];
        for (head, scores) in self.scores(rows, name).into_iter().enumerate() {
            for (output, scores) in outputs.iter_mut().zip(scores) {
                let weights = softmax(scores);
                let mixed = |entry| sum(weights.iter().zip(&value).map(|(weight, v)| round(*weight) * v[entry]));
                output.extend((head * width..(head + 1) * width).map(|entry| round(mixed(entry))));
            }
        }
        self.projected(&outputs, &format!("{name}.output"))
    }

    /// The scores of each head, for each position those of the positions that it sees: itself and all before.
    fn scores(&self, rows: &Rows<S>, name: &str) -> Vec<Rows<S>> {
        let (width, length) = (self.plan.head_width, self.plan.max_length);
        match self.plan.kind {
            Kind::Vanilla => {
                let mut query = self.projected(rows, &format!("{name}.query"));
                query.iter_mut().flatten().for_each(|x| *x = (self.round)(*x / S::from((width as f64).sqrt())));
                let key = self.projected(rows, &format!("{name}.key"));
                let score = |head: usize, p: usize, q: usize| {
                    sum((head * width..(head + 1) * width).map(|entry| query[p][entry] * key[q][entry]))
                };
                self.lower_triangles(rows.len(), score)
            }
            Kind::Random => {
                let table = &self.weights[&format!("{name}.random.r")];
                self.lower_triangles(rows.len(), |head, p, q| table[(head * length + p) * length + q])
            }
        }
    }

    fn lower_triangles(&self, rows: usize, score: impl Fn(usize, usize, usize) -> S) -> Vec<Rows<S>> {
        let triangle = |head| (0..rows).map(|p| (0..=p).map(|q| score(head, p, q)).collect()).collect();
        (0..self.plan.heads).map(triangle).collect()
    }

    fn feed_forward(&self, rows: &Rows<S>, name: &str) -> Rows<S> {
        let mut hidden = self.projected(rows, &format!("{name}.input"));
        hidden.iter_mut().flatten().for_each(|x| *x = x.relu());
        self.projected(&hidden, &format!("{name}.output"))
    }
}

/// −log of the softmax of a row of logits at the target.
pub fn negative_log_likelihood<S: Number>(logits: &[S], target: usize) -> S {
    let largest = S::from(logits.iter().map(|logit| logit.value()).fold(f64::NEG_INFINITY, f64::max));
    sum(logits.iter().map(|logit| (*logit - largest).exp())).ln() + largest - logits[target]
}

fn softmax<S: Number>(scores: Vec<S>) -> Vec<S> {
    let largest = S::from(scores.iter().map(|score| score.value()).fold(f64::NEG_INFINITY, f64::max));
    let exponentials: Vec<S> = scores.into_iter().map(|score| (score - largest).exp()).collect();
    let total = sum(exponentials.iter().copied());
    exponentials.into_iter().map(|exponential| exponential / total).collect()
}

fn wave(position: usize, entry: usize, width: usize) -> f64 {
    let angle = position as f64 / 10_000f64.powf((entry / 2 * 2) as f64 / width as f64);
    if entry.is_multiple_of(2) { angle.sin() } else { angle.cos() }
}

fn join<S: Number>(stream: &mut Rows<S>, branch: &Rows<S>) {
    stream.iter_mut().flatten().zip(branch.iter().flatten()).for_each(|(x, y)| *x = *x + *y);
}

fn sum<S: Number>(terms: impl Iterator<Item = S>) -> S {
    terms.fold(S::from(0.0), |total, term| total + term)
}
