//! The learning rate over the updates.

use super::options::{OptimizerOptions, ScheduleKind, ScheduleOptions};
use std::f64::consts::PI;

/// What one-cycle's first rate is the peak's share of, and the last the first's: PyTorch's `div_factor` and
/// `final_div_factor`.
const ONE_CYCLE: [f64; 2] = [25.0, 1e4];

/// The learning rate of every update of a training.
#[derive(Debug, Clone)]
pub struct Schedule {
    options: ScheduleOptions,
    /// The largest rate.
    peak: f64,
    /// Updates of the training.
    steps: u64,
}

impl Schedule {
    /// That of a training of `steps` updates, of a model as wide as `d_model`.
    ///
    /// The peak is `optimizer.lr`, or, where `constant` is given, constant · d_model^−½ · warmup^−½, which
    /// tensor2tensor's `learning_rate_constant` stands for.
    pub fn new(optimizer: &OptimizerOptions, d_model: i64, steps: u64) -> Self {
        let options = optimizer.schedule.clone();
        let of_width = |constant: f64| constant / (d_model as f64 * warmup(&options)).sqrt();
        Self { peak: options.constant.map_or(optimizer.lr, of_width), options, steps }
    }

    /// The rate of update number `step`, counted from 1.
    ///
    /// Up to `warmup` it grows linearly from `warmup_start` of the peak; then it follows the schedule's curve. One-cycle is
    /// a curve of its own.
    pub fn rate(&self, step: u64) -> f64 {
        let Self { options, peak, .. } = self;
        let (start, last, warmup) = (options.warmup_start, options.final_fraction, warmup(options));
        match options.kind {
            ScheduleKind::OneCycle => self.one_cycle(step as f64 - 1.0),
            _ if step < options.warmup => peak * (start * warmup + (1.0 - start) * step as f64) / warmup,
            ScheduleKind::Constant => *peak,
            ScheduleKind::InverseSqrt => peak * (warmup / step.max(1) as f64).sqrt(),
            ScheduleKind::Cosine => peak * anneal(1.0, last, self.progress(step)),
            ScheduleKind::Linear => peak * (1.0 - (1.0 - last) * self.progress(step)),
        }
    }

    /// The share of the updates after the warm-up that are done.
    fn progress(&self, step: u64) -> f64 {
        let (now, warmup, steps) = (step as f64, self.options.warmup as f64, self.steps as f64);
        ((now - warmup) / (steps - warmup).max(1.0)).clamp(0.0, 1.0)
    }

    /// Up to the peak at the end of the warm-up and down to almost nothing (arXiv 1708.07120), each by half a cosine, as
    /// PyTorch's `OneCycleLR` does. `step` counts from 0.
    fn one_cycle(&self, step: f64) -> f64 {
        let (peak, end) = (self.peak, self.steps as f64 - 1.0);
        let (first, highest) = (peak / ONE_CYCLE[0], warmup(&self.options) - 1.0);
        if step <= highest {
            return anneal(first, peak, if highest > 0.0 { step / highest } else { 1.0 });
        }
        anneal(peak, first / ONE_CYCLE[1], ((step - highest) / (end - highest).max(1.0)).min(1.0))
    }
}

/// Updates of the warm-up, where it is divided by.
fn warmup(options: &ScheduleOptions) -> f64 {
    options.warmup.max(1) as f64
}

