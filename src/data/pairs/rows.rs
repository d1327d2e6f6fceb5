//! Pairs as rows: which tokens of two streams belong together, and batches of them.

use super::records::{Record, Records};
use crate::data::rows::{IGNORED, Place};
use crate::data::tokens::Tokens;
use anyhow::{Result, bail, ensure};
use std::ops::Range;

/// The token where a row has ended.
const PADDING: i64 = 0;

/// The tokens that stand around pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairIds {
    /// Ends a source, in the source's vocabulary.
    pub source_end: u32,
    /// Begins a target's inputs, in the target's vocabulary.
    pub target_begin: u32,
    /// Ends a target.
    pub target_end: u32,
}

/// Which tokens stay of a source that is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The first.
    First,
    /// The last: the newest turns of a dialogue.
    Last,
}

impl Keep {
    /// Of `tokens`, which of them stay where there is room for so many.
    pub fn of(self, tokens: u64, room: u64) -> Range<u64> {
        let over = tokens.saturating_sub(room);
        match self {
            Self::First => 0..tokens - over,
            Self::Last => over..tokens,
        }
    }
}

/// What rows may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Tokens of a source at most, its end included; 1 at least.
    pub source: usize,
    /// Tokens of a target at most, its end included; 1 at least.
    pub target: usize,
    /// What stays of a source that is longer. Of a target it is the first tokens.
    pub keep: Keep,
    /// What is left out; nothing of a split that is measured.
    pub train: Option<Train>,
}

/// What is left out of training, besides pairs with an empty target.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Train {
    /// Pairs of which a side is too long; else that side is cut.
    pub skip: bool,
    /// Pairs of which a side has more than so many times the tokens of the other, ends included, before anything is cut.
    pub ratio: Option<f64>,
}

/// What became of pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lengths {
    /// How many there were.
    pub pairs: u64,
    /// Sources that were cut.
    pub cut_sources: u64,
    /// Targets that were cut.
    pub cut_targets: u64,
    /// Pairs that were left out because a side is too long.
    pub too_long: u64,
    /// Pairs that were left out because their sides' lengths differ too much.
    pub ratio: u64,
    /// Pairs that were left out because their target is empty.
    pub empty: u64,
}

/// The columns of a batch: those of the source, M, and those of the target, N.
pub type PairShape = (usize, usize);

/// Pairs of a split in its order, without those that are left out.
///
/// A row has the source s_1 … s_m, `</s>`; the inputs `<s>`, t_1 … t_n; the targets t_1 … t_n, `</s>`.
#[derive(Debug)]
pub struct PairRows {
    source: Tokens,
    target: Tokens,
    ids: PairIds,
    bound: PairShape,
    lengths: Lengths,
    /// By row: where source and target begin, how many tokens they have without their ends, and the pair's number.
    begins: Vec<[u64; 2]>,
    tokens: Vec<[u32; 2]>,
    numbers: Vec<u32>,
}

/// Rows stacked, in row-major order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairBatch {
    /// Ids of the sources, `[rows, M]`; 0 after a row's end.
    pub source: Vec<i64>,
    /// How many of these are a row's, `[rows]`: 1 at least, also in a row of padding.
    pub lengths: Vec<i64>,
    /// Ids before each target, `[rows, N]`; 0 after a row's end.
    pub inputs: Vec<i64>,
    /// The ids to predict, `[rows, N]`; [`IGNORED`] where there is none.
    pub targets: Vec<i64>,
    /// Number of rows.
    pub rows: usize,
    /// M and N.
    pub shape: PairShape,
    /// Tokens of the sources, ends included, rows of padding not.
    pub source_tokens: usize,
    /// Targets that are not [`IGNORED`].
    pub target_tokens: usize,
    /// Where the rows come from, in their order: the pair's number in the split, the place of its source's first token in
    /// the stream of sources, and its number of targets. Of rows of padding there is nothing.
    pub places: Vec<Place>,
}

