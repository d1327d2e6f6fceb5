//! Checkpoints of a training under way.

use super::{Ending, Trainer};
use crate::checkpoints::store::Pointer;
use crate::checkpoints::tensors;
use crate::runs::atomic;
use crate::train::ema;
use crate::train::meter::MeterState;
use anyhow::Result;
use serde_json::{Map, json};
use std::path::Path;

impl Trainer<'_> {
    /// Saves a checkpoint, unless a step was not finite, which then is the ending.
    pub(super) fn save(&mut self) -> Result<Option<Ending>> {
        if let Some(ending) = self.check()? {
            return Ok(Some(ending));
        }
        let step = self.state.step;
        self.state.meter = match self.meter.steps() {
            0 => MeterState::start(self.settings.train.objective()),
            _ => self.meter.state(&self.meter.read()?),
        };
        self.state.elapsed_s = self.elapsed();
        self.journal.sync()?;
        self.checkpoints.save(step, |folder| self.write_checkpoint(folder))?;
        if let Some(best) = &self.state.best {
            self.checkpoints.point(Pointer::Best, best.step)?;
        }
        let best = self.state.best.iter().map(|best| best.step);
        let initial = self.settings.train.save_initial.then_some(0);
        let train = self.settings.train;
        self.checkpoints.prune(train.keep.max(train.average), &best.chain(initial).collect::<Vec<_>>())?;
        if self.saved != Some(step) {
            self.journal.event("checkpoint", step, Map::new())?;
            self.saved = Some(step);
        }
        Ok(None)
    }

    fn write_checkpoint(&self, folder: &Path) -> Result<()> {
        let mut metadata = self.settings.metadata.clone();
        metadata["step"] = json!(self.state.step);
        tensors::write(&folder.join("model.safetensors"), &self.task.parameters().named(), &metadata)?;
        tensors::write(&folder.join("optimizer.safetensors"), &self.optimizer.state(), &metadata)?;
        if let Some(average) = self.ema {
            tensors::write(&folder.join(ema::FILE), &average.state(), &metadata)?;
        }
        atomic::write_json(&folder.join("state.json"), &self.state)
    }
}
