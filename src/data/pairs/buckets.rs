//! Which pairs stand together in a batch: those with sources of like length and targets of like length.

use super::rows::{PairRows, PairShape};
use crate::data::batches::{BatchSize, Bucket, Buckets, SHAPES, step};

/// Pairs whose lengths differ by less than a step on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    /// Columns of source and target in steps, rounded up.
    steps: [usize; 2],
    /// How many pairs there are.
    count: usize,
}

/// Of either side, what a step is, how many there are, and how many columns a batch has at most; and how large batches are.
#[derive(Debug, Clone, Copy)]
struct Grid {
    size: BatchSize,
    step: [usize; 2],
    steps: [usize; 2],
    bound: [usize; 2],
}

/// Cells that become a bucket, unless they are split.
#[derive(Debug)]
struct Part {
    cells: Vec<Cell>,
    split: Option<Split>,
}

/// The best split of a part.
#[derive(Debug, Clone, Copy)]
struct Split {
    axis: usize,
    /// The last step on the axis that belongs to the first of the two.
    last: usize,
    saved: usize,
}

impl Buckets<PairShape> {
    /// Buckets of the shapes that greedy splitting finds: from one bucket on, that bucket is split, at that length of a
    /// side, where the most places of batches are saved, those that fill a last batch up among them. They follow from the
    /// rows' lengths and the batches' size alone.
    pub fn of_pairs(rows: &PairRows, size: BatchSize) -> Self {
        let grid = Grid::of(rows, size);
        let mut shapes = grid.shapes(rows);
        shapes.sort_unstable_by_key(|(shape, _)| *shape);
        let mut buckets: Vec<Bucket<PairShape>> = shapes
            .iter()
            .map(|(shape, _)| Bucket { shape: *shape, rows: size.rows(shape.0.max(shape.1)), members: Vec::new() })
            .collect();
        let mut of_cell: Vec<([usize; 2], usize)> = (0..)
            .zip(&shapes)
            .flat_map(|(bucket, (_, cells))| cells.iter().map(move |cell| (cell.steps, bucket)))
            .collect();
        of_cell.sort_unstable();
        for row in 0..rows.count() {
            let steps = grid.steps(rows.columns(row));
            let place = of_cell.partition_point(|(cell, _)| *cell < steps);
            buckets[of_cell[place].1].members.push(row as u32);
        }
        Self::new(buckets)
    }

    /// Which share of the batches' places, of sources and of targets, holds no token.
    pub fn padding_of_pairs(&self, rows: &PairRows) -> f64 {
        1.0 - rows.token_count() as f64 / self.places(|(source, target)| source + target) as f64
    }
}

impl Grid {
    fn of(rows: &PairRows, size: BatchSize) -> Self {
        let ((source, target), (m, n)) = (rows.longest(), rows.bound());
        let step = [source, target].map(step);
        Self { size, step, steps: [source.div_ceil(step[0]), target.div_ceil(step[1])], bound: [m, n] }
    }

    fn steps(&self, (source, target): PairShape) -> [usize; 2] {
        [source.div_ceil(self.step[0]), target.div_ceil(self.step[1])]
    }

    /// The columns of so many steps.
    fn columns(&self, axis: usize, steps: usize) -> usize {
        (steps * self.step[axis]).min(self.bound[axis])
    }

    /// Rows of a batch of so many steps.
    fn rows(&self, [source, target]: [usize; 2]) -> usize {
        self.size.rows(self.columns(0, source).max(self.columns(1, target)))
    }

    /// The places of the batches of so many steps that hold `count` pairs.
    fn places(&self, steps: [usize; 2], count: usize) -> usize {
        let [source, target] = steps;
        count.next_multiple_of(self.rows(steps)) * (self.columns(0, source) + self.columns(1, target))
    }

    /// The shapes that are chosen, each with its cells.
    fn shapes(&self, rows: &PairRows) -> Vec<(PairShape, Vec<Cell>)> {
        let mut parts = vec![Part::new(self, cells(self, rows))];
        while parts.len() < SHAPES {
            let best = parts.iter().enumerate().filter_map(|(index, part)| Some((index, part.split?)));
            // Of equal ones the first.
            let best = best.reduce(|best, next| if next.1.saved > best.1.saved { next } else { best });
            let Some((index, split)) = best else { break };
            let cells = std::mem::take(&mut parts[index].cells);
            let (first, second) = cells.into_iter().partition(|cell| cell.steps[split.axis] <= split.last);
            parts[index] = Part::new(self, first);
            parts.push(Part::new(self, second));
        }
        parts.into_iter().map(|part| (part.shape(self), part.cells)).collect()
    }
}

/// The cells of all rows, in order.
fn cells(grid: &Grid, rows: &PairRows) -> Vec<Cell> {
    let width = grid.steps[1] + 1;
    let mut counts = vec![0; (grid.steps[0] + 1) * width];
    for row in 0..rows.count() {
        let [source, target] = grid.steps(rows.columns(row));
        counts[source * width + target] += 1;
    }
    let counts = counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
    counts.map(|(place, count)| Cell { steps: [place / width, place % width], count }).collect()
}

impl Part {
    fn new(grid: &Grid, cells: Vec<Cell>) -> Self {
        let split = split(grid, &cells);
        Self { cells, split }
    }

    fn shape(&self, grid: &Grid) -> PairShape {
        let [source, target] = largest(&self.cells);
        (grid.columns(0, source), grid.columns(1, target))
    }
}

fn largest(cells: &[Cell]) -> [usize; 2] {
    cells.iter().fold([1, 1], |[source, target], cell| [source.max(cell.steps[0]), target.max(cell.steps[1])])
}

/// Of all splits of these cells that save places the one that saves the most; of equal ones the first, sources before
/// targets and short lengths before long ones.
fn split(grid: &Grid, cells: &[Cell]) -> Option<Split> {
    let all = largest(cells);
    let count: usize = cells.iter().map(|cell| cell.count).sum();
    let whole = grid.places(all, count);
    let mut best: Option<Split> = None;
    for axis in [0, 1] {
        let lines = lines(cells, axis, all[axis]);
        // From the longest down: what is behind a cut.
        let mut behind = vec![(0, 1); all[axis] + 2];
        for step in (1..=all[axis]).rev() {
            behind[step] = join(behind[step + 1], lines[step]);
        }
        let mut before = (0, 1);
        let mut longest_before = 0;
        for last in 1..all[axis] {
            before = join(before, lines[last]);
            if lines[last].0 > 0 {
                longest_before = last;
            }
            if before.0 == 0 || lines[last].0 == 0 {
                continue;
            }
            let shape = |along: usize, across: usize| if axis == 0 { [along, across] } else { [across, along] };
            let with = grid.places(shape(longest_before, before.1), before.0)
                + grid.places(shape(all[axis], behind[last + 1].1), behind[last + 1].0);
            let saved = whole.saturating_sub(with);
            if saved > best.map_or(0, |best| best.saved) {
                best = Some(Split { axis, last, saved });
            }
        }
    }
    best
}

/// By step on an axis: how many pairs there are, and the most steps that they have on the other.
fn lines(cells: &[Cell], axis: usize, steps: usize) -> Vec<(usize, usize)> {
    let mut lines = vec![(0, 1); steps + 1];
    for cell in cells {
        let line = &mut lines[cell.steps[axis]];
        *line = join(*line, (cell.count, cell.steps[1 - axis]));
    }
    lines
}

fn join(one: (usize, usize), other: (usize, usize)) -> (usize, usize) {
    (one.0 + other.0, one.1.max(other.1))
}

#[cfg(test)]
mod tests;
