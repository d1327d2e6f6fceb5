//! Which rows stand together in a batch, and how long it is: blocks as they come, records with others of like length.

use super::rows::Rows;

/// Different shapes of batches at most: each is recorded as a CUDA graph of its own.
pub(super) const SHAPES: usize = 16;

/// Batches have lengths that are multiples of this, where the longest row is no shorter.
const STEP: usize = 8;

/// Lengths that are tried at most.
const CANDIDATES: usize = 256;

/// What the lengths that are tried are multiples of, where the longest row has `longest` columns.
pub(super) fn step(longest: usize) -> usize {
    longest.div_ceil(CANDIDATES).next_multiple_of(STEP)
}

/// How large a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchSize {
    /// So many rows.
    Rows(usize),
    /// As many rows as have so many tokens together, padding included; one at least.
    Tokens(usize),
}

impl BatchSize {
    /// Rows of a batch of this length.
    pub fn rows(self, length: usize) -> usize {
        match self {
            Self::Rows(rows) => rows,
            Self::Tokens(tokens) => (tokens / length).max(1),
        }
    }
}

/// Rows by length, in buckets: each row is in one. Batches of a bucket have the shape S, such as a number of columns.
#[derive(Debug, PartialEq, Eq)]
pub struct Buckets<S> {
    buckets: Vec<Bucket<S>>,
}

/// Rows of like length.
#[derive(Debug, PartialEq, Eq)]
pub struct Bucket<S> {
    /// The columns of its batches.
    pub shape: S,
    /// Rows of a batch; the last of all may be filled up with rows of padding.
    pub rows: usize,
    /// The numbers of the rows, ascending.
    pub members: Vec<u32>,
}

impl<S> Bucket<S> {
    /// How many batches hold all members once.
    pub fn batches(&self) -> usize {
        self.members.len().div_ceil(self.rows)
    }
}

impl Buckets<usize> {
    /// Buckets of the lengths with which the least padding is needed, each with the rows that are longer than the one before
    /// allows; they follow from the rows' lengths alone.
    pub fn of_rows(rows: &Rows, size: BatchSize) -> Self {
        let lengths = lengths(rows);
        let bucket = |&length| Bucket { shape: length, rows: size.rows(length), members: Vec::new() };
        let mut buckets: Vec<Bucket<usize>> = lengths.iter().map(bucket).collect();
        for row in 0..rows.count() {
            let bucket = lengths.partition_point(|length| *length < rows.targets(row));
            buckets[bucket].members.push(row as u32);
        }
        Self { buckets }
    }

    /// Which share of the batches' places holds no target.
    pub fn padding(&self, rows: &Rows) -> f64 {
        1.0 - rows.target_count() as f64 / self.places(|length| length) as f64
    }
}

impl<S: Copy> Buckets<S> {
    /// These buckets.
    pub fn new(buckets: Vec<Bucket<S>>) -> Self {
        Self { buckets }
    }

    /// The buckets, the shortest first.
    pub fn all(&self) -> &[Bucket<S>] {
        &self.buckets
    }

    /// How many batches hold all rows once.
    pub fn batches(&self) -> usize {
        self.buckets.iter().map(Bucket::batches).sum()
    }

    /// How many places all batches have, whose rows have so many.
    pub fn places(&self, of_row: impl Fn(S) -> usize) -> usize {
        self.buckets.iter().map(|bucket| bucket.batches() * bucket.rows * of_row(bucket.shape)).sum()
    }

    /// The batch of this number, of all batches in the order of buckets: its bucket, and the place of its first row among
    /// the bucket's.
    pub fn batch(&self, mut number: usize) -> (usize, usize) {
        for (index, bucket) in self.buckets.iter().enumerate() {
            if number < bucket.batches() {
                return (index, number * bucket.rows);
            }
            number -= bucket.batches();
        }
        (self.buckets.len().saturating_sub(1), usize::MAX)
    }
}

/// The lengths of batches, ascending: of all choices of [`SHAPES`] multiples of a step one with the least padding, rows
/// that fill a batch up not counted.
fn lengths(rows: &Rows) -> Vec<usize> {
    let longest = (0..rows.count()).map(|row| rows.targets(row)).max().unwrap_or(1).max(1);
    let step = step(longest).min(rows.longest());
    let mut counts = vec![0u64; longest.div_ceil(step)];
    for row in 0..rows.count() {
        counts[rows.targets(row).max(1).div_ceil(step) - 1] += 1;
    }
    let chosen = least_padding(&counts, SHAPES);
    chosen.into_iter().map(|candidate| ((candidate + 1) * step).min(rows.longest())).collect()
}

