//! Edit distances from many orders of the same words to one reference, in a beam around the diagonal.

use std::ops::Range;

/// Cells on either side of the diagonal that are looked at, where the lengths are not too different.
const BEAM: usize = 25;
/// More than any distance; one more still fits.
const OUTSIDE: u32 = u32::MAX / 2;

/// One step of a cheapest way from hypothesis to reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// The word stays.
    Keep,
    /// Another word takes its place.
    Substitute,
    /// A word of the reference is added.
    Insert,
    /// A word of the hypothesis is left out.
    Delete,
}

/// What it costs to get to a cell, and its last step.
#[derive(Debug, Clone, Copy)]
struct Cell {
    cost: u32,
    edit: Edit,
}

const UNSEEN: Cell = Cell { cost: OUTSIDE, edit: Edit::Insert };

/// The distance from hypotheses of one length to a reference.
pub struct EditDistance<'a> {
    /// The words of the reference.
    pub reference: &'a [u32],
    /// By row, one for each count of words of the hypothesis, the columns that are looked at.
    columns: Vec<Range<usize>>,
}

/// The rows of one hypothesis.
pub struct Matrix {
    rows: Vec<Vec<Cell>>,
}

impl Matrix {
    /// The edits from the whole hypothesis to the whole reference.
    pub fn distance(&self) -> usize {
        self.rows.last().and_then(|row| row.last()).map_or(0, |cell| cell.cost as usize)
    }
}

impl<'a> EditDistance<'a> {
    /// For hypotheses of `length` words.
    pub fn new(length: usize, reference: &'a [u32]) -> Self {
        let ratio = if length > 0 { reference.len() as f64 / length as f64 } else { 1.0 };
        // Rows of a far longer reference would not overlap else.
        let beam = if (BEAM as f64) < ratio / 2.0 { (ratio / 2.0 + BEAM as f64).ceil() as usize } else { BEAM };
        let end = reference.len() + 1;
        let row = |i: usize| {
            let diagonal = (i as f64 * ratio).floor() as usize;
            let last = if i == length { end } else { end.min(diagonal + beam) };
            diagonal.saturating_sub(beam)..last
        };
        let columns = std::iter::once(0..end).chain((1..=length).map(row)).collect();
        Self { reference, columns }
    }

    /// All rows of `words`.
    pub fn matrix(&self, words: &[u32]) -> Matrix {
        let first = (0..=self.reference.len()).map(|j| Cell { cost: j as u32, edit: Edit::Insert }).collect();
        let mut rows: Vec<Vec<Cell>> = vec![first];
        for (i, &word) in words.iter().enumerate() {
            let mut row = Vec::new();
            self.fill(i + 1, word, &rows[i], &mut row);
            rows.push(row);
        }
        Matrix { rows }
    }

    /// The distance of `words`, which begin with the same `common` words as those of `matrix`.
    pub fn distance(&self, words: &[u32], common: usize, matrix: &Matrix) -> usize {
        let (mut row, mut next) = (Vec::new(), Vec::new());
        for (i, &word) in words.iter().enumerate().skip(common) {
            let before = if i == common { &matrix.rows[i] } else { &row };
            self.fill(i + 1, word, before, &mut next);
            std::mem::swap(&mut row, &mut next);
        }
        let last = if common == words.len() { matrix.rows.last() } else { Some(&row) };
        last.and_then(|row| row.last()).map_or(0, |cell| cell.cost as usize)
    }

    /// Row `i`, for the word before it, from the row above. Of equal costs keeping or substituting comes first, then
    /// leaving out, then adding: what an alignment is made of depends on it.
    fn fill(&self, i: usize, word: u32, above: &[Cell], row: &mut Vec<Cell>) {
        let columns = self.columns[i].clone();
        let above_start = self.columns[i - 1].start;
        let above =
            |j: usize| j.checked_sub(above_start).and_then(|at| above.get(at)).map_or(OUTSIDE, |cell| cell.cost);
        row.clear();
        let mut left = UNSEEN;
        let mut diagonal = columns.start.checked_sub(1).map_or(OUTSIDE, above);
        for j in columns {
            let up = above(j);
            let mut cell = UNSEEN;
            if j > 0 {
                let same = word == self.reference[j - 1];
                let edit = if same { Edit::Keep } else { Edit::Substitute };
                cell.consider(diagonal + u32::from(!same), edit);
            }
            cell.consider(up + 1, Edit::Delete);
            if j > 0 {
                cell.consider(left.cost + 1, Edit::Insert);
            }
            row.push(cell);
            (left, diagonal) = (cell, up);
        }
    }

    /// A cheapest way, from the first words to the last.
    pub fn way(&self, matrix: &Matrix) -> Vec<Edit> {
        let (mut i, mut j) = (matrix.rows.len() - 1, self.reference.len());
        let mut way = Vec::with_capacity(i + j);
        while i > 0 || j > 0 {
            let Some(cell) = j.checked_sub(self.columns[i].start).and_then(|at| matrix.rows[i].get(at)) else { break };
            way.push(cell.edit);
            i -= usize::from(cell.edit != Edit::Insert);
            j -= usize::from(cell.edit != Edit::Delete);
        }
        way.reverse();
        way
    }
}

impl Cell {
    fn consider(&mut self, cost: u32, edit: Edit) {
        if cost < self.cost {
            *self = Self { cost, edit };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(words: &[u32], reference: &[u32]) -> usize {
        let distance = EditDistance::new(words.len(), reference);
        let matrix = distance.matrix(words);
        for common in 0..=words.len() {
            assert_eq!(distance.distance(words, common, &matrix), matrix.distance());
        }
        assert_eq!(distance.way(&matrix).iter().filter(|edit| **edit != Edit::Keep).count(), matrix.distance());
        matrix.distance()
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(distance(&[1, 2, 3], &[1, 2, 3]), 0);
        assert_eq!(distance(&[1, 2, 3], &[1, 4, 3, 5]), 2);
        assert_eq!(distance(&[], &[1, 2]), 2);
        assert_eq!(distance(&[1; 200], &[1]), 199);
        let reference: Vec<u32> = (0..200).collect();
        assert_eq!(distance(&[150], &reference), 199);
        assert_eq!(distance(&[7], &reference), 200, "outside of the beam");
    }
}
