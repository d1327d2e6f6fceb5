//! Parts in factored form on a GPU, from the joined product of all projections on: one pass makes queries and keys of all
//! parts side by side (those of `vanilla` alone stay where they are), a stock kernel attends, and one pass brings the
//! gradients back into the product's own layout.
//!
//! The same as the fused path in plain operations, whose every step (relu, weights, concatenation, padding of the values,
//! and each one's gradient) is a pass over memory.

use super::fused::preferred;
use super::layer::SynthesizedAttention;
use super::mask::Mask;
use super::mixer::Pass;
use super::projection::project_joined;
use crate::kernels::runs_on;
use crate::kernels::score_operands::{Part, Parts, Source};
use crate::kernels::stock_attention::{self, Backend, Settings};
use crate::libtorch::autograd::attach_backward;
use tch::{Device, Kind, Tensor, no_grad};

/// The widest heads whose backward pass the stock kernels have on every card.
const MAX_WIDTH: i64 = 128;

/// Attention of `x` `[batch, N, d_model]` over itself before the output's projection, `[batch, N, heads · d_h]`; `None`
/// where another way computes it.
pub fn attend(layer: &SynthesizedAttention, x: &Tensor, mask: &Mask, pass: Pass<'_>) -> Option<Tensor> {
    let possible = pass.compute == Kind::BFloat16
        && matches!(x.device(), Device::Cuda(_))
        && mask.key_lengths.is_none()
        && layer.dropout(pass).allows_stock_kernels()
        && runs_on(x.device()).is_ok();
    let parts = possible.then(|| layer.packed_parts()).flatten()?;
    if !pays(&parts) || !parts.are_covered() || parts.width().max(parts.value_width) > MAX_WIDTH {
        return None;
    }
    let dropout = layer.dropout(pass).probability();
    let packed = project_joined(&layer.projections(), x, pass); // [batch, N, columns]
    let backend = preferred(&values(&packed, &parts), mask.causal, dropout)?;
    let settings = Settings { dropout, causal: mask.causal, scale: 1.0, training: packed.requires_grad() };
    Some(attend_packed(&packed, parts, layer.mixture_weights().as_ref(), backend, settings))
}

/// Whether a score depends on the input; where none does samples share their weights.
fn pays(parts: &Parts) -> bool {
    let from_input = |source: &Source| matches!(source, Source::Columns { .. });
    parts.list.iter().any(|part| from_input(&part.queries) || from_input(&part.keys))
}

/// `[batch, heads, N, d_h]`.
fn values(packed: &Tensor, parts: &Parts) -> Tensor {
    columns(packed, parts.value_column, parts.heads, parts.value_width)
}

/// Columns of the product as heads, `[batch, heads, N, width]`: a view.
fn columns(packed: &Tensor, first: i64, heads: i64, width: i64) -> Tensor {
    let [batch, length] = [packed.size()[0], packed.size()[1]];
    packed.narrow(2, first, heads * width).view([batch, length, heads, width]).transpose(1, 2)
}

/// First columns of queries and keys that are the product's as they are, but for a scale: those of `vanilla` alone.
fn as_they_are(parts: &Parts) -> Option<[i64; 2]> {
    let [Part { queries: Source::Columns { first, relu: false }, keys: Source::Columns { first: keys, .. }, .. }] =
        parts.list[..]
    else {
        return None;
    };
    Some([first, keys])
}

/// Queries and keys of all parts, each `[batch, heads, N, width]`. A scale is left to the kernel where they are views, and
/// taken out of the parts.
fn operands(packed: &Tensor, parts: &mut Parts, weights: Option<&Tensor>, scale: &mut f64) -> [Tensor; 2] {
    if let (Some(firsts), None) = (as_they_are(parts), weights) {
        *scale = std::mem::replace(&mut parts.list[0].scale, 1.0);
        return firsts.map(|first| columns(packed, first, parts.heads, parts.list[0].width));
    }
    let [queries, keys] = parts.operands(packed, weights);
    [queries, keys.expand([packed.size()[0], -1, -1, -1], false)]
}

