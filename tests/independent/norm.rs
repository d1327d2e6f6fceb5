//! The norms of rows.

use crate::model::{Model, Rows, dot, sum};
use crate::number::Number;

/// `model.norm`.
#[derive(Clone, Copy, PartialEq)]
pub enum Norm {
    /// Mean 0, variance 1.
    Layer,
    /// Root of the mean square 1 (arXiv 1910.07467).
    Rms,
}

impl Norm {
    /// That of a documented name.
    pub fn named(name: &str) -> Self {
        match name {
            "layer" => Self::Layer,
            "rms" => Self::Rms,
            name => panic!("a documented norm, found {name}"),
        }
    }

    /// A row before weight and bias.
    fn of<S: Number>(self, row: &[S]) -> Vec<S> {
        let count = S::from(row.len() as f64);
        let (mean, eps) = match self {
            Self::Layer => (sum(row.iter().copied()) / count, 1e-5),
            Self::Rms => (S::from(0.0), 1e-6),
        };
        let row: Vec<S> = row.iter().map(|x| *x - mean).collect();
        let deviation = (dot(&row, &row) / count + S::from(eps)).sqrt();
        row.into_iter().map(|x| x / deviation).collect()
    }
}

impl<S: Number> Model<S> {
    /// Rows by the norm of this name.
    pub fn normalized(&self, rows: &Rows<S>, name: &str) -> Rows<S> {
        let gain = &self.weights[&format!("{name}.weight")];
        let bias = self.weights.get(&format!("{name}.bias"));
        let weighed = |(entry, x): (usize, S)| bias.map_or(x * gain[entry], |bias| x * gain[entry] + bias[entry]);
        rows.iter().map(|row| self.plan.norm.of(row).into_iter().enumerate().map(weighed).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_divided_by_their_deviation_or_root_mean_square() {
        let agree = |found: Vec<f64>, expected: [f64; 2]| {
            assert!(found.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-15), "{found:?} against {expected:?}");
        };
        let deviation = (4.0f64 + 1e-5).sqrt();
        agree(Norm::Layer.of(&[1.0, 5.0]), [-2.0 / deviation, 2.0 / deviation]);
        let root = (12.5f64 + 1e-6).sqrt();
        agree(Norm::Rms.of(&[3.0, -4.0]), [3.0 / root, -4.0 / root]);
    }
}
