//! The tensors of `model.safetensors`.

use crate::kinds::{Half, Part};
use crate::norm::Norm;
use crate::plan::{Plan, Positions};

/// Names and shapes of tensors.
pub type Shapes = Vec<(String, Vec<usize>)>;

impl Plan {
    /// The names and shapes of all tensors.
    pub fn shapes(&self) -> Shapes {
        let mut shapes = Shapes::new();
        if let Some(encoder) = &self.encoder {
            if !encoder.shared {
                let name = format!("{}.weight", self.embedding(Half::Encoder));
                shapes.push((name, vec![encoder.vocabulary, self.width]));
            }
            self.half(&mut shapes, Half::Encoder, &encoder.layers);
        }
        shapes.push((format!("{}.weight", self.embedding(Half::Decoder)), vec![self.vocabulary, self.width]));
        self.half(&mut shapes, Half::Decoder, &self.layers);
        if !self.tied {
            shapes.push(("output.weight".to_owned(), vec![self.vocabulary, self.width]));
        }
        shapes
    }

    /// Positions, blocks and the norm behind them.
    fn half(&self, shapes: &mut Shapes, half: Half, layers: &[Vec<Part>]) {
        if self.positions == Positions::Learned {
            let name = format!("{}.weight", self.of_half("positions", half));
            shapes.push((name, vec![self.max_length, self.width]));
        }
        if let Positions::Relative(buckets) = self.positions {
            shapes.push((format!("{}.relative_positions.weight", half.name()), vec![buckets.count, self.heads]));
        }
        for (layer, parts) in layers.iter().enumerate() {
            let block = format!("{}.layers.{layer}", half.name());
            self.norm(shapes, &format!("{block}.attention_norm"));
            self.attention(shapes, &format!("{block}.attention"), parts);
            if let (Half::Decoder, Some(encoder)) = (half, &self.encoder) {
                self.norm(shapes, &format!("{block}.cross_attention_norm"));
                self.attention(shapes, &format!("{block}.cross_attention"), &encoder.cross);
            }
            self.norm(shapes, &format!("{block}.feed_forward_norm"));
            self.feed_forward_shapes(shapes, &format!("{block}.feed_forward"));
        }
        if !self.post_norm {
            self.norm(shapes, &format!("{}.norm", half.name()));
        }
    }

    fn norm(&self, shapes: &mut Shapes, name: &str) {
        shapes.push((format!("{name}.weight"), vec![self.width]));
        if self.biases && self.norm == Norm::Layer {
            shapes.push((format!("{name}.bias"), vec![self.width]));
        }
    }

    fn feed_forward_shapes(&self, shapes: &mut Shapes, name: &str) {
        let wide = [self.feed_forward, self.width];
        linear(shapes, &format!("{name}.input"), wide, self.biases);
        if self.activation.gated() {
            linear(shapes, &format!("{name}.gate"), wide, self.biases);
        }
        linear(shapes, &format!("{name}.output"), [self.width, self.feed_forward], self.biases);
    }

    fn attention(&self, shapes: &mut Shapes, name: &str, parts: &[Part]) {
        let choices = &self.attention;
        let inner = self.heads * self.head_width;
        let has = |part| parts.contains(&part);
        let mut projection = |part: &str, shape| linear(shapes, &format!("{name}.{part}"), shape, choices.biases);
        projection("value", [inner, self.width]);
        projection("output", [self.width, inner]);
        if has(Part::Vanilla) || has(Part::Dense) && choices.shared_query {
            projection("query", [inner, self.width]);
        }
        if has(Part::Vanilla) {
            projection("key", [inner, self.width]);
        }
        for part in parts {
            shapes.extend(self.part(*part).into_iter().map(|(part, shape)| (format!("{name}.{part}"), shape)));
        }
        if parts.len() > 1 && choices.weighted {
            let shape = if choices.weights_per_head { vec![parts.len(), self.heads] } else { vec![parts.len()] };
            shapes.push((format!("{name}.mixture"), shape));
        }
    }

    /// What a part has beside the projections.
    fn part(&self, part: Part) -> Vec<(&'static str, Vec<usize>)> {
        let (choices, heads, length) = (&self.attention, self.heads, self.max_length);
        let [a, b] = choices.factors;
        match part {
            Part::Vanilla => vec![],
            Part::Dense => self.dense(),
            Part::FactorizedDense => vec![
                ("factorized-dense.a.weight", vec![heads * a, self.width]),
                ("factorized-dense.b.weight", vec![heads * b, self.width]),
            ],
            Part::Random => vec![("random.r", vec![heads, length, length])],
            Part::FixedRandom => vec![("fixed-random.r", vec![heads, length, length])],
            Part::FactorizedRandom => {
                ["factorized-random.r1", "factorized-random.r2"].map(|r| (r, vec![heads, length, choices.rank])).into()
            }
        }
    }

    fn dense(&self) -> Vec<(&'static str, Vec<usize>)> {
        let (choices, length) = (&self.attention, self.max_length);
        let hidden = self.heads * choices.hidden;
        let heads = if choices.shared_output { vec![] } else { vec![self.heads] };
        let mut shapes = vec![("dense.w2", [&heads[..], &[length, choices.hidden]].concat())];
        if !choices.shared_query {
            shapes.push(("dense.w1.weight", vec![hidden, self.width]));
        }
        if choices.dense_biases {
            shapes.extend([("dense.w1.bias", vec![hidden]), ("dense.b2", [&heads[..], &[length]].concat())]);
        }
        shapes
    }
}

/// Whether a tensor is trained.
pub fn trained(name: &str) -> bool {
    !name.ends_with(".fixed-random.r")
}

fn linear(shapes: &mut Shapes, name: &str, [outputs, inputs]: [usize; 2], bias: bool) {
    shapes.push((format!("{name}.weight"), vec![outputs, inputs]));
    if bias {
        shapes.push((format!("{name}.bias"), vec![outputs]));
    }
}
