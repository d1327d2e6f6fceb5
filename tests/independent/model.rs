//! The forward pass of the model.

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
        self.drop(&mut stream, "embedding", masks);
        self.round_stream(&mut stream);
        for (layer, parts) in self.plan.layers.iter().enumerate() {
            let block = format!("decoder.layers.{layer}");
            let normalized = self.normalized(&stream, &format!("{block}.attention_norm"));
            let mut branch = self.attention(&normalized, &format!("{block}.attention"), parts, masks);
            self.drop(&mut branch, &format!("{block}.attention_dropout"), masks);
            self.join(&mut stream, &branch);
            let normalized = self.normalized(&stream, &format!("{block}.feed_forward_norm"));
            let mut branch = self.feed_forward(&normalized, &format!("{block}.feed_forward"), masks);
            self.drop(&mut branch, &format!("{block}.feed_forward_dropout"), masks);
            self.join(&mut stream, &branch);
        }
        let output = if self.plan.tied { "embedding" } else { "output" };
        self.projected(&self.normalized(&stream, "decoder.norm"), output)
    }

    fn join(&self, stream: &mut Rows<S>, branch: &Rows<S>) {
        stream.iter_mut().flatten().zip(branch.iter().flatten()).for_each(|(x, y)| *x = *x + *y);
        self.round_stream(stream);
    }

    fn round_stream(&self, stream: &mut Rows<S>) {
        if self.plan.narrow_stream {
            stream.iter_mut().flatten().for_each(|x| *x = (self.round)(*x));
        }
    }

    /// Multiplies the rows of a place by what dropout leaves of them.
    fn drop(&self, rows: &mut Rows<S>, place: &str, masks: Option<Masks>) {
        let Some(masks) = masks else { return };
        for (position, row) in rows.iter_mut().enumerate() {
            let number = masks.sample * self.plan.max_length + position;
            let factors = masks.factors(place, number, row.len(), masks.model);
            row.iter_mut().zip(factors).for_each(|(x, factor)| *x = *x * S::from(factor));
        }
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
        let bias = self.weights.get(&format!("{name}.bias")).filter(|_| !name.ends_with("dense.w1"));
        let added = |product: S, index: usize| bias.map_or(product, |bias| product + (self.round)(bias[index]));
        self.products(rows, name, added)
    }

    /// x·Wᵀ of rounded operands, each number through `finish` with its column and rounded in the end.
    fn products(&self, rows: &Rows<S>, name: &str, finish: impl Fn(S, usize) -> S) -> Rows<S> {
        let round = self.round;
        let rounded = |values: &[S]| values.iter().map(|x| round(*x)).collect::<Vec<S>>();
        let weight = rounded(&self.weights[&format!("{name}.weight")]);
        let projected = |row: &Vec<S>| {
            let row = rounded(row);
            let output = |(index, weight): (usize, &[S])| round(finish(dot(&row, weight), index));
            weight.chunks(row.len()).enumerate().map(output).collect()
        };
        rows.iter().map(projected).collect()
    }

    /// Both biases join products that are rounded already; the second sum, which joins the stream, is not rounded.
    fn feed_forward(&self, rows: &Rows<S>, name: &str, masks: Option<Masks>) -> Rows<S> {
        let biased = |layer: &str, rows: &Rows<S>| {
            let bias = self.weights.get(&format!("{name}.{layer}.bias"));
            let mut products = self.products(rows, &format!("{name}.{layer}"), |product, _| product);
            for row in bias.map(|_| &mut products).into_iter().flatten() {
                row.iter_mut().zip(bias.into_iter().flatten()).for_each(|(x, bias)| *x = *x + *bias);
            }
            products
        };
        let mut hidden = biased("input", rows);
        hidden.iter_mut().flatten().for_each(|x| *x = self.plan.activation.of((self.round)(*x)));
        self.drop(&mut hidden, name, masks);
        biased("output", &hidden)
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

/// The sum of the products.
pub fn dot<S: Number>(left: &[S], right: &[S]) -> S {
    sum(left.iter().zip(right).map(|(x, y)| *x * *y))
}

/// The sum.
pub fn sum<S: Number>(terms: impl Iterator<Item = S>) -> S {
    terms.fold(S::from(0.0), |total, term| total + term)
}
