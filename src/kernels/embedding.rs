//! Rows of tables for tokens and positions, and the gradients back to them in an order that does not change.

use super::column_sums::column_sums;
use super::dropout::Draw;
use super::{Launch, Text, new, number, say_plain, takes};
use crate::libtorch::autograd::attach_backward;
use tch::{Kind, Tensor, no_grad};

/// Neighbours that a block of the backward kernel sums: CHUNK in its text.
const CHUNK: i64 = 32;
/// Shares of the batch whose sums for each position stand apart at first.
const SHARES: i64 = 8;

/// Where the rows come from.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'a> {
    /// A row for each token, `[vocabulary, width]`.
    pub tokens: &'a Tensor,
    /// What these rows are multiplied by.
    pub factor: f64,
    /// A row for each position of a sequence, `[length, width]`.
    pub positions: Option<&'a Tensor>,
}

/// `dropout(factor · table[token] + positions[position])` for `tokens` (int64 `[batch, length]`):
/// `[batch · length, width]` in `kind`.
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn embedding(tokens: &Tensor, tables: Tables<'_>, draw: Option<Draw>, kind: Kind) -> Tensor {
    match Kernels::of(tokens, tables, kind) {
        Some(kernels) => kernels.run(tokens, tables, draw),
        None => {
            say_plain("the embedding", tables.tokens);
            in_plain_operations(tokens, tables, draw, kind)
        }
    }
}

fn in_plain_operations(tokens: &Tensor, tables: Tables<'_>, draw: Option<Draw>, kind: Kind) -> Tensor {
    let rows = Tensor::embedding(tables.tokens, tokens, -1, false, false);
    let rows = if tables.factor == 1.0 { rows } else { rows * tables.factor };
    let rows = tables.positions.map_or_else(|| rows.shallow_clone(), |positions| &rows + positions);
    let rows = rows.flatten(0, 1);
    draw.map_or_else(|| rows.shallow_clone(), |draw| draw.apply(&rows)).to_kind(kind)
}

/// The kernels for one width and kind.
struct Kernels {
    text: Text,
    batch: i64,
    length: i64,
    width: i64,
    kind: Kind,
}

/// What the backward pass needs.
struct Kept {
    tokens: Tensor,
    vocabulary: i64,
    factor: f64,
    positions: bool,
    draw: Option<Draw>,
}

impl Kernels {
    /// `None` for what they do not cover.
    fn of(tokens: &Tensor, tables: Tables<'_>, kind: Kind) -> Option<Self> {
        let (&[batch, length], width) = (tokens.size().as_slice(), tables.tokens.size()[1]) else { return None };
        let floats = [Some(tables.tokens), tables.positions];
        let covered = floats.into_iter().flatten().all(|table| table.kind() == Kind::Float && table.is_contiguous());
        let stream = number(kind)?;
        if !covered || batch * length == 0 || !takes(tables.tokens) {
            return None;
        }
        let macros: [(&str, &dyn std::fmt::Display); 2] = [("WIDTH", &width), ("STREAM", &stream)];
        let text = Text::new("embedding.cu", include_str!("cuda/embedding.cu"), &macros);
        Some(Self { text, batch, length, width, kind })
    }

    fn run(self, tokens: &Tensor, tables: Tables<'_>, draw: Option<Draw>) -> Tensor {
        let tokens = tokens.contiguous();
        let output = no_grad(|| self.forward(&tokens, tables, draw.as_ref()));
        let learned = tables.positions.filter(|positions| positions.requires_grad());
        let kept = Kept {
            tokens: tokens.view([-1]),
            vocabulary: tables.tokens.size()[0],
            factor: tables.factor,
            positions: learned.is_some(),
            draw,
        };
        let inputs: Vec<&Tensor> = [Some(tables.tokens), learned].into_iter().flatten().collect();
        let backward = move |upstream: &[Tensor]| no_grad(|| self.backward(&upstream[0].contiguous(), &kept));
        attach_backward(&inputs, &[&output], Box::new(backward)).unwrap_or_else(|error| panic!("{error}"));
        output
    }

    fn forward(&self, tokens: &Tensor, tables: Tables<'_>, draw: Option<&Draw>) -> Tensor {
        let rows = self.batch * self.length;
        let output = new(tables.tokens, &[rows, self.width], self.kind);
        Launch::new(&self.text, "embedding", [(rows * self.eights() + 255) / 256, 1, 1], [256, 1, 1])
            .tensor(tokens)
            .tensor(tables.tokens)
            .optional(tables.positions)
            .tensor(&output)
            .int(rows)
            .int(self.length)
            .float(tables.factor)
            .dropout(draw)
            .run();
        output
    }

    fn backward(&self, upstream: &Tensor, kept: &Kept) -> Vec<Option<Tensor>> {
        let of_tokens = self.token_gradient(upstream, kept);
        let of_positions = kept.positions.then(|| self.position_gradient(upstream, kept));
        [Some(of_tokens)].into_iter().chain(of_positions.map(Some)).collect()
    }