fn attend_packed(
    joined: &Tensor,
    parts: Parts,
    weights: Option<&Tensor>,
    backend: Backend,
    mut settings: Settings,
) -> Tensor {
    let (packed, kept_weights) = (joined.detach().contiguous(), weights.map(Tensor::detach));
    let [batch, length, inner] = [joined.size()[0], joined.size()[1], parts.heads * parts.value_width];
    let mut kept = parts.detached();
    let attention = no_grad(|| {
        let [queries, keys] = operands(&packed, &mut kept, kept_weights.as_ref(), &mut settings.scale);
        let operands = [queries, keys, values(&packed, &kept)];
        stock_attention::attend(backend, operands, settings).unwrap_or_else(|error| panic!("{error}"))
    });
    let output = no_grad(|| attention.output().transpose(1, 2).reshape([batch, length, inner])).detach();
    let inputs: Vec<&Tensor> = [Some(joined), weights].into_iter().flatten().chain(parts.tables()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::host::with_kernels;

    /// Two heads of 16 columns: queries, keys, values.
    fn vanilla() -> Parts {
        let source = |first: i64| Source::Columns { first, relu: false };
        let part = Part { queries: source(0), keys: source(32), width: 16, scale: 0.25 };
        Parts { list: vec![part], heads: 2, columns: 96, value_column: 64, value_width: 16 }
    }

    fn draw(shape: &[i64]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(Kind::BFloat16)
    }

    #[test]
    fn one_dot_product_stays_where_it_is_and_is_scaled_once() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(13);
        let (mut parts, packed, mut scale) = (vanilla(), draw(&[3, 7, 96]), 1.0);
        let made = with_kernels(|| parts.operands(&packed, None));
        let [queries, keys] = operands(&packed, &mut parts, None, &mut scale);
        assert_eq!(queries.data_ptr(), packed.data_ptr());
        assert_eq!((&queries * scale, keys), (made[0].shallow_clone(), made[1].shallow_clone()));
        // The kernel's gradients are those of the columns.
        let upstream = [16, 16, 16].map(|width| draw(&[3, 7, 2, width]).transpose(1, 2));
        let gradients = with_kernels(|| parts.gradients(&packed, None, upstream.each_ref()));
        let flat = upstream.each_ref().map(|x| x.transpose(1, 2).flatten(2, 3));
        assert_eq!(gradients.packed, Tensor::cat(&flat, 2));
    }

    #[test]
    fn only_queries_and_keys_as_they_are_stay() {
        assert_eq!(as_they_are(&vanilla()), Some([0, 32]));
        let with = |change: &dyn Fn(&mut Parts)| {
            let mut parts = vanilla();
            change(&mut parts);
            as_they_are(&parts)
        };
        assert_eq!(with(&|parts| parts.list[0].queries = Source::Columns { first: 0, relu: true }), None);
        let table = || Source::Table(Tensor::zeros([2, 7, 16], (Kind::Float, Device::Cpu)));
        assert_eq!(with(&|parts| parts.list[0].keys = table()), None);
        assert_eq!(with(&|parts| parts.list[0].queries = table()), None);
        assert_eq!(with(&|parts| parts.list.extend(vanilla().list)), None);
    }

    #[test]
    fn what_no_input_changes_is_left_to_the_shared_path() {
        assert!(pays(&vanilla()));
        let table = || Source::Table(Tensor::zeros([2, 7, 16], (Kind::Float, Device::Cpu)));
        let part = |queries, keys| Part { queries, keys, width: 16, scale: 1.0 };
        let fixed = Parts { list: vec![part(table(), table())], ..vanilla() };
        assert!(!pays(&fixed));
        let mixed = Parts { list: [fixed.list, vanilla().list].into_iter().flatten().collect(), ..vanilla() };
        assert!(pays(&mixed));
    }
}