/// From `a` to `b` by half a cosine, `share` of which is done.
fn anneal(a: f64, b: f64, share: f64) -> f64 {
    b + (a - b) / 2.0 * (1.0 + (PI * share).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(options: ScheduleOptions) -> Schedule {
        Schedule::new(&OptimizerOptions { lr: 2.0, schedule: options, ..Default::default() }, 64, 100)
    }

    fn rates(kind: ScheduleKind, warmup: u64, at: &[u64]) -> Vec<f64> {
        let schedule = schedule(ScheduleOptions { kind, warmup, ..Default::default() });
        at.iter().map(|&step| schedule.rate(step)).collect()
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            approx::assert_relative_eq!(*found, *expected, max_relative = 1e-12);
        }
    }

    #[test]
    fn every_schedule_warms_up_to_the_peak() {
        use ScheduleKind::{Constant, Cosine, InverseSqrt, Linear};
        for kind in [Constant, Cosine, InverseSqrt, Linear] {
            assert_eq!(rates(kind, 4, &[1, 2, 4]), [0.5, 1.0, 2.0]);
            let options = ScheduleOptions { kind, warmup: 4, warmup_start: 0.5, ..Default::default() };
            let schedule = schedule(options);
            assert_eq!([1, 2, 3, 4].map(|step| schedule.rate(step)), [1.25, 1.5, 1.75, 2.0]);
        }
    }

    #[test]
    fn each_follows_its_curve() {
        assert_eq!(rates(ScheduleKind::Constant, 0, &[1, 100]), [2.0, 2.0]);
        assert_eq!(rates(ScheduleKind::InverseSqrt, 4, &[16, 100]), [1.0, 0.4]);
        assert_close(&rates(ScheduleKind::Cosine, 20, &[60, 100, 120]), &[1.1, 0.2, 0.2]);
        assert_close(&rates(ScheduleKind::Linear, 20, &[20, 40, 60, 100, 120]), &[2.0, 1.55, 1.1, 0.2, 0.2]);
        assert_close(&rates(ScheduleKind::Linear, 0, &[1, 50, 100]), &[1.982, 1.1, 0.2]);
    }

    #[test]
    fn a_constant_gives_the_peak_for_the_model_s_width() {
        let options =
            ScheduleOptions { kind: ScheduleKind::InverseSqrt, warmup: 16, constant: Some(8.0), ..Default::default() };
        let schedule = schedule(options);
        // 8 / √64 / √16, whatever optimizer.lr says.
        assert_eq!([4, 16, 64].map(|step| schedule.rate(step)), [0.0625, 0.25, 0.125]);
    }

    /// Numbers of this Python program, written from PyTorch's torch/optim/lr_scheduler.py:
    /// ```python
    /// from math import cos, pi
    /// # OneCycleLR(max_lr=2, total_steps=100, pct_start=20/100), two phases, anneal_strategy="cos"
    /// first, last, phases = 2 / 25, 2 / 25 / 1e4, []
    /// phases = [(20 / 100 * 100 - 1, first, 2), (100 - 1, 2, last)]
    /// def one_cycle(step_num):
    ///     start_step = 0
    ///     for i, (end_step, start, end) in enumerate(phases):
    ///         if step_num <= end_step or i == 1:
    ///             pct = (step_num - start_step) / (end_step - start_step)
    ///             return end + (start - end) / 2 * (1 + cos(pi * pct))
    ///         start_step = end_step
    /// print([one_cycle(t - 1) for t in (1, 5, 10, 20, 21, 40, 60, 99, 100)])
    /// # LinearLR(start_factor, end_factor, total_iters) at a base rate of 2, factor by factor as step() multiplies
    /// def linear(start, end, total, epoch):
    ///     rate = 2 * start
    ///     for e in range(1, min(epoch, total) + 1):
    ///         rate *= 1 + (end - start) / (total * start + (e - 1) * (end - start))
    ///     return rate
    /// print([linear(1, 0.1, 80, t - 20) for t in (21, 37, 73, 99, 100, 110)])  # after a warm-up of 20 of 100
    /// print([linear(0.3, 1, 20, t) for t in (1, 7, 13, 19)])  # that warm-up from 0.3 of the peak
    /// ```
    #[test]
    fn curves_are_those_of_pytorch() {
        #[rustfmt::skip]
        let one_cycle = [
            0.08000000000000007, 0.2824251109794622, 0.9607238283465609, 2.0, 1.999229039324578, 1.7071079527594226,
            1.000004, 0.0007789606754220619, 8e-06,
        ];
        assert_close(&rates(ScheduleKind::OneCycle, 20, &[1, 5, 10, 20, 21, 40, 60, 99, 100]), &one_cycle);
        let linear = [1.9775, 1.6175000000000002, 0.8075000000000008, 0.22250000000000025, 0.2, 0.2];
        assert_close(&rates(ScheduleKind::Linear, 20, &[21, 37, 73, 99, 100, 110]), &linear);
        let options =
            ScheduleOptions { kind: ScheduleKind::Linear, warmup: 20, warmup_start: 0.3, ..Default::default() };
        let schedule = schedule(options);
        assert_close(&[1, 7, 13, 19].map(|step| schedule.rate(step)), &[0.67, 1.09, 1.51, 1.93]);
    }

    #[test]
    fn a_cycle_without_a_rise_and_one_that_is_cut_off_have_rates() {
        assert_close(&rates(ScheduleKind::OneCycle, 1, &[1, 100, 1000]), &[2.0, 8e-6, 8e-6]);
        assert_close(&rates(ScheduleKind::OneCycle, 101, &[1, 51, 100]), &[0.08, 1.04, 1.9995262979511024]);
        assert_close(&rates(ScheduleKind::OneCycle, 100, &[100, 101]), &[2.0, 8e-6]);
    }
}
