//! Parts in factored form on a GPU, from the joined product of all projections on: one pass makes queries and keys of all
//! parts side by side, cuDNN's kernel attends, and one pass brings the gradients back into the product's own layout.
//!
//! The same as the fused path in plain operations, whose every step (relu, weights, concatenation, padding of the values,
//! and each one's gradient) is a pass over memory.

use super::fused::prefers_cudnn;
use super::layer::SynthesizedAttention;
use super::mask::Mask;
use super::mixer::Pass;
use super::projection::project_joined;
use crate::kernels::runs_on;
use crate::kernels::score_operands::{Part, Parts, Source};
use crate::libtorch::attention::CudnnAttention;
use crate::libtorch::autograd::attach_backward;
use tch::{Device, Kind, Tensor, no_grad};

/// The widest heads that cuDNN's backward pass takes on every card.
const MAX_WIDTH: i64 = 128;

/// First columns in the joined product of what a part reads.
pub struct Columns<'a> {
    /// The layer's query projection.
    pub query: Option<i64>,
    /// The part's own projections.
    pub own: &'a [i64],
    /// The part's keys.
    pub key: Option<i64>,
    /// Number of heads.
    pub heads: i64,
}

/// Attention of `x` `[batch, N, d_model]` over itself before the output's projection, `[batch, N, heads · d_h]`; `None`
/// where another way computes it.
pub fn attend(layer: &SynthesizedAttention, x: &Tensor, mask: &Mask, pass: Pass<'_>) -> Option<Tensor> {
    let possible = pass.compute == Kind::BFloat16
        && matches!(x.device(), Device::Cuda(_))
        && mask.key_lengths.is_none()
        && runs_on(x.device()).is_ok();
    let parts = possible.then(|| layer.packed_parts()).flatten()?;
    if !pays(&parts) || !parts.are_covered() || parts.width().max(parts.value_width) > MAX_WIDTH {
        return None;
    }
    let dropout = layer.dropout(pass).probability();
    let packed = project_joined(&layer.projections(), x, pass); // [batch, N, columns]
    if !prefers_cudnn(&values(&packed, &parts), mask.causal, dropout) {
        return None;
    }
    Some(attend_packed(&packed, &parts, layer.mixture_weights().as_ref(), mask.causal, dropout))
}

/// Whether queries and keys are to be made; those of `vanilla` alone are columns as they are, and where nothing comes from
/// the input samples share their weights.
fn pays(parts: &Parts) -> bool {
    let from_input = |source: &Source| matches!(source, Source::Columns { .. });
    let plain = |part: &Part| matches!(part.queries, Source::Columns { relu: false, .. }) && from_input(&part.keys);
    let any = parts.list.iter().any(|part| from_input(&part.queries) || from_input(&part.keys));
    any && !(parts.list.len() == 1 && parts.list.iter().all(plain))
}

/// `[batch, heads, N, d_h]`.
fn values(packed: &Tensor, parts: &Parts) -> Tensor {
    let [batch, length] = [packed.size()[0], packed.size()[1]];
    let columns = packed.narrow(2, parts.value_column, parts.heads * parts.value_width);
    columns.view([batch, length, parts.heads, parts.value_width]).transpose(1, 2)
}

fn attend_packed(joined: &Tensor, parts: &Parts, weights: Option<&Tensor>, causal: bool, dropout: f64) -> Tensor {
    let training = joined.requires_grad();
    let [batch, length, inner] = [joined.size()[0], joined.size()[1], parts.heads * parts.value_width];
    let (packed, kept_weights) = (joined.detach().contiguous(), weights.map(Tensor::detach));
    let attention = no_grad(|| {
        let [queries, keys] = parts.operands(&packed, kept_weights.as_ref());
        let keys = keys.expand([batch, -1, -1, -1], false);
        let operands = [queries, keys, values(&packed, parts)];
        CudnnAttention::new(operands, (dropout, causal, 1.0), training).unwrap_or_else(|error| panic!("{error}"))
    });
    let output = no_grad(|| attention.output().transpose(1, 2).reshape([batch, length, inner])).detach();
    let inputs: Vec<&Tensor> = [Some(joined), weights].into_iter().flatten().chain(parts.tables()).collect();
    let kept = parts.detached();
    let backward = move |upstream: &[Tensor]| {
        no_grad(|| {
            let upstream = upstream[0].view([batch, length, kept.heads, kept.value_width]).transpose(1, 2);
            let gradients = attention.backward(&upstream).unwrap_or_else(|error| panic!("{error}"));
            let gradients = kept.gradients(&packed, kept_weights.as_ref(), gradients.each_ref());
            let first = [Some(gradients.packed), gradients.weights];
            first.into_iter().flatten().chain(gradients.tables).map(Some).collect()
        })
    };
    attach_backward(&inputs, &[&output], Box::new(backward)).unwrap_or_else(|error| panic!("{error}"));
    output
}
