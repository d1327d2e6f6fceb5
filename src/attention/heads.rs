//! Projections, and heads side by side in one axis or each in its own.

use super::mixer::Pass;
use tch::Tensor;

/// `x·Wᵀ` in the pass's kind: `[batch, N, in]` by `[out, in]`.
pub fn project(x: &Tensor, weight: &Tensor, pass: Pass) -> Tensor {
    x.to_kind(pass.compute).linear(&weight.to_kind(pass.compute), None::<&Tensor>)
}

/// `[batch, N, heads · width]` to `[batch, heads, N, width]`; head h owns columns h·width and following.
pub fn split_heads(x: &Tensor, heads: i64) -> Tensor {
    let [batch, n, inner] = x.size()[..] else { unreachable!("activations have three axes") };
    x.view([batch, n, heads, inner / heads]).transpose(1, 2)
}

/// `[batch, heads, N, width]` to `[batch, N, heads · width]`.
pub fn join_heads(x: &Tensor) -> Tensor {
    let [batch, heads, n, width] = x.size()[..] else { unreachable!("heads have four axes") };
    x.transpose(1, 2).reshape([batch, n, heads * width])
}
