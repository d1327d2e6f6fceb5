//! How a language model goes on with the beginnings of rows, to be read while it is trained.

use crate::data::evaluation::Evaluation;
use crate::data::tokenizer::Tokenizer;
use crate::decode::{Generator, Request, Sampling};
use crate::model::Decoder;
use crate::runs::Sample;
use anyhow::Result;
use tch::{Device, Kind};

/// What is to be continued, and how far.
pub struct SampleRequest<'a> {
    /// The kind in which products are computed.
    pub compute: Kind,
    /// Rows to continue.
    pub count: usize,
    /// Tokens of a continuation at most; a prompt has as many at most, too.
    pub tokens: usize,
    /// On CUDA steps are recorded and replayed.
    pub graphs: bool,
    /// Asked before each token whether to go on.
    pub watch: &'a mut dyn FnMut() -> bool,
}

/// A model and what its tokens stand for.
pub struct Speaker<'a> {
    /// The model.
    pub decoder: &'a Decoder,
    /// Where it lies.
    pub device: Device,
    /// What its tokens stand for.
    pub tokenizer: &'a Tokenizer,
    /// The token that ends a record, where rows are records.
    pub end: Option<u32>,
}

/// Continues the first half of rows that lie evenly over the split, by the most likely tokens, which takes no random
/// numbers. `None` once the watch answered false.
///
/// # Errors
/// Logits that are not finite; a token file that cannot be read.
pub fn samples(speaker: &Speaker<'_>, split: &Evaluation, request: SampleRequest<'_>) -> Result<Option<Vec<Sample>>> {
    let _no_grad = tch::no_grad_guard();
    let Speaker { decoder, device, tokenizer, end } = *speaker;
    let sampling = Sampling { temperature: 0.0, top_k: None, top_p: None };
    let (compute, graphs, excluded) = (request.compute, request.graphs, tokenizer.unknown());
    let generator = Generator { decoder, device, compute, sampling, excluded, seed: 0, graphs };
    let mut session = generator.session();
    let mut samples = Vec::new();
    for row in evenly(split.rows().count(), request.count) {
        let targets = split.rows().targets(row);
        let mut prompt = split.rows().batch([row], targets)?.inputs;
        prompt.truncate(targets.div_ceil(2).min(request.tokens));
        let prompt: Vec<u32> = prompt.into_iter().map(|id| id as u32).collect();
        let watch = &mut |_| (request.watch)();
        let one = Request { prompt: &prompt, number: 0, samples: 0..1, max_tokens: request.tokens as u64, watch };
        let Some(mut continuation) = session.generate(one)?.and_then(|mut texts| texts.pop()) else { return Ok(None) };
        // What follows the end of a record belongs to none.
        continuation.truncate(continuation.iter().position(|id| Some(*id) == end).unwrap_or(usize::MAX));
        let (prompt, tokens) = (tokenizer.decode(&prompt), continuation.len());
        samples.push(Sample { row, prompt, continuation: tokenizer.decode(&continuation), tokens, reference: None });
    }
    Ok(Some(samples))
}

/// So many of `all` rows at most, evenly spaced from the first on.
pub(super) fn evenly(all: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(all);
    // In 128 bits no product overflows.
    (0..count).map(move |i| (i as u128 * all as u128 / count as u128) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_evenly_over_the_split() {
        assert_eq!(evenly(10, 3).collect::<Vec<_>>(), [0, 3, 6]);
        assert_eq!(evenly(10, 1).collect::<Vec<_>>(), [0]);
        assert_eq!(evenly(3, 9).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(evenly(3, 0).count(), 0);
        assert_eq!(evenly(usize::MAX, 2).last(), Some(usize::MAX / 2));
    }
}
