//! A branch joins the residual stream, and the sum is normalised.

use super::column_sums::column_sums;
use super::dropout::Draw;
use super::{Launch, Text, new, number, say_plain, takes};
use crate::libtorch::autograd::attach_backward;
use tch::{Kind, Tensor, no_grad};

/// Blocks of the backward kernel: each leaves a row of partial sums.
const BLOCKS: i64 = 264;

/// A normalisation over the last axis.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// What the normalised numbers are multiplied by, `[width]`.
    pub weight: &'a Tensor,
    /// What is added then, `[width]`.
    pub bias: Option<&'a Tensor>,
    /// By the root of the mean square (arXiv 1910.07467), without subtracting the mean as arXiv 1607.06450 does.
    pub root_mean_square: bool,
    /// Added to the mean square.
    pub epsilon: f64,
}

/// What joins the stream.
#[derive(Debug)]
pub struct Branch<'a> {
    /// `[rows, width]`.
    pub x: &'a Tensor,
    /// Added to each row, `[width]`.
    pub bias: Option<&'a Tensor>,
    /// What is dropped of the sum of both.
    pub draw: Option<Draw>,
}

/// `sum = stream + dropout(branch + bias)` in the stream's kind, and `norm(sum)` in `kind`, both `[rows, width]`. Without
/// a branch the sum is the stream. Each is computed in at least float32 and rounded once; the norm reads the rounded sum.
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn add_norm(stream: &Tensor, branch: Option<Branch<'_>>, norm: Norm<'_>, kind: Kind) -> (Tensor, Tensor) {
    match Kernels::of(stream, branch.as_ref(), norm, kind) {
        Some(kernels) => kernels.run(stream, branch, norm),
        None => {
            say_plain("the residual stream's norm", stream);
            in_plain_operations(stream, branch, norm, kind)
        }
    }
}

fn in_plain_operations(stream: &Tensor, branch: Option<Branch<'_>>, norm: Norm<'_>, kind: Kind) -> (Tensor, Tensor) {
    let float = if stream.kind() == Kind::Double { Kind::Double } else { Kind::Float };
    let sum = match branch {
        Some(Branch { x, bias, draw }) => {
            let x = x.to_kind(float);
            let x = bias.map_or_else(|| x.shallow_clone(), |bias| &x + bias);
            let x = draw.map_or_else(|| x.shallow_clone(), |draw| draw.apply(&x));
            (stream.to_kind(float) + x).to_kind(stream.kind())
        }
        None => stream.shallow_clone(),
    };
    let read = sum.to_kind(float);
    let output = if norm.root_mean_square {
        let mean = read.square().mean_dim([-1i64].as_slice(), true, None::<Kind>);
        let normal = &read * (mean + norm.epsilon).rsqrt() * norm.weight;
        norm.bias.map_or_else(|| normal.shallow_clone(), |bias| &normal + bias)
    } else {
        read.layer_norm(norm.weight.size(), Some(norm.weight), norm.bias, norm.epsilon, true)
    };
    (sum, output.to_kind(kind))
}

/// The kernels for one width and kinds.
#[derive(Clone)]
struct Kernels {
    text: Text,
    rows: i64,
    width: i64,
    /// Kinds of the branch and of the norm's output.
    branch: Kind,
    output: Kind,
    /// Rows and threads of a block.
    block: [i64; 2],
}

/// What the backward pass needs of the forward one.
struct Kept {
    sum: Tensor,
    mean: Option<Tensor>,
    deviation: Tensor,
    weight: Tensor,
    draw: Option<Draw>,
    joined: bool,
}

impl Kernels {
    /// `None` for what they do not cover.
    fn of(stream: &Tensor, branch: Option<&Branch<'_>>, norm: Norm<'_>, kind: Kind) -> Option<Self> {
        let (rows, width) = (stream.size()[0], norm.weight.numel() as i64);
        let floats = [Some(norm.weight), norm.bias, branch.and_then(|branch| branch.bias)];
        let covered =
            floats.into_iter().flatten().all(|tensor| tensor.kind() == Kind::Float) && stream.dim() == 2 && rows > 0;
        let branch = branch.map_or(kind, |branch| branch.x.kind());
        let (stream_number, branch_number, output_number) = (number(stream.kind())?, number(branch)?, number(kind)?);
        if !covered || !takes(stream) {
            return None;
        }
        let [warps, own] = layout(width)?;
        let macros: [(&str, &dyn std::fmt::Display); 7] = [
            ("WIDTH", &width),
            ("WARPS", &warps),
            ("ROWS", &own),
            ("RMS", &i32::from(norm.root_mean_square)),
            ("STREAM", &stream_number),
            ("BRANCH", &branch_number),
            ("OUTPUT", &output_number),
        ];
        let text = Text::new("add_norm.cu", include_str!("cuda/add_norm.cu"), &macros);
        Some(Self { text, rows, width, branch, output: kind, block: [own, 32 * warps * own] })
    }

