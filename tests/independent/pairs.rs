//! Few rows of choices in which any two choices meet.

use std::collections::HashSet;

/// Two choices: of a factor (the first number) one of its levels (the second), for either.
type Pair = [(usize, usize); 2];

/// Rows with a level for each factor, given how many levels each has: every pair of levels of two factors is in a row.
/// Greedy: a row begins with a pair that none has yet; each further factor takes the level that adds the most.
pub fn covering(levels: &[usize]) -> Vec<Vec<usize>> {
    let mut missing = all(levels);
    let mut rows = Vec::new();
    while let Some(first) = missing.iter().min().copied() {
        let mut row: Vec<Option<usize>> = vec![None; levels.len()];
        first.iter().for_each(|(factor, level)| row[*factor] = Some(*level));
        for factor in 0..levels.len() {
            if row[factor].is_none() {
                // Of equal ones that which the fewest rows have had, so that levels take turns.
                let gain =
                    |level: &usize| (added(&missing, &row, (factor, *level)), usize::MAX - had(&rows, factor, *level));
                row[factor] = (0..levels[factor]).rev().max_by_key(gain);
            }
        }
        let row: Vec<usize> = row.into_iter().map(|level| level.expect("a level for each factor")).collect();
        missing.retain(|pair| pair.iter().any(|(factor, level)| row[*factor] != *level));
        rows.push(row);
    }
    rows
}

/// Every pair of levels of two factors.
fn all(levels: &[usize]) -> HashSet<Pair> {
    let of = |factor: usize| (0..levels[factor]).map(move |level| (factor, level));
    let factors = (0..levels.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
    factors
        .flat_map(|(first, second)| of(first).flat_map(move |one| of(second).map(move |other| [one, other])))
        .collect()
}

/// The missing pairs that a choice makes with those of an unfinished row.
fn added(missing: &HashSet<Pair>, row: &[Option<usize>], choice: (usize, usize)) -> usize {
    let chosen = row.iter().enumerate().filter_map(|(factor, level)| level.map(|level| (factor, level)));
    chosen.filter(|other| missing.contains(&[choice.min(*other), choice.max(*other)])).count()
}

/// The rows with a level of a factor.
fn had(rows: &[Vec<usize>], factor: usize, level: usize) -> usize {
    rows.iter().filter(|row| row[factor] == level).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_two_levels_meet_in_a_row() {
        for levels in [&[2, 2, 2][..], &[3, 4, 2, 5], &[2, 2, 4, 4, 3, 5, 5, 2, 2, 3, 2, 2, 3]] {
            let rows = covering(levels);
            for (first, second) in (0..levels.len()).flat_map(|second| (0..second).map(move |first| (first, second))) {
                let met: HashSet<_> = rows.iter().map(|row| (row[first], row[second])).collect();
                assert_eq!(met.len(), levels[first] * levels[second], "factors {first} and {second}");
            }
            assert!(rows.iter().flat_map(|row| row.iter().zip(levels)).all(|(level, levels)| level < levels));
            let product: usize = levels.iter().product();
            assert!(rows.len() < product, "{} of {product} rows", rows.len());
        }
        assert!(covering(&[2, 2, 4, 4, 3, 5, 5, 2, 2, 3, 2, 2, 3]).len() < 40);
    }
}
