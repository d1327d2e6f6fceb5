//! The rule: which times decide, and how many are taken.

/// Rounds that each algorithm is timed in, one after the other. A card at its power limit is slower for a while: what
/// happens to one round happens to all algorithms.
const ROUNDS: usize = 12;
const FEWEST_ROUNDS: usize = 3;
/// Seconds that they may take together.
const BUDGET: f64 = 0.05;
/// Seconds of one timing at least, made of several runs where one is shorter, and at most so many.
const SPAN: f64 = 1e-4;
const MOST_REPEATS: usize = 16;
/// Algorithms that take so many times as long as the best at first are not timed further.
const HOPELESS: f64 = 1.3;
/// The first is kept unless another takes less than this share of its time.
const MARGIN: f64 = 0.985;

/// The fastest of algorithms 0 … `count` − 1, of which the first is the one without timing; `None` where none runs.
///
/// `round` runs the algorithms that it is given, each so many times, in their order, and returns the seconds of one run of
/// each; infinite where it cannot run.
pub fn fastest(count: usize, round: &mut dyn FnMut(&[usize], usize) -> Vec<f64>) -> Option<usize> {
    // The first run loads an algorithm's code: its time means nothing.
    let mut left: Vec<usize> = (0..count).collect();
    left = runnable(&left, &round(&left, 1));
    let first = *left.first()?;
    let probed = round(&left, 2);
    let best = probed.iter().copied().fold(f64::INFINITY, f64::min);
    let near = left.iter().zip(&probed).filter(|&(&candidate, &time)| candidate == first || time <= HOPELESS * best);
    let (mut left, probed): (Vec<usize>, Vec<f64>) = near.map(|(&candidate, &time)| (candidate, time)).unzip();
    let repeats = ((SPAN / best).ceil() as usize).clamp(1, MOST_REPEATS);
    let rounds = (BUDGET / (probed.iter().sum::<f64>() * repeats as f64)) as usize;
    let mut times = vec![Vec::new(); count];
    for _ in 0..rounds.clamp(FEWEST_ROUNDS, ROUNDS) {
        for (&candidate, time) in left.iter().zip(round(&left, repeats)) {
            times[candidate].push(time);
        }
        left.rotate_left(1); // nobody is always the first, or behind the same
    }
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    let fastest = (0..count).min_by(|&a, &b| medians[a].total_cmp(&medians[b]))?;
    Some(if medians[fastest] < MARGIN * medians[first] { fastest } else { first })
}

fn runnable(candidates: &[usize], times: &[f64]) -> Vec<usize> {
    candidates.iter().zip(times).filter(|(_, time)| time.is_finite()).map(|(&candidate, _)| candidate).collect()
}

/// Infinite for nothing.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is chosen where algorithms take these microseconds, and the runs of each.
    fn choose(micros: &[f64], disturb: impl Fn(usize, usize) -> f64) -> (Option<usize>, Vec<usize>) {
        let (mut runs, mut rounds) = (vec![0; micros.len()], 0);
        let chosen = fastest(micros.len(), &mut |candidates, repeats| {
            rounds += 1;
            let time = |&candidate: &usize| {
                runs[candidate] += repeats;
                micros[candidate] * 1e-6 * disturb(candidate, rounds)
            };
            candidates.iter().map(time).collect()
        });
        (chosen, runs)
    }

    #[test]
    fn the_fastest_by_more_than_the_margin() {
        let steady = |micros: &[f64]| choose(micros, |_, _| 1.0).0;
        assert_eq!(steady(&[200.0, 180.0, 190.0]), Some(1));
        assert_eq!(steady(&[200.0, 198.5, 201.0]), Some(0));
        assert_eq!(steady(&[f64::INFINITY, 210.0, 209.0]), Some(1));
        assert_eq!(steady(&[f64::INFINITY; 2]), None);
        assert_eq!(steady(&[]), None);
    }

    #[test]
    fn a_slow_spell_or_a_slow_start_decides_nothing() {
        let spell = |_: usize, round: usize| if (4..7).contains(&round) { 1.4 } else { 1.0 };
        assert_eq!(choose(&[200.0, 180.0], spell).0, Some(1));
        let start = |candidate: usize, round: usize| if candidate == 1 && round == 1 { 50.0 } else { 1.0 };
        assert_eq!(choose(&[200.0, 180.0], start).0, Some(1));
        let once = |candidate: usize, round: usize| if candidate == 0 && round == 5 { 3.0 } else { 1.0 };
        assert_eq!(choose(&[200.0, 205.0], once).0, Some(0));
    }

    #[test]
    fn time_is_spent_on_those_that_may_win() {
        let (_, runs) = choose(&[150.0, 149.0, 500.0], |_, _| 1.0);
        assert_eq!((runs[0], runs[2]), (3 + ROUNDS, 3));
        // Sixteen of a millisecond and a half each: no more rounds than must be.
        let (_, runs) = choose(&[1500.0; 16], |_, _| 1.0);
        assert!(runs.iter().all(|&runs| runs == 3 + FEWEST_ROUNDS));
        // Four runs a timing where one takes thirty microseconds.
        let (_, runs) = choose(&[30.0], |_, _| 1.0);
        assert_eq!(runs[0], 3 + 4 * ROUNDS);
    }
}
