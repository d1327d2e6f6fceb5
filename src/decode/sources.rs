//! Sources that outputs are wanted for, in batches of like lengths.

use tch::{Device, Tensor};

/// Hypotheses that go through the model together.
pub const HYPOTHESES: usize = 256;
/// Tokens of the sources that are read together, padding included.
const SOURCE_TOKENS: usize = 1 << 14;

/// The places of sources of these lengths in batches, the shortest first, each source with so many hypotheses.
pub fn batches(lengths: &[usize], copies: usize) -> Vec<Vec<usize>> {
    let rows = (HYPOTHESES / copies.max(1)).max(1);
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&place| lengths[place]);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for place in order {
        let fits = |batch: &&mut Vec<usize>| batch.len() < rows && (batch.len() + 1) * lengths[place] <= SOURCE_TOKENS;
        match batches.last_mut().filter(fits) {
            Some(batch) => batch.push(place),
            None => batches.push(vec![place]),
        }
    }
    batches
}

/// Sources as tensors on `device`: int64 `[batch, M]`, filled up with 0, and their lengths.
pub fn tensors(sources: &[&[i64]], device: Device) -> (Tensor, Tensor) {
    let longest = sources.iter().map(|source| source.len()).max().unwrap_or(1);
    let filled = |source: &&[i64]| source.iter().copied().chain(std::iter::repeat(0)).take(longest).collect();
    let tokens: Vec<Vec<i64>> = sources.iter().map(filled).collect();
    let tokens = Tensor::from_slice(&tokens.concat()).view([sources.len() as i64, longest as i64]);
    let lengths: Vec<i64> = sources.iter().map(|source| source.len() as i64).collect();
    (tokens.to_device(device), Tensor::from_slice(&lengths).to_device(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_in_one_batch_of_like_lengths() {
        let lengths: Vec<usize> = (0..500).map(|i| 1 + i * 37 % 90).collect();
        for copies in [1, 4, 100, 1000] {
            let batches = batches(&lengths, copies);
            let mut seen = batches.concat();
            seen.sort_unstable();
            assert_eq!(seen, Vec::from_iter(0..500));
            assert!(batches.iter().all(|batch| batch.len() == 1 || batch.len() * copies <= HYPOTHESES));
            let longest = batches.iter().map(|batch| batch.iter().map(|&place| lengths[place]).max().unwrap());
            assert!(longest.is_sorted());
        }
        assert_eq!(batches(&[SOURCE_TOKENS, SOURCE_TOKENS], 1).len(), 2);
        assert!(batches(&[], 4).is_empty());
    }

    #[test]
    fn shorter_sources_are_filled_up() {
        let (tokens, lengths) = tensors(&[&[5, 6], &[7]], Device::Cpu);
        assert_eq!(Vec::<Vec<i64>>::try_from(tokens).unwrap(), [[5, 6], [7, 0]]);
        assert_eq!(Vec::<i64>::try_from(lengths).unwrap(), [2, 1]);
    }
}
