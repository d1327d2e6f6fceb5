//! Train rows, and the check that every step was finite.

use super::{Ending, Trainer};
use crate::memory::peak_memory_mib;
use crate::runs::{Row, Split};
use crate::train::meter::{Meter, Reading};
use crate::train::objective;
use anyhow::Result;
use std::time::Instant;

/// The objective's column, empty where it is the plain loss.
fn objective_cell(mean: Option<f64>) -> Vec<(String, Option<f64>)> {
    mean.map(|mean| (objective::COLUMN.to_string(), Some(mean))).into_iter().collect()
}

impl Trainer<'_> {
    /// Writes the train row and starts the meter anew.
    pub(super) fn log(&mut self) -> Result<Option<Ending>> {
        if let Some(ending) = self.check()? {
            return Ok(Some(ending));
        }
        let reading = self.meter.read()?;
        let loss = reading.nats / reading.tokens.targets as f64;
        let rate = reading.tokens.all() as f64 / reading.seconds.max(1e-9);
        let step = self.state.step;
        self.journal.row(&Row {
            loss: Some(loss),
            perplexity: Some(loss.exp()),
            lr: Some(self.rate(step)),
            grad_norm: Some(reading.grad_norm),
            tokens_per_second: Some(rate),
            step_ms: Some(1e3 * reading.seconds / reading.steps as f64),
            peak_memory_mib: peak_memory_mib(self.task.parameters().device()),
            elapsed_s: Some(self.elapsed()),
            extra: objective_cell(reading.objective.map(|sum| sum / reading.tokens.targets as f64)),
            ..Row::new(step, self.epoch(step), self.state.tokens, Split::Train)
        })?;
        self.bar.say(&format!("loss {loss:.4} {} tokens/s", rate.round()));
        self.state.train_s += reading.seconds;
        self.state.timed_tokens += reading.tokens.all();
        self.meter.reset();
        Ok(None)
    }

    /// Waits for the device; where a step was not finite, goes back to the state before it, logs and saves.
    pub(super) fn check(&mut self) -> Result<Option<Ending>> {
        let reading = self.wait()?;
        if reading.skipped == 0 {
            return Ok(None);
        }
        let broken = self.state.step - reading.skipped + 1;
        let skipped_tokens: u64 = self.meter.tokens().all() - reading.tokens.all();
        self.journal.cut_batches_after(broken)?;
        self.journal.row(&Row {
            loss: Some(reading.newest_loss),
            perplexity: Some(reading.newest_loss.exp()),
            lr: Some(self.rate(broken)),
            grad_norm: Some(reading.grad_norm),
            elapsed_s: Some(self.elapsed()),
            extra: objective_cell(reading.newest_objective),
            ..Row::new(broken, self.epoch(broken), self.state.tokens - skipped_tokens, Split::Train)
        })?;
        self.state.step = broken - 1;
        self.state.tokens -= skipped_tokens;
        self.meter = Meter::new(self.task.parameters().device(), self.meter.state(&reading));
        self.save()?;
        let mut what = format!("loss {}, gradient norm {}", reading.newest_loss, reading.grad_norm);
        what.extend(reading.newest_objective.map(|objective| format!(", objective {objective}")));
        Ok(Some(Ending::Diverged(format!("step {broken} is not finite ({what})"))))
    }

    /// Waits for the device: steps that it still had to do count as training.
    fn wait(&mut self) -> Result<Reading> {
        let begun = Instant::now();
        self.meter.read()?;
        self.meter.add_seconds(begun.elapsed().as_secs_f64());
        self.meter.read()
    }
}