    /// `[vocabulary, width]`: rows of one token are neighbours once the tokens are sorted.
    fn token_gradient(&self, upstream: &Tensor, kept: &Kept) -> Tensor {
        let tokens = self.batch * self.length;
        let (sorted, order) = kept.tokens.sort_stable(true, 0, false);
        let gradient = Tensor::zeros([kept.vocabulary, self.width], (Kind::Float, upstream.device()));
        let chunks = (tokens + CHUNK - 1) / CHUNK;
        let edges = new(upstream, &[chunks, 2, self.width], Kind::Float);
        let across = self.eights().min(256);
        let (blocks, threads) = ([chunks, (self.eights() + across - 1) / across, 1], [across, 1, 1]);
        Launch::new(&self.text, "embedding_gradient", blocks, threads)
            .tensor(&sorted)
            .tensor(&order)
            .tensor(upstream)
            .tensor(&gradient)
            .tensor(&edges)
            .int(tokens)
            .float(kept.factor)
            .dropout(kept.draw.as_ref())
            .run();
        Launch::new(&self.text, "embedding_edges", blocks, threads)
            .tensor(&sorted)
            .tensor(&gradient)
            .tensor(&edges)
            .int(tokens)
            .run();
        gradient
    }

    /// `[length, width]`.
    fn position_gradient(&self, upstream: &Tensor, kept: &Kept) -> Tensor {
        let shares = SHARES.min(self.batch);
        let partial = new(upstream, &[shares, self.length, self.width], Kind::Float);
        let blocks = [(self.length * self.eights() + 255) / 256, shares, 1];
        Launch::new(&self.text, "position_gradient", blocks, [256, 1, 1])
            .tensor(upstream)
            .tensor(&partial)
            .int(self.batch)
            .int(self.length)
            .dropout(kept.draw.as_ref())
            .run();
        let sums = new(upstream, &[self.length, self.width], Kind::Float);
        column_sums(&partial, [Some(&sums), None, None]);
        sums
    }

    /// Vectors of eight in a row.
    fn eights(&self) -> i64 {
        (self.width + 7) / 8
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::with_kernels;
    use super::*;
    use crate::kernels::dropout::DropoutKey;
    use crate::libtorch::autograd::backward;
    use tch::Device;

    fn run(tokens: &Tensor, numbers: [&Tensor; 3], positions: bool, probability: f64, kinds: [Kind; 2]) -> Vec<Tensor> {
        let leaf = |x: &Tensor| x.to_kind(kinds[0]).detach().set_requires_grad(true);
        let (table, places) = (leaf(numbers[0]), leaf(numbers[1]));
        let tables = Tables { tokens: &table, factor: 1.5, positions: positions.then_some(&places) };
        let sizes = [tokens.numel() as i64, table.size()[1]];
        let draw = Draw::new(&DropoutKey::of(Tensor::from_slice(&[1i32, 2])), 3, probability, sizes);
        let output = embedding(tokens, tables, draw, kinds[1]);
        backward(&[output.shallow_clone()], &[numbers[2].to_kind(kinds[1])]).unwrap();
        let mut found = vec![output, table.grad()];
        if positions {
            found.push(places.grad());
        }
        found.into_iter().map(|tensor| tensor.detach().to_kind(Kind::Double)).collect()
    }

    /// Few distinct tokens make runs over many chunks, many make runs of one; 1 all of one.
    #[test]
    fn kernels_equal_plain_operations_in_float64() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(6);
        for (vocabulary, width, batch, length) in [(3, 16, 9, 33), (500, 77, 4, 40), (1, 8, 5, 64), (40, 2056, 2, 50)] {
            for (kind, positions, probability) in
                [(Kind::Float, true, 0.2), (Kind::BFloat16, true, 0.0), (Kind::Float, false, 0.1)]
            {
                let tokens = Tensor::randint(vocabulary, [batch, length], (Kind::Int64, Device::Cpu));
                let draw = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(Kind::Double);
                let (table, places) = (draw(&[vocabulary, width]), draw(&[length, width]));
                let upstream = draw(&[batch * length, width]).to_kind(kind).to_kind(Kind::Double);
                let numbers = [&table, &places, &upstream];
                let expected = run(&tokens, numbers, positions, probability, [Kind::Double, Kind::Double]);
                let found = with_kernels(|| run(&tokens, numbers, positions, probability, [Kind::Float, kind]));
                for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let difference = ((found - expected).abs().max() / expected.abs().max()).double_value(&[]);
                    let bound = if kind == Kind::BFloat16 && i == 0 { 4e-3 } else { 3e-6 };
                    assert!(difference < bound, "{i} differs by {difference}: {vocabulary}, {width}, {kind:?}");
                }
            }
        }
    }

    #[test]
    fn the_gradient_is_the_same_bits_again() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(7);
        let options = (Kind::Double, Device::Cpu);
        let (tokens, table) =
            (Tensor::randint(5, [7, 30], (Kind::Int64, Device::Cpu)), Tensor::randn([5, 24], options));
        let (places, upstream) = (Tensor::randn([30, 24], options), Tensor::randn([210, 24], options));
        let numbers = [&table, &places, &upstream];
        let once = || with_kernels(|| run(&tokens, numbers, true, 0.1, [Kind::Float, Kind::Float]));
        assert_eq!(once(), once());
    }
}
