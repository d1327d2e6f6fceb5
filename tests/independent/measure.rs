//! The figures of a split: a model's losses over a stream of tokens, block by block.

use crate::masks::Masks;
use crate::model::{Model, negative_log_likelihood};
use crate::number::Number;
use crate::tokenizer::Tokenizer;

/// One block: what the model reads, and the token after each.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    /// The source that it belongs to, of an encoder-decoder.
    pub source: Option<&'a [usize]>,
    /// The tokens read.
    pub inputs: &'a [usize],
    /// The tokens to predict, as many.
    pub targets: &'a [usize],
    /// What is dropped, where anything is.
    pub masks: Option<Masks>,
}

/// The blocks of a stream: of `length` targets, the last of what is left.
pub fn blocks(stream: &[usize], length: usize) -> Vec<Block<'_>> {
    let targets = stream[1..].chunks(length);
    let inputs = stream[..stream.len() - 1].chunks(length);
    inputs.zip(targets).map(|(inputs, targets)| Block { source: None, inputs, targets, masks: None }).collect()
}

/// The sum of the negative log-likelihoods of a block's targets.
pub fn nats<S: Number>(model: &Model<S>, block: Block<'_>) -> S {
    let logits = model.logits(block);
    let losses = logits.iter().zip(block.targets).map(|(logits, target)| negative_log_likelihood(logits, *target));
    losses.fold(S::from(0.0), |total, loss| total + loss)
}

/// The mean negative log-likelihood over all targets of some blocks.
pub fn mean_loss<S: Number>(model: &Model<S>, blocks: &[Block<'_>]) -> S {
    let targets: usize = blocks.iter().map(|block| block.targets.len()).sum();
    blocks.iter().fold(S::from(0.0), |total, block| total + nats(model, *block)) / S::from(targets as f64)
}

/// What `synth eval` measures.
pub struct Figures {
    /// Targets.
    pub tokens: usize,
    /// Nats per target.
    pub loss: f64,
    /// e to the loss.
    pub perplexity: f64,
    /// Per word and end of line.
    pub word_perplexity: f64,
    /// Bits per byte of the predicted text.
    pub bits_per_byte: f64,
    /// The share of targets that are the first choice.
    pub accuracy: f64,
    /// The first choices, decoded.
    pub predictions: String,
    /// The least by which a first choice leads the second: rounding beyond it may change a prediction.
    pub narrowest_lead: f64,
}

/// The figures of a model on a whole text.
pub fn figures(model: &Model<f64>, tokenizer: &Tokenizer, text: &str) -> Figures {
    let stream = tokenizer.tokens(text);
    let (mut nats, mut right, mut choices, mut narrowest_lead) = (0.0, 0, Vec::new(), f64::INFINITY);
    for block in blocks(&stream, model.plan.max_length) {
        for (logits, target) in model.logits(block).iter().zip(block.targets) {
            nats += negative_log_likelihood(logits, *target);
            let (choice, lead) = first_choice(logits);
            right += usize::from(choice == *target);
            choices.push(choice);
            narrowest_lead = narrowest_lead.min(lead);
        }
    }
    let predicted = tokenizer.predicted_bytes(text);
    let predicted_text = String::from_utf8_lossy(predicted);
    let words = predicted_text.split_whitespace().count() + predicted_text.matches('\n').count();
    let tokens = stream.len() - 1;
    Figures {
        tokens,
        loss: nats / tokens as f64,
        perplexity: (nats / tokens as f64).exp(),
        word_perplexity: (nats / words as f64).exp(),
        bits_per_byte: nats / 2f64.ln() / predicted.len() as f64,
        accuracy: right as f64 / tokens as f64,
        predictions: tokenizer.text(&choices),
        narrowest_lead,
    }
}

/// The first of the largest logits, and its lead over the best of the others.
pub fn first_choice(logits: &[f64]) -> (usize, f64) {
    let largest = |but: Option<usize>| {
        let others = (0..logits.len()).filter(|index| Some(*index) != but);
        others.fold(
            usize::MAX,
            |best, index| if best == usize::MAX || logits[index] > logits[best] { index } else { best },
        )
    };
    let choice = largest(None);
    (choice, logits[choice] - logits[largest(Some(choice))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_is_shorter_and_the_first_token_is_not_predicted() {
        let stream = [10, 11, 12, 13, 14, 15];
        let blocks = blocks(&stream, 3);
        assert_eq!(blocks.iter().map(|block| block.inputs).collect::<Vec<_>>(), [&[10, 11, 12][..], &[13, 14]]);
        assert_eq!(blocks.iter().map(|block| block.targets).collect::<Vec<_>>(), [&[11, 12, 13][..], &[14, 15]]);
    }

    #[test]
    fn of_equal_logits_the_first_is_chosen() {
        assert_eq!(first_choice(&[0.0, 3.0, 1.0, 3.0]), (1, 0.0));
        assert_eq!(first_choice(&[2.5, 1.0]), (0, 1.5));
    }
}
