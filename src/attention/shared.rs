//! Weights that no input changes: one softmax for the batch, one product per head.

use super::dropout::{Draws, Dropout};
use super::mask::Mask;
use super::materialised::weights;
use super::scores::Scores;
use crate::kernels::dropout::Draw;
use crate::kernels::multiply::{multiply, multiply_wide};
use crate::kernels::permute::{by_head, by_sample};
use crate::kernels::shared_softmax::{SharedWeights, takes_scores};
use crate::libtorch::autograd::attach_backward;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor, no_grad};

/// Whether the path computes these scores.
pub fn applies(scores: &Scores) -> bool {
    scores.batch_independent()
}

/// Whether it is worth its N × M tensor: where such a table stands in memory anyway, and for a product of factors as
/// long as that is not larger than the values and what they give.
pub fn pays(scores: &Scores, v: &Tensor) -> bool {
    let [batch, _, m, width] = v.size()[..] else { unreachable!("values have four axes") };
    let n = scores.queries();
    !scores.tables.is_empty() || n * m <= batch * (n + m) * width
}

/// `softmax(B)·V` as `[N, M]·[M, batch·d_h]` per head. Arguments as in [`attend`](super::attend()).
///
/// Under a causal mask right padding needs no mask of its own: a real query sees real keys only, and what a padded
/// query gives is nobody's business, but that a sample without any key gives 0.
pub fn attend(scores: &Scores, v: &Tensor, mask: &Mask, dropout: Dropout<'_>) -> Tensor {
    let (n, m) = (scores.queries(), v.size()[2]);
    let logits = scores.materialise(m); // [1, heads, N, M]
    let one_softmax = mask.causal || mask.key_lengths.is_none();
    if one_softmax && takes_scores(&logits, v.kind()) {
        let draw = dropout.matrix([v.size()[1] * n, m]);
        return without_empty(mix_by_kernel(&logits.squeeze_dim(0), v, mask.causal, draw), mask);
    }
    let draws = dropout.draws((1, v.size()[1]), (n, m));
    let output = match &mask.key_lengths {
        Some(lengths) if !mask.causal => padded(&logits, v, lengths, draws.as_ref()),
        _ => {
            let causal = mask.without_lengths();
            let hidden = causal.hidden(&(0..n), m, (n, m), v.device());
            mix(&kept(weights(&logits, hidden.as_ref(), &causal), draws.as_ref()), v)
        }
    };
    let output = if draws.is_some() { output * dropout.scale() } else { output };
    without_empty(output, mask)
}

/// 0 for a sample without any key, under a causal mask.
fn without_empty(output: Tensor, mask: &Mask) -> Tensor {
    match mask.empty().filter(|_| mask.causal) {
        Some(empty) => output.masked_fill(&empty, 0.0),
        None => output,
    }
}

/// softmax, dropout and product of `logits` `[heads, N, M]` and values, by our kernels around one product per head. The
/// logits' gradient is float32 from the product on.
fn mix_by_kernel(logits: &Tensor, v: &Tensor, causal: bool, draw: Option<Draw>) -> Tensor {
    let [batch, heads, m, width] = v.size()[..] else { unreachable!("values have four axes") };
    let n = logits.size()[1];
    let (shared, values, output) = no_grad(|| {
        let shared = SharedWeights::new(logits, causal, draw, v.kind());
        let values = by_head(&v.detach()); // [heads, M, batch · width]
        let output = by_sample(&multiply(shared.weights(), &values), batch);
        (shared, values, output)
    });
    let output = output.detach();
    debug_assert_eq!(output.size(), [batch, heads, n, width]);
    let backward = move |upstream: &[Tensor]| {
        no_grad(|| {
            let upstream = by_head(&upstream[0]); // [heads, N, batch · width]
            let of_values = by_sample(&multiply(&shared.weights().transpose(1, 2), &upstream), batch);
            let of_weights = multiply_wide(&upstream, &values.transpose(1, 2)).to_kind(Kind::Float);
            debug_assert_eq!(of_values.size()[2], m);
            vec![Some(shared.score_gradient(&of_weights)), Some(of_values)]
        })
    };
    attach_backward(&[logits, v], &[&output], Box::new(backward)).unwrap_or_else(|error| panic!("{error}"));
    output
}

