//! How a model is told of positions.

use super::options::{ModelOptions, Positions};
use crate::parameters::{Init, Role, Scope};
use tch::{Kind, Tensor};

/// Adds positions to token embeddings.
pub struct PositionEncoding {
    kind: Positions,
    /// `[max_length, d_model]`: trained, or the sines and cosines; nothing where embeddings are not told of positions.
    table: Option<Tensor>,
    /// What token embeddings are multiplied by before.
    scale: f64,
}

impl PositionEncoding {
    /// For learned positions the tensor `positions.weight` below `scope`.
    pub fn new(scope: &mut Scope<'_>, model: &ModelOptions, like: &Tensor) -> Self {
        let &ModelOptions { positions: kind, max_length, d_model, .. } = model;
        let table = match kind {
            Positions::Learned => {
                let mut scope = scope.enter("positions").with_role(Role::Embedding);
                Some(scope.tensor("weight", &[max_length, d_model], Init::Normal(model.embedding_std())))
            }
            Positions::Sinusoidal => Some(sinusoids(max_length, d_model).to_kind(like.kind()).to_device(like.device())),
            Positions::Relative | Positions::None => None,
        };
        // Sines have an amplitude of 1: without the factor tokens would drown in them (arXiv 1706.03762, 3.4).
        let scale = if kind == Positions::Sinusoidal { (d_model as f64).sqrt() } else { 1.0 };
        Self { kind, table, scale }
    }

    /// What token embeddings are multiplied by.
    pub fn factor(&self) -> f64 {
        self.scale
    }

    /// What is added to them at the positions from `first` on, `[count, d_model]`.
    pub fn rows(&self, first: i64, count: i64) -> Option<Tensor> {
        self.table.as_ref().map(|table| table.narrow(0, first, count))
    }

    /// `[rows, d_model]` token embeddings to the same in `kind`, each with its own of `positions` (int64 `[rows]`)
    /// added; rounded once.
    pub fn forward_at(&self, embedded: &Tensor, positions: &Tensor, kind: Kind) -> Tensor {
        let scaled = self.scaled(embedded);
        match &self.table {
            Some(table) => {
                let sum = Tensor::empty(embedded.size(), (kind, embedded.device()));
                scaled.add_out(&sum, &table.index_select(0, positions))
            }
            None => scaled.to_kind(kind),
        }
    }

    fn scaled(&self, embedded: &Tensor) -> Tensor {
        if self.kind == Positions::Sinusoidal { embedded * self.scale } else { embedded.shallow_clone() }
    }
}

/// The table of arXiv 1706.03762, section 3.5: column 2i is sin(p / 10000^(2i/d)), column 2i + 1 its cosine.
fn sinusoids(max_length: i64, d_model: i64) -> Tensor {
    let value = |position: i64, column: i64| {
        let angle = position as f64 / 10000f64.powf((column - column % 2) as f64 / d_model as f64);
        if column % 2 == 0 { angle.sin() } else { angle.cos() }
    };
    let values: Vec<f64> = (0..max_length).flat_map(|p| (0..d_model).map(move |c| value(p, c))).collect();
    Tensor::from_slice(&values).view([max_length, d_model]).to_kind(Kind::Double)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_and_cosines_alternate() {
        let table = sinusoids(3, 4);
        approx::assert_abs_diff_eq!(table.double_value(&[0, 0]), 0.0);
        approx::assert_abs_diff_eq!(table.double_value(&[0, 1]), 1.0);
        approx::assert_abs_diff_eq!(table.double_value(&[2, 0]), 2f64.sin());
        approx::assert_abs_diff_eq!(table.double_value(&[2, 3]), (2f64 / 100.0).cos());
    }
}
