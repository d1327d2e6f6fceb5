//! The fixed Random Synthesizer (arXiv 2005.00743, section 3.2): R stays as it was drawn.
//!
//! Only the paper has it; no released code does. It is `random` with a matrix that is stored with the weights, counted
//! in their total, and never trained. At the default scale of 0.02 its weights are nearly those of a mean over all
//! positions, and at 1 those of a random mixer: `attention.fixed-random.init_std` decides what is measured.

use super::random::{Random, elements, shape};
use super::variant::Variant;
use crate::parameters::Init;

/// What the kind tells of itself.
pub const VARIANT: Variant = Variant {
    name: "fixed-random",
    causal: true,
    padding: true,
    length_bound: true,
    batch_independent: true,
    whole_table: true,
    trained: false,
    reads_query: |_| false,
    reads_keys: false,
    parameters: |_, dimensions| elements(dimensions),
    flops: |_, _, _| 0,
    build: |scope, options, dimensions| {
        let init = Init::Normal(options.fixed_random.init_std);
        Box::new(Random::new(scope.enter("fixed-random").frozen("r", &shape(dimensions), init)))
    },
};
