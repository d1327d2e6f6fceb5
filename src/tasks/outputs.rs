//! The outputs for a split's sources: what was written, and how it compares with the references.

use super::options::TaskOptions;
use super::{Evaluation, Generation};
use crate::data::pairs::PairEvaluation;
use crate::data::tokenizer::Tokenizer;
use crate::decode::Hypothesis;
use crate::metrics::generation::scores;
use anyhow::Result;

/// The outputs for rows.
pub struct Outputs {
    written: Vec<(usize, Hypothesis)>,
}

impl Outputs {
    /// The outputs for rows of these numbers, one for each.
    pub fn new(rows: Vec<usize>, outputs: impl Iterator<Item = Hypothesis>) -> Self {
        Self { written: rows.into_iter().zip(outputs).collect() }
    }

    /// The rows' numbers and outputs.
    pub fn into_rows(self) -> impl Iterator<Item = (usize, Hypothesis)> {
        self.written.into_iter()
    }

    /// Enters into `evaluation` what the outputs are and the task's metrics of them.
    ///
    /// # Errors
    /// What a metric cannot measure.
    pub fn measure(
        self,
        task: &TaskOptions,
        tokenizer: &Tokenizer,
        held_out: &PairEvaluation,
        evaluation: &mut Evaluation,
    ) -> Result<()> {
        let texts: Vec<String> = self.written.iter().map(|(_, output)| tokenizer.decode(&output.tokens)).collect();
        let references: Vec<Vec<String>> =
            self.written.iter().map(|(row, _)| held_out.references(*row).to_vec()).collect();
        if let Some(metrics) = task.generation_metrics() {
            for score in scores(metrics, &texts, &references)? {
                evaluation.metrics.insert(score.name.to_string(), score.value);
                evaluation.signatures.insert(score.name.to_string(), score.signature);
            }
        }
        evaluation.generation = Some(self.generation(held_out));
        evaluation.predictions = Some(texts.iter().map(|text| line(text) + "\n").collect());
        Ok(())
    }

    fn generation(&self, held_out: &PairEvaluation) -> Generation {
        let count = |chosen: &dyn Fn(usize, &Hypothesis) -> bool| {
            self.written.iter().filter(|(row, output)| chosen(*row, output)).count() as u64
        };
        let mean = |of: &dyn Fn(&Hypothesis) -> f64| {
            self.written.iter().map(|(_, output)| of(output)).sum::<f64>() / self.written.len().max(1) as f64
        };
        Generation {
            outputs: self.written.len() as u64,
            // A source of nothing but its end.
            empty_sources: count(&|row, _| held_out.rows().columns(row).0 == 1),
            cut_sources: held_out.rows().lengths().cut_sources,
            unended: count(&|_, output| !output.ended),
            mean_tokens: mean(&|output| output.tokens.len() as f64),
            mean_score: mean(&|output| output.score),
        }
    }
}

/// A text as one line.
pub fn line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_line_breaks() {
        assert_eq!(line("a\nb\r\nc "), "a b  c ");
    }
}
