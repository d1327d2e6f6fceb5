//! How steps are timed: warm-up, then rounds of steps with one wait for the device at the end of each.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant, SystemTime};

/// Steps of a round are at least so many.
const LEAST_STEPS: u32 = 3;
/// A single step counts for at least so many seconds when the steps of a round are planned.
const LEAST_STEP_S: f64 = 1e-4;

/// Something that is done step by step on a device.
pub trait Stepper {
    /// Queues one step, without waiting for the device where the step itself does not need to.
    ///
    /// # Errors
    /// What the model or libtorch reports.
    fn step(&mut self) -> Result<()>;

    /// Waits until all that was queued is done.
    ///
    /// # Errors
    /// What libtorch reports of the steps before.
    fn wait(&self) -> Result<()>;

    /// Goes back to the start, before every round.
    ///
    /// # Errors
    /// What libtorch reports.
    fn restart(&mut self) -> Result<()> {
        Ok(())
    }
}

/// How long is timed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Steps before the first that is timed.
    pub warmup: u32,
    /// Rounds, one or more; the median counts.
    pub repeats: u32,
    /// Seconds that all rounds are planned to take together, where steps are not counted.
    pub seconds: f64,
}

/// What was timed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timed {
    /// Seconds of a step: the median of the rounds.
    pub step_s: f64,
    /// (slowest − fastest round) / median.
    pub spread: f64,
    /// Steps of each round.
    pub steps: u32,
    /// Seconds of the warm-up.
    pub warmup_s: f64,
    /// When the first step of all had ended.
    pub first_ended: SystemTime,
}

impl Timing {
    /// Times `stepper` in rounds that take `seconds` together, as a single step tells, of three steps or more.
    ///
    /// # Errors
    /// What the stepper reports.
    pub fn measure(&self, stepper: &mut impl Stepper) -> Result<Timed> {
        let (warmup_s, first) = self.warm_up(stepper)?;
        let (one, ended) = round(stepper, 1)?;
        let steps = self.seconds / f64::from(self.repeats) / one.as_secs_f64().max(LEAST_STEP_S);
        let steps = (steps.ceil() as u32).max(LEAST_STEPS);
        self.rounds(stepper, steps, warmup_s, first.unwrap_or(ended))
    }

    /// Times `stepper` in rounds of `steps` steps, each from the start.
    ///
    /// # Errors
    /// What the stepper reports.
    pub fn measure_rounds_of(&self, steps: u32, stepper: &mut impl Stepper) -> Result<Timed> {
        let warmed = Timing { warmup: self.warmup.max(1), ..*self };
        let (warmup_s, first) = warmed.warm_up(stepper)?;
        self.rounds(stepper, steps, warmup_s, first.unwrap_or_else(SystemTime::now))
    }

    /// Seconds of the warm-up, and when its first step had ended.
    fn warm_up(&self, stepper: &mut impl Stepper) -> Result<(f64, Option<SystemTime>)> {
        if self.warmup == 0 {
            return Ok((0.0, None));
        }
        let (first, ended) = round(stepper, 1)?;
        let (rest, _) = round(stepper, self.warmup - 1)?;
        Ok(((first + rest).as_secs_f64(), Some(ended)))
    }

    fn rounds(&self, stepper: &mut impl Stepper, steps: u32, warmup_s: f64, first_ended: SystemTime) -> Result<Timed> {
        let mut rounds = Vec::new();
        for _ in 0..self.repeats.max(1) {
            stepper.restart()?;
            stepper.wait()?;
            rounds.push(round(stepper, steps)?.0.as_secs_f64() / f64::from(steps));
        }
        let step_s = median(&mut rounds);
        let spread = (rounds[rounds.len() - 1] - rounds[0]) / step_s;
        Ok(Timed { step_s, spread, steps, warmup_s, first_ended })
    }
}

/// How long some steps take with the wait at their end, and when that was.
fn round(stepper: &mut impl Stepper, steps: u32) -> Result<(Duration, SystemTime)> {
    let begun = Instant::now();
    for _ in 0..steps {
        stepper.step()?;
    }
    stepper.wait()?;
    Ok((begun.elapsed(), SystemTime::now()))
}

/// The middle one of one or more numbers, the upper of two in the middle, as the peers take it; sorts them.
pub fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Steps that take as long as a list says, round after round.
    #[derive(Default)]
    struct Sleeper {
        steps: u32,
        waits: Cell<u32>,
        restarts: Vec<u32>,
        milliseconds: u64,
    }

    impl Stepper for Sleeper {
        fn step(&mut self) -> Result<()> {
            self.steps += 1;
            std::thread::sleep(Duration::from_millis(self.milliseconds));
            Ok(())
        }

        fn wait(&self) -> Result<()> {
            self.waits.set(self.waits.get() + 1);
            Ok(())
        }

        fn restart(&mut self) -> Result<()> {
            self.restarts.push(self.steps);
            Ok(())
        }
    }

    #[test]
    fn rounds_fill_the_seconds() {
        let mut sleeper = Sleeper { milliseconds: 5, ..Default::default() };
        let before = SystemTime::now();
        let timed = Timing { warmup: 2, repeats: 4, seconds: 0.2 }.measure(&mut sleeper).unwrap();
        // A step takes 5 ms and a little: at most 10 steps to a round of 50 ms.
        assert!((3..=10).contains(&timed.steps), "{timed:?}");
        assert_eq!(sleeper.steps, 2 + 1 + 4 * timed.steps);
        assert!(timed.step_s >= 0.005 && timed.spread >= 0.0 && timed.warmup_s >= 0.010, "{timed:?}");
        let first = timed.first_ended.duration_since(before).unwrap();
        let rest = SystemTime::now().duration_since(timed.first_ended).unwrap();
        let later = Duration::from_millis(5) * (sleeper.steps - 1);
        assert!(first >= Duration::from_millis(5) && rest >= later, "{first:?} {rest:?} {timed:?}");
    }

    #[test]
    fn slow_steps_come_three_to_a_round_and_without_warm_up_the_single_step_is_first() {
        let mut sleeper = Sleeper { milliseconds: 2, ..Default::default() };
        let timed = Timing { warmup: 0, repeats: 2, seconds: 0.0 }.measure(&mut sleeper).unwrap();
        assert_eq!((timed.steps, timed.warmup_s, sleeper.steps), (3, 0.0, 7));
        // The single step, then twice before and after a round.
        assert_eq!(sleeper.waits.get(), 5);
    }

    #[test]
    fn counted_rounds_start_anew() {
        let mut sleeper = Sleeper::default();
        let timed = Timing { warmup: 3, repeats: 3, seconds: 9.0 }.measure_rounds_of(7, &mut sleeper).unwrap();
        assert_eq!((timed.steps, sleeper.restarts), (7, vec![3, 10, 17]));
    }

    #[test]
    fn the_median_is_the_peers() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), 3.0);
        assert_eq!(median(&mut [5.0]), 5.0);
    }
}