/// Of candidates 0, 1, 2 … with so many rows each, at most `most` with the least sum over rows of what they are below the
/// next one chosen; ascending, the last always among them.
fn least_padding(counts: &[u64], most: usize) -> Vec<usize> {
    let candidates = counts.len();
    let sums: Vec<u64> = std::iter::once(0)
        .chain(counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }))
        .collect();
    // cost[c]: places that all rows up to candidate c take where c is chosen; before[k][c]: the choice before it.
    let places = |after: usize, last: usize| (sums[last + 1] - sums[after]) * (last as u64 + 1);
    let mut cost: Vec<u64> = (0..candidates).map(|last| places(0, last)).collect();
    let mut before: Vec<Vec<Option<usize>>> = vec![vec![None; candidates]];
    for _ in 1..most {
        let mut choices = vec![None; candidates];
        let mut next = cost.clone();
        for last in 1..candidates {
            for (previous, cost) in cost[..last].iter().enumerate() {
                let with = cost + places(previous + 1, last);
                if with < next[last] {
                    (next[last], choices[last]) = (with, Some(previous));
                }
            }
        }
        cost = next;
        before.push(choices);
    }
    let mut chosen = vec![candidates - 1];
    for choices in before.iter().rev() {
        chosen.extend(chosen.last().and_then(|last| choices[*last]));
    }
    chosen.reverse();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rows::Long;
    use crate::data::tokens::Tokens;

    /// Records of so many targets each, their ends included.
    fn rows(targets: &[usize], longest: usize) -> Rows {
        let mut ids = vec![0];
        for &targets in targets {
            ids.extend(std::iter::repeat_n(1, targets - 1));
            ids.push(0);
        }
        Rows::records(Tokens::of(&ids), longest, 0, Long::Cut).unwrap()
    }

    /// Every choice tried.
    fn best(counts: &[u64], most: usize) -> u64 {
        let last = counts.len() - 1;
        let cost = |choice: u32| {
            let chosen = |candidate: usize| candidate == last || choice >> candidate & 1 == 1;
            (0..=last).map(|row| counts[row] * ((row..=last).find(|c| chosen(*c)).unwrap() as u64 + 1)).sum::<u64>()
        };
        (0..1 << last).filter(|choice: &u32| choice.count_ones() < most as u32).map(cost).min().unwrap()
    }

    #[test]
    fn lengths_need_the_least_padding() {
        for counts in [
            vec![5, 0, 0, 9, 1, 1, 7, 0, 2, 30, 1],
            vec![0, 0, 0, 1],
            vec![3],
            vec![1, 1, 1, 1, 1, 1, 1, 1, 1],
            vec![100, 0, 0, 0, 0, 0, 0, 1],
        ] {
            for most in 1..6 {
                let chosen = least_padding(&counts, most);
                assert!(chosen.len() <= most && chosen.is_sorted() && chosen.last() == Some(&(counts.len() - 1)));
                let next = |row: usize| chosen.iter().find(|chosen| **chosen >= row).unwrap();
                let cost: u64 = counts.iter().enumerate().map(|(row, count)| count * (*next(row) as u64 + 1)).sum();
                assert_eq!(cost, best(&counts, most), "{counts:?} {most} {chosen:?}");
            }
        }
    }

    #[test]
    fn every_row_is_in_one_batch() {
        let targets: Vec<usize> = (0..1000).map(|i| 1 + i * i % 97).collect();
        let rows = rows(&targets, 90);
        for size in [BatchSize::Rows(7), BatchSize::Tokens(200)] {
            let buckets = Buckets::of_rows(&rows, size);
            let mut seen = vec![0; rows.count()];
            let mut places = 0;
            for number in 0..buckets.batches() {
                let (index, first) = buckets.batch(number);
                let bucket = &buckets.all()[index];
                assert!(bucket.shape * bucket.rows <= 200 || size == BatchSize::Rows(7));
                places += bucket.shape * bucket.rows;
                for &row in bucket.members.iter().skip(first).take(bucket.rows) {
                    seen[row as usize] += 1;
                    assert!(rows.targets(row as usize) <= bucket.shape);
                }
            }
            assert!(seen.iter().all(|count| *count == 1));
            let padding = 1.0 - rows.target_count() as f64 / places as f64;
            assert!((buckets.padding(&rows) - padding).abs() < 1e-12 && padding < 0.15, "{padding}");
            assert!(buckets.all().len() <= SHAPES);
        }
    }

    #[test]
    fn short_rows_have_short_batches() {
        let buckets = Buckets::of_rows(&rows(&[3, 2, 30, 4], 4), BatchSize::Rows(2));
        assert_eq!(buckets.all().len(), 1);
        assert_eq!(buckets.all()[0].shape, 4);
        let buckets = Buckets::of_rows(&rows(&[3, 2, 30, 4], 100), BatchSize::Rows(2));
        assert_eq!(buckets.all().iter().map(|bucket| bucket.shape).collect::<Vec<_>>(), [8, 32]);
    }
}
