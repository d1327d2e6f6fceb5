//! Evaluations on the validation split, and the best of them.

use super::Trainer;
use crate::runs::{Best, Row, Sample, Split};
use crate::tasks::samples::SampleRequest;
use crate::tasks::{Evaluation, Request};
use crate::terminal::Bar;
use crate::train::options::BestMode;
use anyhow::Result;

impl Trainer<'_> {
    /// Measures the validation split, with the weights' average where there is one; answers whether it is the best so far.
    pub(super) fn evaluate(&mut self) -> Result<bool> {
        let bar = std::cell::OnceCell::new();
        let signals = self.signals;
        let request = Request {
            compute: self.settings.train.precision.compute(),
            max_batches: self.settings.train.eval_batches,
            predictions: false,
            generate: self.settings.train.eval_generate,
            watch: &mut |done, total| {
                bar.get_or_init(|| Bar::new("validation", total, 0)).set(done);
                signals.stop().is_none()
            },
        };
        // Given up for a signal: a resumed run measures at this step first.
        let measure = || {
            let evaluation = self.task.evaluate(Split::Validation, request)?;
            let samples = if evaluation.is_some() { self.samples() } else { None };
            anyhow::Ok(evaluation.zip(samples))
        };
        let measured = match self.ema {
            Some(ema) => ema.instead(measure)?,
            None => measure(),
        };
        let Some((evaluation, samples)) = measured? else { return Ok(false) };
        let step = self.state.step;
        let extra = self.task.metric_names().into_iter();
        self.journal.row(&Row {
            loss: Some(evaluation.loss),
            perplexity: Some(evaluation.perplexity),
            elapsed_s: Some(self.elapsed()),
            extra: extra.map(|name| (name.to_string(), evaluation.figure(name))).collect(),
            ..Row::new(step, self.epoch(step), self.state.tokens, Split::Validation)
        })?;
        self.tell(&evaluation);
        self.show(&samples)?;
        self.state.evaluated = Some(step);
        Ok(self.compare(&evaluation))
    }

    /// How the model goes on with beginnings of validation rows; `None` where a signal came. No training ends because there
    /// is nothing to show, as where logits are not finite.
    fn samples(&self) -> Option<Vec<Sample>> {
        let (train, signals) = (self.settings.train, self.signals);
        if train.samples == 0 {
            return Some(Vec::new());
        }
        let request = SampleRequest {
            compute: train.precision.compute(),
            count: train.samples,
            tokens: train.sample_tokens,
            graphs: train.cuda_graph,
            watch: &mut || signals.stop().is_none(),
        };
        self.task.samples(request).unwrap_or_else(|error| {
            tracing::warn!("step {}: no samples: {error:#}", self.state.step);
            Some(Vec::new())
        })
    }

    /// Says what was measured.
    fn tell(&self, evaluation: &Evaluation) {
        let figures = evaluation.signatures.keys().filter_map(|name| Some((name, evaluation.figure(name)?)));
        let figures: String = figures.map(|(name, value)| format!(", {name} {value:.2}")).collect();
        let Evaluation { loss, perplexity, .. } = evaluation;
        let step = self.state.step;
        tracing::info!("step {step}: validation loss {loss:.4}, perplexity {perplexity:.3}{figures}");
        if let Some(generation) = evaluation.generation.as_ref().filter(|generation| generation.unended > 0) {
            tracing::info!("step {step}: outputs: {}", generation.told());
        }
    }

    fn show(&mut self, samples: &[Sample]) -> Result<()> {
        let step = self.state.step;
        for (number, sample) in samples.iter().enumerate() {
            match &sample.reference {
                None => tracing::info!("step {step}: {:?} goes on {:?}", sample.prompt, sample.continuation),
                Some(reference) => tracing::info!(
                    "step {step}: {:?} becomes {:?}; the reference is {reference:?}",
                    sample.prompt,
                    sample.continuation
                ),
            }
            self.journal.sample(step, number, sample)?;
        }
        Ok(())
    }

    fn compare(&mut self, evaluation: &Evaluation) -> bool {
        let wanted = &self.settings.train.best;
        let Some(value) = evaluation.figure(&wanted.metric).filter(|value| value.is_finite()) else { return false };
        let better = self.state.best.as_ref().is_none_or(|best| match wanted.mode {
            BestMode::Min => value < best.value,
            BestMode::Max => value > best.value,
        });
        if better {
            self.state.best = Some(Best { step: self.state.step, metric: wanted.metric.clone(), value });
            self.state.evaluations_without_better = 0;
        } else {
            self.state.evaluations_without_better += 1;
        }
        better
    }
}
