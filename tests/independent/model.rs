//! The forward pass of the model.

use std::collections::BTreeMap;

use crate::folder::RunFolder;
use crate::kinds::Half;
use crate::masks::Masks;
use crate::measure::Block;
use crate::number::Number;
use crate::plan::{Plan, Positions};
use crate::scores::Reading;

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
    let plan = run.plan(&run.config());
    let tensors = run.tensors(checkpoint, "model");
    let mut documented = plan.shapes();
    documented.sort();
    let found: Vec<_> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
    assert_eq!(found, documented);
    Model { plan, weights: tensors.into_iter().map(|(name, tensor)| (name, tensor.values)).collect(), round }
}

impl<S: Number> Model<S> {
    /// The logits for the token after each input, `[positions, vocabulary]`, with dropout where there are masks.
    pub fn logits(&self, block: Block<'_>) -> Rows<S> {
        let memory = block.source.map(|source| self.memory(source, block.masks));
        self.decoded(block.inputs, memory.as_ref(), block.masks)
    }

    /// What the encoder makes of a source, a row per token.
    pub fn memory(&self, source: &[usize], masks: Option<Masks>) -> Rows<S> {
        let encoder = self.plan.encoder.as_ref().expect("an encoder");
        let masks = masks.map(|masks| Masks { length: masks.source_length, ..masks });
        let mut stream = self.begun(source, Half::Encoder, masks);
        for (layer, parts) in encoder.layers.iter().enumerate() {
            let [attention, feed_forward] =
                ["attention", "feed_forward"].map(|branch| format!("encoder.layers.{layer}.{branch}"));
            let attend = |rows: &Rows<S>| self.attention(Reading::All(rows), &attention, parts, masks);
            self.branch(&mut stream, &attention, masks, attend);
            self.branch(&mut stream, &feed_forward, masks, |rows| self.feed_forward(rows, &feed_forward, masks));
        }
        if self.plan.post_norm { stream } else { self.normalized(&stream, "encoder.norm") }
    }

    /// The logits for the token after each, with an encoder those after it has read a source.
    pub fn decoded(&self, tokens: &[usize], memory: Option<&Rows<S>>, masks: Option<Masks>) -> Rows<S> {
        let mut stream = self.begun(tokens, Half::Decoder, masks);
        for (layer, parts) in self.plan.layers.iter().enumerate() {
            let [attention, cross, feed_forward] = ["attention", "cross_attention", "feed_forward"]
                .map(|branch| format!("decoder.layers.{layer}.{branch}"));
            let attend = |rows: &Rows<S>| self.attention(Reading::Past(rows), &attention, parts, masks);
            self.branch(&mut stream, &attention, masks, attend);
            if let (Some(encoder), Some(memory)) = (&self.plan.encoder, memory) {
                let read =
                    |rows: &Rows<S>| self.attention(Reading::Memory(rows, memory), &cross, &encoder.cross, masks);
                self.branch(&mut stream, &cross, masks, read);
            }
            self.branch(&mut stream, &feed_forward, masks, |rows| self.feed_forward(rows, &feed_forward, masks));
        }
        let read = if self.plan.post_norm { stream } else { self.normalized(&stream, "decoder.norm") };
        let embedding = self.plan.embedding(Half::Decoder);
        self.projected(&read, if self.plan.tied { &embedding } else { "output" })
    }

    /// The stream before the first block of a half.
    fn begun(&self, tokens: &[usize], half: Half, masks: Option<Masks>) -> Rows<S> {
        let mut stream = self.embedded(tokens, half);
        self.drop(&mut stream, &self.plan.of_half("embedding", half), masks, |masks| masks.model);
        self.round_stream(&mut stream);
        stream
    }

    /// Adds to the stream what a branch of this name makes of it. The branch's norm stands before it or after the sum.
    fn branch(&self, stream: &mut Rows<S>, name: &str, masks: Option<Masks>, branch: impl Fn(&Rows<S>) -> Rows<S>) {
        let norm = format!("{name}_norm");
        let post_norm = self.plan.post_norm;
        let mut added = if post_norm { branch(stream) } else { branch(&self.normalized(stream, &norm)) };
        self.drop(&mut added, &format!("{name}_dropout"), masks, |masks| masks.model);
        self.join(stream, &added);
        if post_norm {
            *stream = self.normalized(stream, &norm);
            self.round_stream(stream);
        }
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

    /// Multiplies the rows of a place by what dropout with one of the masks' probabilities leaves of them.
    pub fn drop(&self, rows: &mut Rows<S>, place: &str, masks: Option<Masks>, probability: impl Fn(&Masks) -> f64) {
        let Some(masks) = masks else { return };
        for (position, row) in rows.iter_mut().enumerate() {
            let number = masks.sample * masks.length + position;
            let factors = masks.factors(place, number, row.len(), probability(&masks));
            row.iter_mut().zip(factors).for_each(|(x, factor)| *x = *x * S::from(factor));
        }
    }

    fn embedded(&self, tokens: &[usize], half: Half) -> Rows<S> {
        let width = self.plan.width;
        let embedding = &self.weights[&format!("{}.weight", self.plan.embedding(half))];
        let learned = self.weights.get(&format!("{}.weight", self.plan.of_half("positions", half)));
        let element = |position: usize, token: usize, entry: usize| {
            let embedded = embedding[token * width + entry];
            match self.plan.positions {
                Positions::Learned => embedded + learned.expect("positions")[position * width + entry],
                Positions::Sinusoidal => {
                    embedded * S::from((width as f64).sqrt()) + S::from(wave(position, entry, width))
                }
                Positions::Relative(_) | Positions::None => embedded,
            }
        };
        let row =
            |(position, token): (usize, &usize)| (0..width).map(|entry| element(position, *token, entry)).collect();
        tokens.iter().enumerate().map(row).collect()
    }

    /// x·Wᵀ, with the bias where there is one; b₁ of `dense` is added elsewhere.
    pub fn projected(&self, rows: &Rows<S>, name: &str) -> Rows<S> {
        let bias = self.weights.get(&format!("{name}.bias")).filter(|_| !name.ends_with("dense.w1"));
        let added = |product: S, index: usize| bias.map_or(product, |bias| product + (self.round)(bias[index]));
        self.products(rows, name, added)
    }

    /// x·Wᵀ of rounded operands, each number through `finish` with its column and rounded in the end.
    pub fn products(&self, rows: &Rows<S>, name: &str, finish: impl Fn(S, usize) -> S) -> Rows<S> {
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
}

/// −log of the softmax of a row of logits at the target.
pub fn negative_log_likelihood<S: Number>(logits: &[S], target: usize) -> S {
    logarithm_of_sum(logits) - logits[target]
}

/// The logarithm of the sum of e to each number.
pub fn logarithm_of_sum<S: Number>(numbers: &[S]) -> S {
    let largest = S::from(numbers.iter().map(|number| number.value()).fold(f64::NEG_INFINITY, f64::max));
    sum(numbers.iter().map(|number| (*number - largest).exp())).ln() + largest
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