fn kept(weights: Tensor, draws: Option<&Draws>) -> Tensor {
    let [_, _, n, m] = weights.size()[..] else { unreachable!("weights have four axes") };
    match draws {
        Some(draws) => weights.masked_fill(&draws.dropped(&(0..n), m), 0.0),
        None => weights,
    }
}

/// One product per head for the whole batch: `[1, heads, N, M]` by `[batch, heads, M, d_h]`.
fn mix(weights: &Tensor, v: &Tensor) -> Tensor {
    let [batch, heads, m, width] = v.size()[..] else { unreachable!("values have four axes") };
    let n = weights.size()[2];
    let values = v.permute([1, 2, 0, 3]).reshape([heads, m, batch * width]);
    let mixed = weights.squeeze_dim(0).to_kind(v.kind()).bmm(&values); // [heads, N, batch · d_h]
    mixed.view([heads, n, batch, width]).permute([2, 0, 1, 3])
}

/// Samples of unequal length: the exponentials are taken once, values are zero at pads, and each sample has its own
/// denominators. Where all that a sample sees has underflowed, one softmax per distinct length is taken instead.
fn padded(logits: &Tensor, v: &Tensor, lengths: &Tensor, draws: Option<&Draws>) -> Tensor {
    let exponentials = (logits - logits.detach().amax([-1i64].as_slice(), true)).exp(); // [1, heads, N, M]
    let positions = Tensor::arange(v.size()[2], (Kind::Int64, v.device()));
    let visible = positions.less_tensor(&lengths.view([-1, 1])); // [batch, M]
    let real = visible.to_kind(exponentials.kind()).transpose(0, 1);
    // [1, heads, N, batch] to [batch, heads, N, 1]
    let denominators = exponentials.matmul(&real).permute([3, 1, 2, 0]);
    let empty = lengths.eq(0).view([-1, 1, 1, 1]);
    if underflows(&denominators.masked_fill(&empty, 1.0)) {
        return per_length(logits, v, lengths, draws);
    }
    let hidden = visible.logical_not().view([v.size()[0], 1, -1, 1]);
    let sums = mix(&kept(exponentials, draws), &v.masked_fill(&hidden, 0.0));
    (sums / denominators.masked_fill(&empty, 1.0)).to_kind(v.kind())
}

/// Whether a denominator is so small that its exponentials have lost digits. The host waits for the answer.
fn underflows(denominators: &Tensor) -> bool {
    let least = if denominators.kind() == Kind::Double { 1e-280 } else { 1e-28 };
    denominators.detach().min().double_value(&[]) < least
}

/// One softmax per distinct length.
fn per_length(logits: &Tensor, v: &Tensor, lengths: &Tensor, draws: Option<&Draws>) -> Tensor {
    let lengths = lengths.to_device(Device::Cpu).to_kind(Kind::Int64);
    let mut samples_of = BTreeMap::<i64, Vec<i64>>::new();
    for sample in 0..lengths.size()[0] {
        samples_of.entry(lengths.int64_value(&[sample])).or_default().push(sample);
    }
    let on_device = |list: &[i64]| Tensor::from_slice(list).to_device(v.device());
    let outputs: Vec<Tensor> = samples_of
        .iter()
        .map(|(&length, samples)| {
            let values = v.index_select(0, &on_device(samples)).narrow(2, 0, length);
            mix(&kept(logits.narrow(3, 0, length).softmax(-1, None::<Kind>), draws), &values)
        })
        .collect();
    // Back to the samples' own order.
    let order = samples_of.into_values().flatten().collect::<Vec<_>>();
    let places = Tensor::from_slice(&order).argsort(0, false).to_device(v.device());
    Tensor::cat(&outputs, 0).index_select(0, &places)
}
