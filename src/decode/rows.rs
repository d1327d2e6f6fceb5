//! Which sentences go through a model, and in which rows.

use super::next_tokens::NextTokens;
use anyhow::Result;
use tch::{Device, Tensor};

/// Sentences that are done leave the batch once they are one part of so many of it.
const LEAVING: usize = 4;

/// The rows of a batch: as many, one after the other, for each sentence.
pub(super) struct Rows {
    /// Rows of a sentence.
    copies: usize,
    /// By group of rows the sentence's number.
    sentences: Vec<usize>,
    /// What each row's model reads next.
    tokens: Vec<i64>,
    /// What is read in rows that no longer count.
    idle: u32,
    device: Device,
}

/// How a row goes on: from which row, by which token.
pub(super) type Next = (usize, u32);

impl Rows {
    /// `copies` rows for each of so many sentences, all of which read `begin` first.
    pub fn new((sentences, copies): (usize, usize), begin: u32, idle: u32, device: Device) -> Self {
        let tokens = vec![i64::from(begin); sentences * copies];
        Self { copies, sentences: (0..sentences).collect(), tokens, idle, device }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The number of each sentence in the batch, and the first of its rows.
    pub fn groups(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let copies = self.copies;
        self.sentences.clone().into_iter().enumerate().map(move |(group, sentence)| (sentence, group * copies))
    }

    /// What the model reads next: int64 `[rows]`.
    pub fn tokens(&self) -> Tensor {
        Tensor::from_slice(&self.tokens).to_device(self.device)
    }

    /// Goes on, by group as `next` says: its first rows so, those that are left as the first; a group without any is
    /// done. Once enough are, they leave the batch, and `model` follows. Answers whether there is anything left to do.
    pub fn advance(&mut self, model: &mut dyn NextTokens, next: &[Vec<Next>]) -> Result<bool> {
        let done = next.iter().filter(|next| next.is_empty()).count();
        if done == next.len() {
            return Ok(false);
        }
        let leave = done * LEAVING >= next.len();
        let mut from = Vec::with_capacity(self.len());
        self.tokens.clear();
        for (group, next) in next.iter().enumerate().filter(|(_, next)| !(leave && next.is_empty())) {
            for copy in 0..self.copies {
                let own = (group * self.copies + copy, self.idle);
                let (row, token) = next.get(copy).or(next.first()).copied().unwrap_or(own);
                from.push(row as i64);
                self.tokens.push(i64::from(token));
            }
        }
        if leave {
            let mut next = next.iter();
            self.sentences.retain(|_| next.next().is_some_and(|next| !next.is_empty()));
        }
        if leave || (0..).zip(&from).any(|(row, from)| row != *from) {
            model.select(&Tensor::from_slice(&from).to_device(self.device), !leave)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes what is selected.
    #[derive(Default)]
    struct Selections(Vec<(Vec<i64>, bool)>);

    impl NextTokens for Selections {
        fn step(&mut self, tokens: &Tensor) -> Result<Tensor> {
            Ok(tokens.shallow_clone())
        }

        fn select(&mut self, rows: &Tensor, same_sources: bool) -> Result<()> {
            self.0.push((Vec::try_from(rows)?, same_sources));
            Ok(())
        }
    }

    #[test]
    fn sentences_that_are_done_leave_by_the_quarter() {
        let mut model = Selections::default();
        let mut rows = Rows::new((5, 2), 7, 9, Device::Cpu);
        let going = |first: usize| vec![(first, 1), (first + 1, 2)];
        // Nothing moves.
        let next = [0, 2, 4, 6, 8].map(going);
        assert!(rows.advance(&mut model, &next).unwrap());
        assert!(model.0.is_empty());
        // One of five is done; the second goes on from its second row alone.
        let next = [going(0), vec![(3, 5)], vec![], going(6), going(8)];
        assert!(rows.advance(&mut model, &next).unwrap());
        assert_eq!(model.0.pop().unwrap(), (vec![0, 1, 3, 3, 4, 5, 6, 7, 8, 9], true));
        assert_eq!(Vec::<i64>::try_from(rows.tokens()).unwrap(), [1, 2, 5, 5, 9, 9, 1, 2, 1, 2]);
        // Another is.
        let next = [going(0), going(2), vec![], vec![], vec![(9, 4)]];
        assert!(rows.advance(&mut model, &next).unwrap());
        assert_eq!(model.0.pop().unwrap(), (vec![0, 1, 2, 3, 9, 9], false));
        assert_eq!(rows.groups().collect::<Vec<_>>(), [(0, 0), (1, 2), (4, 4)]);
        assert!(!rows.advance(&mut model, &[vec![], vec![], vec![]]).unwrap());
    }
}
