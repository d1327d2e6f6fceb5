//! The kinds of attention that a configuration can name: parts of the Synthesizer family, alone or mixed.

mod name;

use super::options::{AttentionOptions, MixtureWeights};
use super::variant::{Dimensions, Variant, Work};
use super::{dense, factorized_dense, factorized_random, fixed_random, random, vanilla};
pub use name::KindError;

/// A part of the family, in the order in which mixtures name their parts and store their weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// A trained matrix of scores of low rank per head.
    FactorizedRandom,
    /// A matrix of scores per head that stays as it was drawn.
    FixedRandom,
    /// A trained matrix of scores per head.
    Random,
    /// Rows of scores from each query by itself, as an outer product of two short vectors.
    FactorizedDense,
    /// Rows of scores from each query by itself, through two layers.
    Dense,
    /// Scaled dot product of queries and keys.
    Vanilla,
}

impl Part {
    /// Every part, in canonical order.
    pub const ALL: [Part; 6] =
        [Part::FactorizedRandom, Part::FixedRandom, Part::Random, Part::FactorizedDense, Part::Dense, Part::Vanilla];

    /// What the part's own file tells of it.
    pub fn variant(self) -> &'static Variant {
        match self {
            Part::FactorizedRandom => &factorized_random::VARIANT,
            Part::FixedRandom => &fixed_random::VARIANT,
            Part::Random => &random::VARIANT,
            Part::FactorizedDense => &factorized_dense::VARIANT,
            Part::Dense => &dense::VARIANT,
            Part::Vanilla => &vanilla::VARIANT,
        }
    }
}

/// One kind of attention: a part, or a mixture of several, whose order in a name is free.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Bit i stands for `Part::ALL[i]`; at least one is set.
    parts: u16,
}

impl Kind {
    /// The baseline.
    pub const VANILLA: Kind = Kind::of(Part::Vanilla);

    /// The kind of one part.
    pub const fn of(part: Part) -> Self {
        Kind { parts: 1 << part as u8 }
    }

    /// The kinds of one part each, in the order of reports.
    pub fn pure() -> impl Iterator<Item = Kind> {
        Part::ALL.into_iter().rev().map(Kind::of)
    }

    /// Every kind there is, every mixture included.
    pub fn all() -> impl Iterator<Item = Kind> {
        (1..1 << Part::ALL.len()).map(|parts| Kind { parts })
    }