impl PairRows {
    /// The pairs of two streams, in each of which an end stands before the first record and after every one.
    ///
    /// # Errors
    /// Streams of different numbers of records; none that stays; a token file that cannot be read.
    pub fn new(source: Tokens, target: Tokens, ids: PairIds, limits: Bounds) -> Result<Self> {
        ensure!(limits.source > 0 && limits.target > 0, "rows of 0 tokens; expected 1 or more");
        let (mut begins, mut tokens, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        let mut lengths = Lengths::default();
        let mut targets = Records::new(&target, ids.target_end);
        for record in Records::new(&source, ids.source_end) {
            let Some(other) = targets.next().transpose()? else { bail!("{UNEQUAL}") };
            let number = u32::try_from(lengths.pairs);
            lengths.pairs += 1;
            if let Some([source, target]) = limits.apply([record?, other], &mut lengths) {
                begins.push([source.begin, target.begin]);
                tokens.push([u32::try_from(source.tokens)?, u32::try_from(target.tokens)?]);
                numbers.push(number?);
            }
        }
        ensure!(targets.next().is_none(), "{UNEQUAL}");
        ensure!(!begins.is_empty(), "{}", lengths.nothing_left());
        let bound = (limits.source, limits.target);
        Ok(Self { source, target, ids, bound, lengths, begins, tokens, numbers })
    }

    /// How many rows there are; one at least.
    pub fn count(&self) -> usize {
        self.begins.len()
    }

    /// What became of the split's pairs.
    pub fn lengths(&self) -> Lengths {
        self.lengths
    }

    /// Columns that a row takes: its source and its targets, ends included.
    pub fn columns(&self, row: usize) -> PairShape {
        let [source, target] = self.tokens[row];
        (source as usize + 1, target as usize + 1)
    }

    /// Columns that a batch has at most.
    pub fn bound(&self) -> PairShape {
        self.bound
    }

    /// The columns of the longest source and of the longest target.
    pub fn longest(&self) -> PairShape {
        let columns = (0..self.count()).map(|row| self.columns(row));
        columns.fold((1, 1), |(m, n), (source, target)| (m.max(source), n.max(target)))
    }

    /// The number of a row's pair in the split, from 0 on.
    pub fn number(&self, row: usize) -> usize {
        self.numbers[row] as usize
    }

    /// Tokens of all sources and all targets, ends included.
    pub fn token_count(&self) -> u64 {
        self.tokens.iter().map(|[source, target]| u64::from(*source) + u64::from(*target) + 2).sum()
    }

    /// How many tokens are predicted in one pass.
    pub fn target_count(&self) -> u64 {
        self.tokens.iter().map(|[_, target]| u64::from(*target) + 1).sum()
    }

    /// The source of a row, its end included.
    ///
    /// # Errors
    /// A token file that cannot be read.
    pub fn source(&self, row: usize) -> Result<Vec<i64>> {
        let mut ids = Vec::new();
        self.append_source(row, &mut ids)?;
        Ok(ids)
    }

    fn append_source(&self, row: usize, ids: &mut Vec<i64>) -> Result<()> {
        let ([begin, _], [tokens, _]) = (self.begins[row], self.tokens[row]);
        self.source.read(begin..begin + u64::from(tokens), ids)?;
        ids.push(self.ids.source_end.into());
        Ok(())
    }

    /// The rows of these numbers, in this order, filled up to `shape`. Numbers from [`count`](Self::count) on are rows of
    /// padding.
    ///
    /// # Errors
    /// A token file that cannot be read; a row that is longer than `shape`.
    pub fn batch(&self, rows: impl IntoIterator<Item = usize>, shape: PairShape) -> Result<PairBatch> {
        let mut batch = PairBatch { shape, ..Default::default() };
        for row in rows {
            batch.rows += 1;
            if row < self.count() {
                self.append(row, &mut batch)?;
            } else {
                batch.lengths.push(1);
            }
            batch.fill();
        }
        Ok(batch)
    }

    fn append(&self, row: usize, batch: &mut PairBatch) -> Result<()> {
        let ([source, target], (m, n)) = (self.begins[row], self.columns(row));
        let shape = batch.shape;
        ensure!(m <= shape.0 && n <= shape.1, "a row of {m} and {n} tokens in a batch of {} and {}", shape.0, shape.1);
        self.append_source(row, &mut batch.source)?;
        batch.lengths.push(m as i64);
        let first = batch.targets.len();
        self.target.read(target..target + n as u64 - 1, &mut batch.targets)?;
        batch.inputs.push(self.ids.target_begin.into());
        batch.inputs.extend_from_slice(&batch.targets[first..]);
        batch.targets.push(self.ids.target_end.into());
        batch.source_tokens += m;
        batch.target_tokens += n;
        batch.places.push(Place { row: self.number(row), begin: source, targets: n });
        Ok(())
    }
}

impl PairBatch {
    /// Fills the newest row up.
    fn fill(&mut self) {
        let (m, n) = (self.rows * self.shape.0, self.rows * self.shape.1);
        self.source.resize(m, PADDING);
        self.inputs.resize(n, PADDING);
        self.targets.resize(n, IGNORED);
    }
}

impl Bounds {
    /// What stays of a pair; none where it is left out.
    fn apply(&self, [mut source, mut target]: [Record; 2], lengths: &mut Lengths) -> Option<[Record; 2]> {
        let (m, n) = (source.tokens + 1, target.tokens + 1);
        let [cut_source, cut_target] = [m > self.source as u64, n > self.target as u64];
        if let Some(train) = self.train {
            let unequal = |ratio: f64| m.max(n) as f64 > ratio * m.min(n) as f64;
            let left_out = match () {
                () if target.tokens == 0 => Some(&mut lengths.empty),
                () if train.skip && (cut_source || cut_target) => Some(&mut lengths.too_long),
                () if train.ratio.is_some_and(unequal) => Some(&mut lengths.ratio),
                () => None,
            };
            if let Some(count) = left_out {
                *count += 1;
                return None;
            }
        }
        if cut_source {
            lengths.cut_sources += 1;
            let kept = self.keep.of(source.tokens, self.source as u64 - 1);
            (source.begin, source.tokens) = (source.begin + kept.start, kept.end - kept.start);
        }
        if cut_target {
            lengths.cut_targets += 1;
            target.tokens = self.target as u64 - 1;
        }
        Some([source, target])
    }
}

impl Lengths {
    /// Pairs that were left out.
    pub fn left_out(&self) -> u64 {
        self.too_long + self.ratio + self.empty
    }

