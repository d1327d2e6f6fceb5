//! AdamW (arXiv 1711.05101).

mod flat;
mod lists;

use super::{Rule, Step};
use crate::parameters::Parameter;
use crate::train::options::OptimizerOptions;
use flat::Flat;
use lists::Lists;
use tch::{Kind, TchError};

/// AdamW as what updates it wants the state: in one buffer, which our kernels update and whose copies in bfloat16 they
/// write as well, or as one tensor for each parameter, for libtorch's fused operation.
///
/// # Errors
/// What libtorch reports, out of memory first of all.
pub(super) fn new(
    trained: &[&Parameter],
    options: &OptimizerOptions,
    compute: Kind,
) -> Result<Box<dyn Rule>, TchError> {
    Ok(match Flat::new(trained, options, compute)? {
        Some(flat) => Box::new(flat),
        None => Box::new(Lists::new(trained, options)?),
    })
}

#[cfg(test)]
mod tests {
    use crate::attention::Pass;
    use crate::attention::options::AttentionOptions;
    use crate::kernels::host::with_kernels;
    use crate::model::Decoder;
    use crate::model::options::ModelOptions;
    use crate::parameters::{Init, Parameters};
    use crate::train::optimizer::Optimizer;
    use crate::train::options::OptimizerOptions;
    use tch::{Device, Kind, Tensor};

    /// The flat state moves parameters: a layer that kept a view of one would go on reading the old numbers.
    #[test]
    fn models_read_the_parameters_that_the_optimizer_moved() {
        let model = ModelOptions { layers: 1, d_model: 8, heads: 2, max_length: 6, ..Default::default() };
        let biased = "bias = true\ndense.bias = true\n";
        let kinds = ["random+vanilla", "dense", "factorized-dense", "fixed-random+factorized-random", "dense+vanilla"];
        for (kind, shared, tie_embeddings) in
            kinds.into_iter().flat_map(|kind| [(kind, true, true), (kind, false, false)])
        {
            let attention = format!("kind = \"{kind}\"\n{biased}dense.shared_output = {shared}");
            let attention: AttentionOptions = toml::from_str(&attention).unwrap();
            let model = ModelOptions { tie_embeddings, ..model.clone() };
            let logits = |moved: bool| {
                let mut parameters = Parameters::new(1, Device::Cpu, Kind::Float);
                let decoder = Decoder::new(&mut parameters, &model, &attention, 9);
                let options = OptimizerOptions::default();
                let move_all = || Optimizer::new(&parameters, &options, Kind::Float).unwrap();
                let _optimizer = moved.then(|| with_kernels(move_all));
                let mut drawn = Parameters::new(2, Device::Cpu, Kind::Float);
                for parameter in parameters.trainable() {
                    let other = drawn.root().tensor(&parameter.name, &parameter.tensor.size(), Init::Normal(0.5));
                    tch::no_grad(|| parameter.tensor.shallow_clone().copy_(&other));
                }
                let tokens = Tensor::from_slice(&[0i64, 3, 8, 5, 1, 7]).view([1, 6]);
                tch::no_grad(|| decoder.forward(&tokens, Pass::evaluation(Kind::Float)).unwrap())
            };
            assert_eq!(logits(true), logits(false), "{kind}");
        }
    }
}