    fn run(self, stream: &Tensor, branch: Option<Branch<'_>>, norm: Norm<'_>) -> (Tensor, Tensor) {
        let (branch, bias, draw) = branch.map_or((None, None, None), |b| (Some(b.x), b.bias, b.draw));
        let (sum, output, kept) = no_grad(|| self.forward(stream, branch, bias, norm, draw));
        let inputs: Vec<&Tensor> =
            [Some(stream), Some(norm.weight), norm.bias, branch, bias].into_iter().flatten().collect();
        let wanted = [true, true, norm.bias.is_some(), branch.is_some(), bias.is_some()];
        let backward = move |upstream: &[Tensor]| {
            let gradients = no_grad(|| self.backward(&upstream[0], &upstream[1], &kept));
            gradients.into_iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(gradient, _)| gradient).collect()
        };
        attach_backward(&inputs, &[&sum, &output], Box::new(backward)).unwrap_or_else(|error| panic!("{error}"));
        (sum, output)
    }

    fn forward(
        &self,
        stream: &Tensor,
        branch: Option<&Tensor>,
        branch_bias: Option<&Tensor>,
        norm: Norm<'_>,
        draw: Option<Draw>,
    ) -> (Tensor, Tensor, Kept) {
        let shape = [self.rows, self.width];
        let (stream, branch) = (stream.contiguous(), branch.map(Tensor::contiguous));
        let sum = if branch.is_some() { new(&stream, &shape, stream.kind()) } else { stream.detach() };
        let output = new(&stream, &shape, self.output);
        let mean = (!norm.root_mean_square).then(|| new(&stream, &[self.rows], Kind::Float));
        let deviation = new(&stream, &[self.rows], Kind::Float);
        let [own, threads] = self.block;
        Launch::new(&self.text, "add_norm", [(self.rows + own - 1) / own, 1, 1], [threads, 1, 1])
            .tensor(&stream)
            .optional(branch.as_ref())
            .optional(branch_bias)
            .tensor(&sum)
            .tensor(&output)
            .optional(mean.as_ref())
            .tensor(&deviation)
            .tensor(norm.weight)
            .optional(norm.bias)
            .int(self.rows)
            .float(norm.epsilon)
            .dropout(draw.as_ref())
            .run();
        let kept =
            Kept { sum: sum.detach(), mean, deviation, weight: norm.weight.detach(), draw, joined: branch.is_some() };
        (sum, output, kept)
    }

    /// The gradients of stream, weight, bias, branch and its bias.
    fn backward(&self, of_sum: &Tensor, of_output: &Tensor, kept: &Kept) -> [Option<Tensor>; 5] {
        if !of_output.defined() {
            return self.without_norm(of_sum, kept);
        }
        let (shape, [own, threads]) = ([self.rows, self.width], self.block);
        let of_sum = of_sum.defined().then(|| of_sum.contiguous());
        let of_output = of_output.contiguous();
        let of_stream = new(&kept.sum, &shape, kept.sum.kind());
        let of_branch = kept.joined.then(|| new(&kept.sum, &shape, self.branch));
        let blocks = BLOCKS.min((self.rows + own - 1) / own);
        let partial = new(&kept.sum, &[blocks, 3, self.width], Kind::Float);
        Launch::new(&self.text, "add_norm_backward", [blocks, 1, 1], [threads, 1, 1])
            .tensor(&of_output)
            .optional(of_sum.as_ref())
            .tensor(&kept.sum)
            .optional(kept.mean.as_ref())
            .tensor(&kept.deviation)
            .tensor(&kept.weight)
            .tensor(&of_stream)
            .optional(of_branch.as_ref())
            .tensor(&partial)
            .int(self.rows)
            .dropout(kept.draw.as_ref())
            .run();
        let sums = [(); 3].map(|()| new(&kept.sum, &[self.width], Kind::Float));
        column_sums(&partial, sums.each_ref().map(Some));
        let [of_weight, of_bias, of_branch_bias] = sums;
        [Some(of_stream), Some(of_weight), Some(of_bias), of_branch, Some(of_branch_bias)]
    }

    /// The same where nobody asked for the norm's output.
    fn without_norm(&self, of_sum: &Tensor, kept: &Kept) -> [Option<Tensor>; 5] {
        let of_branch = kept.joined.then(|| {
            let gradient = kept.draw.as_ref().map_or_else(|| of_sum.shallow_clone(), |draw| draw.apply(of_sum));
            gradient.to_kind(self.branch)
        });
        let of_bias =
            of_branch.as_ref().map(|gradient| gradient.sum_dim_intlist([0i64].as_slice(), false, Kind::Float));
        [Some(of_sum.shallow_clone()), None, None, of_branch, of_bias]
    }
}

/// Warps of a row and rows of a block, so that a lane owns at most 16 columns: more would not stay in its registers.
fn layout(width: i64) -> Option<[i64; 2]> {
    let idle = |warps: i64| (width + 256 * warps - 1) / (256 * warps) * 256 * warps - width;
    let fitting = (1..=8).filter(|warps| width <= 512 * warps);
    // Lanes without columns are lanes lost: three whole warps are better than two of which one is half empty.
    let warps = fitting.min_by_key(|warps| (idle(*warps), *warps))?;
    Some([warps, 8 / warps])
}

#[cfg(test)]
mod tests;
