//! Phrases that stand elsewhere in the reference, and which of them it pays to move.

use super::edit_distance::{Edit, EditDistance, Matrix};
use std::cmp::Reverse;

/// The longest phrase that is moved.
const MAX_LENGTH: usize = 10;
/// How far a phrase is moved at most.
const MAX_DISTANCE: usize = 50;
/// After so many tries in all, the search ends.
pub const MAX_TRIED: usize = 1000;

/// Where the words of the reference stand in the hypothesis, and what is wrong.
struct Alignment {
    /// By word of the reference, how many words of the hypothesis are used up with it.
    ends: Vec<usize>,
    /// By count of words of the reference, how many of them are wrong.
    reference_errors: Vec<usize>,
    /// By count of words of the hypothesis, how many of them are wrong.
    hypothesis_errors: Vec<usize>,
}

impl Alignment {
    fn new(way: &[Edit]) -> Self {
        let (mut ends, mut reference_errors, mut hypothesis_errors) = (Vec::new(), vec![0], vec![0]);
        let note = |errors: &mut Vec<usize>, wrong: bool| errors.push(errors[errors.len() - 1] + usize::from(wrong));
        for &edit in way {
            if edit != Edit::Insert {
                note(&mut hypothesis_errors, edit != Edit::Keep);
            }
            if edit != Edit::Delete {
                note(&mut reference_errors, edit != Edit::Keep);
                ends.push(hypothesis_errors.len() - 1);
            }
        }
        Self { ends, reference_errors, hypothesis_errors }
    }

    /// Whether moving the phrase at `from` towards `to` may help: something is wrong at both places, and the target
    /// does not lie in the phrase itself.
    fn may_help(&self, Phrase { from, to, length }: Phrase) -> bool {
        let wrong = |errors: &[usize], start: usize| errors[start + length] > errors[start];
        // The word of the hypothesis that the first word of the target is aligned with; none before the first.
        let target = self.ends[to].checked_sub(1);
        let inside = target.is_some_and(|target| (from..from + length).contains(&target));
        wrong(&self.hypothesis_errors, from) && wrong(&self.reference_errors, to) && !inside
    }

    /// Where the phrase may be put: before the first word, or behind the word that a word of the reference is
    /// aligned with, from the one before the phrase to its last but one.
    fn places(&self, Phrase { to, length, .. }: Phrase) -> impl Iterator<Item = usize> {
        let before = if to == 0 { 0 } else { self.ends[to - 1] };
        let mut places = vec![before];
        places.extend_from_slice(&self.ends[to..self.ends.len().min(to + length)]);
        places.dedup();
        places.into_iter()
    }
}

/// Words of the hypothesis that stand in the reference too.
#[derive(Debug, Clone, Copy)]
struct Phrase {
    /// Its first word in the hypothesis.
    from: usize,
    /// Its first word in the reference.
    to: usize,
    /// Its words.
    length: usize,
}

/// All phrases by place in the hypothesis, then in the reference, then by length.
fn phrases<'a>(words: &'a [u32], reference: &'a [u32]) -> impl Iterator<Item = Phrase> + 'a {
    (0..words.len()).flat_map(move |from| {
        let near = from.saturating_sub(MAX_DISTANCE)..reference.len().min(from + MAX_DISTANCE + 1);
        near.flat_map(move |to| {
            let pairs = words[from..].iter().zip(&reference[to..]);
            let longest = pairs.take(MAX_LENGTH).take_while(|(own, other)| own == other).count();
            (1..=longest).map(move |length| Phrase { from, to, length })
        })
    })
}

/// The words after the move that takes away most edits; of equal ones the longest phrase, then the first, then the
/// one that is put furthest to the front. `None` where no move helps. `tried` counts the moves that were looked at.
pub fn best(words: &[u32], distance: &EditDistance, matrix: &Matrix, tried: &mut usize) -> Option<Vec<u32>> {
    let alignment = Alignment::new(&distance.way(matrix));
    let mut best = None;
    for phrase in phrases(words, distance.reference).filter(|phrase| alignment.may_help(*phrase)) {
        let Phrase { from, length, .. } = phrase;
        for place in alignment.places(phrase) {
            let moved = shift(words, from, length, place);
            let left = distance.distance(&moved, from.min(place), matrix);
            let gain = matrix.distance() as i64 - left as i64;
            let rank = (gain, length, Reverse(from), Reverse(place));
            if best.as_ref().is_none_or(|(best, _)| rank > *best) {
                best = Some((rank, moved));
            }
            *tried += 1;
        }
        if *tried >= MAX_TRIED {
            break;
        }
    }
    best.filter(|((gain, ..), _)| *gain > 0).map(|(_, words)| words)
}

/// The words with the phrase of `length` at `from` put before the word at `place`. Within the phrase, it moves by as
/// many words as `place` lies behind `from`.
fn shift(words: &[u32], from: usize, length: usize, place: usize) -> Vec<u32> {
    let phrase = &words[from..from + length];
    let (front, between, back) = if place < from {
        return [&words[..place], phrase, &words[place..from], &words[from + length..]].concat();
    } else if place > from + length {
        (&words[..from], &words[from + length..place], &words[place..])
    } else {
        let end = words.len().min(length + place);
        (&words[..from], &words[from + length..end], &words[end..])
    };
    [front, between, phrase, back].concat()
}
