//! The feed-forward layer.

use crate::masks::Masks;
use crate::model::{Model, Rows};
use crate::number::Number;

impl<S: Number> Model<S> {
    /// What the layer adds to the stream. Both biases join products that are rounded already; the second sum, which
    /// joins the stream, is not rounded, nor is anything on the way from a gate's products to the last product.
    pub fn feed_forward(&self, rows: &Rows<S>, name: &str, masks: Option<Masks>) -> Rows<S> {
        let activation = self.plan.activation;
        let mut hidden = self.biased(rows, &format!("{name}.input"));
        if activation.gated() {
            let gate = self.biased(rows, &format!("{name}.gate"));
            let gated = |(x, gate): (&mut S, &S)| *x = activation.of(*gate) * *x;
            hidden.iter_mut().flatten().zip(gate.iter().flatten()).for_each(gated);
        } else {
            hidden.iter_mut().flatten().for_each(|x| *x = activation.of((self.round)(*x)));
        }
        self.drop(&mut hidden, name, masks, |masks| masks.activations);
        self.biased(&hidden, &format!("{name}.output"))
    }

    fn biased(&self, rows: &Rows<S>, name: &str) -> Rows<S> {
        let mut products = self.products(rows, name, |product, _| product);
        let Some(bias) = self.weights.get(&format!("{name}.bias")) else { return products };
        products.iter_mut().for_each(|row| row.iter_mut().zip(bias).for_each(|(x, bias)| *x = *x + *bias));
        products
    }
}
