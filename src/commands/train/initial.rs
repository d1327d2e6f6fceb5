//! `train.init_from`: a new run begins with another's weights.

use super::plan::Plan;
use crate::checkpoints::{Checkpoints, Choice, Chosen, mean};
use crate::data::hash::hex;
use crate::parameters::Parameters;
use crate::refuse;
use crate::runs::{Environment, InitFrom, RunFolder, regular};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::path::Path;

const KEY: &str = "train.init_from";

/// A checkpoint of another run.
pub struct Initial {
    folder: RunFolder,
    checkpoints: Checkpoints,
    chosen: Chosen,
}

impl Initial {
    /// Finds what `text`, `RUN_DIR[:checkpoint]`, names.
    ///
    /// # Errors
    /// Refusals of a folder that is no run, and of a checkpoint that is not there.
    pub fn find(text: &str) -> Result<Self> {
        let (folder, choice) = split(text);
        let folder = match RunFolder::open(Path::new(folder)) {
            Ok(folder) => folder,
            Err(error) => {
                refuse!("{KEY}: {error:#}; after a colon may follow best, last or a name such as step-100 or average:3")
            }
        };
        let checkpoints = Checkpoints::new(folder.checkpoints());
        let asked = format!("{KEY} = {text:?}");
        match checkpoints.choose(choice, &asked)? {
            Some(chosen) => Ok(Self { folder, checkpoints, chosen }),
            None => refuse!("{asked}: there is no such checkpoint in {} yet", checkpoints.folder().display()),
        }
    }

    /// Fills those of `parameters` that fit by name and shape, and says of the others that they do not. `tokenizer_sha256`
    /// is that of the new run's tokenizer.
    ///
    /// # Errors
    /// Files that are damaged; a refusal of weights none of which fits.
    pub fn load(&self, parameters: &Parameters, tokenizer_sha256: &str) -> Result<InitFrom> {
        let files = self.chosen.files(&self.checkpoints, "model.safetensors")?;
        let taken = mean::read_matching(&files, &parameters.named()).with_context(|| format!("cannot use {KEY}"))?;
        let mut hash = Sha256::new();
        for file in &files {
            hash.update(regular::read(file).with_context(|| format!("cannot read {}", file.display()))?);
        }
        let path = self.folder.path().display().to_string();
        let init_from = InitFrom { path, checkpoint: self.chosen.name(), sha256: hex(&hash.finalize()), taken };
        self.report(&init_from, tokenizer_sha256);
        if init_from.taken.loaded.is_empty() {
            refuse!(
                "{KEY}: no tensor of {} of {} fits this model by name and shape",
                init_from.checkpoint,
                init_from.path
            );
        }
        Ok(init_from)
    }

    fn report(&self, init_from: &InitFrom, tokenizer_sha256: &str) {
        let InitFrom { path, checkpoint, taken, .. } = init_from;
        let all = taken.loaded.len() + taken.missing.len() + taken.shapes.len();
        tracing::info!("beginning with {} of {all} tensors from {checkpoint} of {path}", taken.loaded.len());
        let shapes =
            taken.shapes.iter().map(|(name, shape)| format!("{name} {:?}, here {:?}", shape.found, shape.expected));
        for (what, names) in [
            ("it lacks, which start as ever", taken.missing.clone()),
            ("it has and the model lacks", taken.left_over.clone()),
            ("have other shapes, and start as ever", shapes.collect()),
        ] {
            if !names.is_empty() {
                tracing::warn!("{KEY}: {} tensors {what}: {}", names.len(), names.join(", "));
            }
        }
        let known = Environment::read(&self.folder.environment()).ok().and_then(|known| known.tokenizer_sha256);
        if known.is_some_and(|known| known != tokenizer_sha256) {
            tracing::warn!("{KEY}: that run has another tokenizer: rows of the embedding stand for other tokens");
        }
    }
}

/// The weights that a run begins with, filled into `parameters`, or those that the run which goes on began with: its
/// checkpoint has them all.
///
/// # Errors
/// Those of [`Initial`].
pub fn apply(plan: &Plan, parameters: &Parameters, tokenizer_sha256: &str) -> Result<Option<InitFrom>> {
    if plan.has_checkpoint()? {
        return Ok(Environment::read(&plan.folder().join("environment.json"))?.init_from);
    }
    let text = plan.experiment.train.init_from.as_deref();
    text.map(|text| Initial::find(text)?.load(parameters, tokenizer_sha256)).transpose()
}

/// The folder, and the checkpoint behind the first colon that one follows.
fn split(text: &str) -> (&str, Option<Choice>) {
    let named = text.match_indices(':').find_map(|(at, _)| Some((&text[..at], Some(text[at + 1..].parse().ok()?))));
    named.unwrap_or((text, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_stands_behind_a_colon() {
        for (text, folder, choice) in [
            ("runs/a", "runs/a", None),
            ("runs/a:best", "runs/a", Some(Choice::Best)),
            ("runs/a:average:3", "runs/a", Some(Choice::Average(3))),
            ("C:x/a:step-7", "C:x/a", Some(Choice::Step(7))),
            ("runs/a:b", "runs/a:b", None),
        ] {
            assert_eq!(split(text), (folder, choice), "{text}");
        }
    }
}
