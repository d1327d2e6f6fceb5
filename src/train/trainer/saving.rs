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
        self.state.meter =
            if self.meter.steps() > 0 { self.meter.state(&self.meter.read()?) } else { MeterState::default() };
        self.state.elapsed_s = self.elapsed();
        self.metrics.sync()?;
        self.checkpoints.save(step, |folder| self.write_checkpoint(folder))?;
        if let Some(best) = &self.state.best {
            self.checkpoints.point(Pointer::Best, best.step)?;
        }
        let protected: Vec<u64> = self.state.best.iter().map(|best| best.step).collect();
        self.checkpoints.prune(self.settings.train.keep, &protected)?;
        if self.saved != Some(step) {
            self.metrics.event("checkpoint", step, Map::new())?;
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
