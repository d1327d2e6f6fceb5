//! The learning rate over the updates.

use super::options::{OptimizerOptions, ScheduleKind};
use std::f64::consts::PI;

/// The learning rate of update number `step`, counted from 1, of a training of `steps` updates.
///
/// Up to `warmup` it grows linearly to `optimizer.lr`; then it follows the schedule's curve.
pub fn learning_rate(options: &OptimizerOptions, step: u64, steps: u64) -> f64 {
    let schedule = &options.schedule;
    let (now, warmup) = (step as f64, schedule.warmup as f64);
    if step < schedule.warmup {
        return options.lr * now / warmup;
    }
    options.lr
        * match schedule.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::InverseSqrt => (warmup.max(1.0) / now.max(1.0)).sqrt(),
            ScheduleKind::Cosine => {
                let progress = ((now - warmup) / (steps as f64 - warmup).max(1.0)).clamp(0.0, 1.0);
                let last = schedule.final_fraction;
                last + (1.0 - last) * 0.5 * (1.0 + (PI * progress).cos())
            }
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::options::ScheduleOptions;

    fn rates(kind: ScheduleKind, warmup: u64, at: &[u64]) -> Vec<f64> {
        let schedule = ScheduleOptions { kind, warmup, final_fraction: 0.1 };
        let options = OptimizerOptions { lr: 2.0, schedule, ..Default::default() };
        at.iter().map(|&step| learning_rate(&options, step, 100)).collect()
    }

    #[test]
    fn every_schedule_warms_up_to_the_peak() {
        for kind in [ScheduleKind::Constant, ScheduleKind::Cosine, ScheduleKind::InverseSqrt] {
            assert_eq!(rates(kind, 4, &[1, 2, 4]), [0.5, 1.0, 2.0]);
        }
    }

    #[test]
    fn each_follows_its_curve() {
        assert_eq!(rates(ScheduleKind::Constant, 0, &[1, 100]), [2.0, 2.0]);
        assert_eq!(rates(ScheduleKind::InverseSqrt, 4, &[16, 100]), [1.0, 0.4]);
        let cosine = rates(ScheduleKind::Cosine, 20, &[60, 100, 120]);
        for (found, expected) in cosine.iter().zip([1.1, 0.2, 0.2]) {
            approx::assert_abs_diff_eq!(*found, expected, epsilon = 1e-12);
        }
    }
}
