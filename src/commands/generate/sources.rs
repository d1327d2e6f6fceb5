//! Source lines as a model reads them.

use crate::commands::setup::keep;
use crate::data::tokenizer::Tokenizer;
use crate::experiment::Experiment;
use crate::tasks::options::TaskKind;

/// A source as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTokens {
    /// Its tokens and its end.
    pub ids: Vec<i64>,
    /// Whether some were left out.
    pub cut: bool,
}

/// How lines become tokens.
pub struct SourceReader<'a> {
    /// What cuts sources.
    pub tokenizer: &'a Tokenizer,
    /// The token that ends a source.
    pub end: u32,
    /// What was trained.
    pub experiment: &'a Experiment,
}

impl SourceReader<'_> {
    /// The tokens of a line, cut as training cuts them.
    pub fn read(&self, line: &str) -> SourceTokens {
        let mut ids: Vec<i64> = self.tokenizer.encode(&self.text(line)).into_iter().map(i64::from).collect();
        let kept = keep(self.experiment.task.kind).of(ids.len() as u64, self.longest() as u64 - 1);
        let cut = kept.end - kept.start < ids.len() as u64;
        ids = ids[kept.start as usize..kept.end as usize].to_vec();
        ids.push(i64::from(self.end));
        SourceTokens { ids, cut }
    }

    /// Tokens of a source at most, its end included.
    pub fn longest(&self) -> usize {
        let most = self.experiment.model.max_length as usize;
        self.experiment.data.max_source_length.map_or(most, |own| own.min(most))
    }

    /// A line has a tab between the turns of a dialogue, where the model has learned from a dataset; where no persona stands before them, the newest are kept as in training.
    fn text(&self, line: &str) -> String {
        let data = &self.experiment.data;
        // A line of a file is a source as it is, in training, too.
        if self.experiment.task.kind != TaskKind::Dialogue || data.dataset.is_none() {
            return line.to_string();
        }
        let turns: Vec<&str> = line.split('\t').collect();
        let kept = if data.persona || data.history_turns == 0 { turns.len() } else { data.history_turns };
        turns[turns.len().saturating_sub(kept)..].join("\n")
    }
}