    /// The names of the kinds of one part each, as messages list them.
    #[cfg(test)]
    pub(crate) fn names() -> String {
        Kind::pure().map(|kind| kind.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// The parts in canonical order.
    pub fn parts(self) -> impl Iterator<Item = Part> {
        Part::ALL.into_iter().filter(move |part| self.has(*part))
    }

    /// Whether `part` is among the parts.
    pub fn has(self, part: Part) -> bool {
        self.parts & Kind::of(part).parts != 0
    }

    /// Whether there is more than one part.
    pub fn is_mixture(self) -> bool {
        self.parts.count_ones() > 1
    }

    /// Whether any part reads the layer's query projection.
    pub fn reads_query(self, options: &AttentionOptions) -> bool {
        self.parts().any(|part| (part.variant().reads_query)(options))
    }

    /// The shape of the mixture's weights, `[parts]` or `[parts, heads]`; `None` where there are none.
    pub fn mixture_shape(self, options: &AttentionOptions, heads: i64) -> Option<Vec<i64>> {
        let learned = self.is_mixture() && options.mixture.weights == MixtureWeights::Softmax;
        learned.then(|| options.mixture.shape(i64::from(self.parts.count_ones()), heads))
    }

    /// Number of parameters of one self-attention layer of this kind, value and output projection and frozen
    /// tables included.
    pub fn parameters(self, options: &AttentionOptions, dimensions: Dimensions) -> u128 {
        let variants = self.parts().map(Part::variant);
        let own: u128 = variants.map(|variant| (variant.parameters)(options, dimensions)).sum();
        let mixture = self.mixture_shape(options, dimensions.heads).map_or(0, |shape| shape.iter().product::<i64>());
        own + self.projections(options, dimensions) + mixture as u128
    }

    /// Of [`Kind::parameters`], those that are never trained.
    pub fn frozen_parameters(self, options: &AttentionOptions, dimensions: Dimensions) -> u128 {
        let frozen = self.parts().map(Part::variant).filter(|variant| !variant.trained);
        frozen.map(|variant| (variant.parameters)(options, dimensions)).sum()
    }

    /// Query (where a part reads it), value and output projection.
    fn projections(self, options: &AttentionOptions, dimensions: Dimensions) -> u128 {
        let inwards = 1 + u128::from(self.reads_query(options));
        let weights = (inwards + 1) * dimensions.projection(dimensions.head_width);
        let biases = inwards * dimensions.inner() as u128 + dimensions.d_model as u128;
        if options.bias { weights + biases } else { weights }
    }

    /// Floating-point operations of one layer's forward pass over `batch` samples of `n` queries and `m` keys:
    /// 2 per multiply-add of every matrix product, masked pairs included (the usual convention: PaLM, arXiv
    /// 2204.02311, appendix B); scores that do not depend on the input count once for the batch.
    pub fn flops(self, options: &AttentionOptions, dimensions: Dimensions, (batch, n, m): (u64, u64, u64)) -> u128 {
        let scored = if self.capabilities().batch_independent { 1 } else { batch };
        let work = Work { batch, scored, n, m };
        let width = dimensions.head_width;
        let query = if self.reads_query(options) { work.project_queries(dimensions, width) } else { 0 };
        let value_and_output = work.project_keys(dimensions, width) + work.project_queries(dimensions, width);
        let scores: u128 = self.parts().map(|part| (part.variant().flops)(options, dimensions, work)).sum();
        query + value_and_output + scores + work.pairs(batch, dimensions, width)
    }

    /// What the kind can do. A combination outside is refused, never approximated.
    pub fn capabilities(self) -> Capabilities {
        let variants = || self.parts().map(Part::variant);
        Capabilities {
            causal: variants().all(|variant| variant.causal),
            padding: variants().all(|variant| variant.padding),
            length_bound: variants().any(|variant| variant.length_bound),
            batch_independent: variants().all(|variant| variant.batch_independent),
            whole_table: variants().any(|variant| variant.whole_table),
        }
    }
}

/// What a kind of attention can do, as data; each field as in [`Variant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Position i can be kept from seeing positions after i.
    pub causal: bool,
    /// Keys beyond a sample's length can be hidden.
    pub padding: bool,
    /// No input may be longer than `model.max_length`.
    pub length_bound: bool,
    /// The weights are the same for every sample of a batch.
    pub batch_independent: bool,
    /// A table of N × M per head stands in memory.
    pub whole_table: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_parts_is_free_and_the_name_canonical() {
        let kind: Kind = "vanilla+factorized-random+dense".parse().unwrap();
        assert_eq!(kind.to_string(), "factorized-random+dense+vanilla");
        assert_eq!(kind, "dense+vanilla+factorized-random".parse().unwrap());
        assert_eq!("random+vanilla+random".parse::<Kind>(), Err(KindError::Twice("random")));
        assert_eq!("random+".parse::<Kind>(), Err(KindError::Unknown(String::new())));
        assert_eq!("denes".parse::<Kind>(), Err(KindError::Unknown("denes".into())));
    }

    #[test]
    fn names_are_those_of_the_parts_and_every_mixture_is_a_kind() {
        let names: Vec<String> = Kind::pure().map(|kind| kind.to_string()).collect();
        let expected = ["vanilla", "dense", "factorized-dense", "random", "fixed-random", "factorized-random"];
        assert_eq!(names[..expected.len()], expected);
        assert_eq!(Kind::all().count(), (1 << Part::ALL.len()) - 1);
        assert!(Kind::all().all(|kind| kind.to_string().parse() == Ok(kind)));
        assert_eq!(Kind::all().filter(|kind| !kind.is_mixture()).count(), Part::ALL.len());
    }

    #[test]
    fn every_part_stands_at_its_place() {
        assert!(Part::ALL.into_iter().enumerate().all(|(place, part)| part as usize == place));
    }

    #[test]
    fn a_mixture_can_do_what_all_its_parts_can() {
        let of = |name: &str| name.parse::<Kind>().unwrap().capabilities();
        assert!(of("random+factorized-random").batch_independent && !of("random+vanilla").batch_independent);
        assert!(of("random+vanilla").length_bound && !of("vanilla").length_bound);
        assert!(of("random+vanilla").whole_table && !of("factorized-random+vanilla").whole_table);
    }
}