    /// Says what was cut and left out of a split, where anything was.
    pub fn tell(&self, split: &str) {
        if let Some(told) = self.told() {
            match self.left_out() {
                0 => tracing::info!("the {split} split has {} pairs; {told}", self.pairs),
                _ => tracing::warn!("the {split} split has {} pairs; {told}", self.pairs),
            }
        }
    }

    fn told(&self) -> Option<String> {
        let left_out = [
            (self.too_long, "too long"),
            (self.ratio, "of too different lengths (data.length_ratio)"),
            (self.empty, "without a target"),
        ];
        let cut = [(self.cut_sources, "of the sources"), (self.cut_targets, "of the targets")];
        let parts = [("left out", list(&left_out)), ("cut", list(&cut))];
        let parts = parts.iter().filter_map(|(what, list)| Some(format!("{what}: {}", list.as_ref()?)));
        let parts = Vec::from_iter(parts);
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn nothing_left(&self) -> String {
        let told = self.told().map(|told| format!(" that can be learned from; {told}"));
        format!("found no pair{}", told.unwrap_or_default())
    }
}

/// What there is any of, with the numbers.
fn list(counts: &[(u64, &str)]) -> Option<String> {
    let told = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    Some(Vec::from_iter(told).join(", ")).filter(|list| !list.is_empty())
}

/// Said where sources and targets do not go with each other.
const UNEQUAL: &str = "the sources are not as many as the targets";

#[cfg(test)]
mod tests;
