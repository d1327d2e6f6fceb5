use super::*;
use crate::data::pairs::{Bounds, Keep, PairIds, PairOrder};
use crate::data::tokens::Tokens;

/// Pairs of so many columns, ends included.
fn rows(columns: &[(usize, usize)], bound: usize) -> PairRows {
    let stream = |lengths: &mut dyn Iterator<Item = usize>| {
        let mut ids = vec![0];
        for length in lengths {
            ids.extend(std::iter::repeat_n(1, length - 1));
            ids.push(0);
        }
        Tokens::of(&ids)
    };
    let (source, target) =
        (stream(&mut columns.iter().map(|columns| columns.0)), stream(&mut columns.iter().map(|columns| columns.1)));
    let ids = PairIds { source_end: 0, target_begin: 2, target_end: 0 };
    let limits = Bounds { source: bound, target: bound, keep: Keep::First, train: None };
    PairRows::new(source, target, ids, limits).unwrap()
}

/// Lengths of both sides that go together, and some that do not.
fn many(count: usize) -> Vec<(usize, usize)> {
    (0..count).map(|i| (1 + i * i % 97, 1 + (i * i % 97 + i % 11 * 3) * (1 + i % 2) % 120)).collect()
}

#[test]
fn every_pair_is_in_one_batch_that_holds_it() {
    for (bound, size) in [(200, BatchSize::Rows(7)), (200, BatchSize::Tokens(300)), (90, BatchSize::Tokens(90))] {
        let rows = rows(&many(3000), bound);
        let buckets = Buckets::of_pairs(&rows, size);
        assert!(buckets.all().len() <= SHAPES && buckets.all().len() > 8);
        let (mut seen, mut places) = (vec![0; rows.count()], 0);
        for number in 0..buckets.batches() {
            let (index, first) = buckets.batch(number);
            let bucket = &buckets.all()[index];
            let (m, n) = bucket.shape;
            assert!(m <= bound && n <= bound);
            assert!(bucket.rows * m.max(n) <= 300 || size == BatchSize::Rows(7), "{bucket:?}");
            places += bucket.rows * (m + n);
            for &row in bucket.members.iter().skip(first).take(bucket.rows) {
                seen[row as usize] += 1;
                let (source, target) = rows.columns(row as usize);
                assert!(source <= m && target <= n);
            }
        }
        assert!(seen.iter().all(|count| *count == 1));
        let padding = 1.0 - rows.token_count() as f64 / places as f64;
        assert!((buckets.padding_of_pairs(&rows) - padding).abs() < 1e-12 && padding < 0.35, "{padding}");
        let mut shapes: Vec<PairShape> = buckets.all().iter().map(|bucket| bucket.shape).collect();
        assert!(shapes.is_sorted());
        shapes.dedup();
        assert_eq!(shapes.len(), buckets.all().len(), "each shape once");
    }
}

/// What splitting one bucket saves, by every split tried.
fn best(columns: &[(usize, usize)], size: BatchSize) -> usize {
    let shape = |part: &[(usize, usize)]| {
        let up = |of: &dyn Fn(&(usize, usize)) -> usize| part.iter().map(of).max().unwrap_or(1).next_multiple_of(8);
        let (m, n) = (up(&|columns| columns.0), up(&|columns| columns.1));
        part.len().next_multiple_of(size.rows(m.max(n))) * (m + n)
    };
    let side = |columns: &(usize, usize), axis: usize| if axis == 0 { columns.0 } else { columns.1 };
    let mut least = shape(columns);
    for axis in [0, 1] {
        for cut in (8..128).step_by(8) {
            let (first, second): (Vec<_>, Vec<_>) = columns.iter().partition(|columns| side(columns, axis) <= cut);
            if !first.is_empty() && !second.is_empty() {
                least = least.min(shape(&first) + shape(&second));
            }
        }
    }
    shape(columns) - least
}

#[test]
fn a_split_saves_as_much_as_any() {
    for size in [BatchSize::Rows(1), BatchSize::Rows(5), BatchSize::Tokens(400)] {
        for (count, begin) in [(2, 0), (5, 31), (17, 400), (60, 0), (200, 31)] {
            let columns = many(begin + count).split_off(begin);
            let rows = rows(&columns, 200);
            let grid = Grid::of(&rows, size);
            let found = split(&grid, &cells(&grid, &rows)).map_or(0, |split| split.saved);
            assert_eq!(found, best(&columns, size), "{columns:?}");
        }
    }
}

#[test]
fn few_lengths_have_few_shapes() {
    let shapes = |columns: &[(usize, usize)], bound, size| {
        let buckets = Buckets::of_pairs(&rows(columns, bound), size);
        Vec::from_iter(buckets.all().iter().map(|bucket| (bucket.shape, bucket.rows, bucket.members.clone())))
    };
    assert_eq!(shapes(&[(3, 5), (8, 1)], 100, BatchSize::Tokens(16)), [((8, 8), 2, vec![0, 1])]);
    assert_eq!(shapes(&[(3, 5), (4, 1)], 5, BatchSize::Tokens(64)), [((5, 5), 12, vec![0, 1])]);
    let four = [(3, 5), (30, 1), (3, 40), (8, 8)];
    let found = shapes(&four, 100, BatchSize::Rows(1));
    assert_eq!(found, [((8, 8), 1, vec![0, 3]), ((8, 40), 1, vec![2]), ((32, 8), 1, vec![1])]);
    let found = shapes(&four, 100, BatchSize::Tokens(400));
    assert_eq!(found, [((32, 40), 10, vec![0, 1, 2, 3])], "one batch is less than two");
}

#[test]
fn the_largest_batch_is_that_with_the_longest_side_times_rows() {
    let columns = [vec![(8, 8); 6], vec![(24, 8); 2], vec![(8, 40)], vec![(16, 16); 3]].concat();
    let rows = rows(&columns, 100);
    let order = PairOrder::new(rows, BatchSize::Tokens(48), 1);
    assert_eq!(order.shapes(), [(6, (8, 8)), (1, (8, 40)), (3, (16, 16)), (2, (24, 8))]);
    assert_eq!(order.largest(), (3, (16, 16)), "of equal ones the longest");
}

#[test]
fn an_epoch_has_every_pair_once_and_epochs_differ() {
    let order = |seed| PairOrder::new(rows(&many(500), 200), BatchSize::Tokens(256), seed);
    let epoch = |order: &PairOrder, epoch: u64| {
        let indices = epoch * order.examples()..(epoch + 1) * order.examples();
        let batches = indices.map(|index| order.batch(index).unwrap());
        Vec::from_iter(batches.flat_map(|batch| batch.places).map(|place| place.row))
    };
    let order_of_one = order(1);
    let epochs = Vec::from_iter((0..3).map(|number| epoch(&order_of_one, number)));
    for rows in &epochs {
        let mut sorted = rows.clone();
        sorted.sort();
        assert!(sorted.into_iter().eq(0..500));
    }
    assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
    assert_eq!(epoch(&order(1), 2), epochs[2], "nothing depends on what was read before");
    assert_ne!(epoch(&order(2), 0), epochs[0]);
    assert_eq!(order_of_one.examples_per_batch(), 1);
}
