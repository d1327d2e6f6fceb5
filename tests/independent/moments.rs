//! What an optimizer keeps of past gradients, under the names of `optimizer.safetensors`.

use std::collections::BTreeMap;

use crate::folder::Tensor;

/// Running means and sums, each zero before its first update.
#[derive(Default)]
pub struct Moments(pub BTreeMap<String, Tensor>);

impl Moments {
    /// The values of a weight's moment of a kind, of this shape.
    pub fn of(&mut self, kind: &str, name: &str, shape: &[usize]) -> &mut Vec<f64> {
        let zeros = || {
            let values = vec![0.0; shape.iter().product()];
            Tensor { kind: safetensors::Dtype::F64, shape: shape.to_vec(), values }
        };
        let moment = self.0.entry(format!("{kind}.{name}")).or_insert_with(zeros);
        assert_eq!(moment.shape, shape, "{kind} of {name}");
        &mut moment.values
    }
}
