//! How outputs for lines are printed.

use crate::cli::GenerateArguments;
use crate::commands::output::print_whole;
use crate::data::tokenizer::Tokenizer;
use crate::decode::Hypothesis;
use crate::tasks::outputs::line;
use crate::terminal::beside_bars;
use anyhow::Result;
use serde_json::{Value, json};

/// A source line and its outputs.
pub struct Line<'a> {
    /// The line.
    pub source: &'a str,
    /// The best first, or in order of draws.
    pub outputs: Vec<Hypothesis>,
}

/// Prints outputs as they come, or keeps them where all become one JSON object.
pub struct Printer<'a> {
    tokenizer: &'a Tokenizer,
    json: bool,
    scores: bool,
    /// Lines may have several outputs: each is printed behind the number of its line.
    numbered: bool,
    expected: usize,
    taken: usize,
    lines: Vec<Value>,
}

impl<'a> Printer<'a> {
    /// Prints as the arguments say; there will be `expected` lines, whose outputs `tokenizer` makes texts of.
    pub fn new(arguments: &GenerateArguments, tokenizer: &'a Tokenizer, expected: usize) -> Self {
        let several = arguments.outputs.n_best.or(arguments.samples).unwrap_or(1) > 1;
        let (json, scores) = (arguments.json, arguments.outputs.scores);
        Self { tokenizer, json, scores, numbered: several, expected, taken: 0, lines: Vec::new() }
    }

    /// Takes the next line; answers whether there still is a reader.
    ///
    /// # Errors
    /// What writing to stdout reports.
    pub fn take(&mut self, taken: Line<'_>) -> Result<bool> {
        self.taken += 1;
        if self.json {
            let outputs: Vec<Value> = taken.outputs.iter().map(|output| self.value(output)).collect();
            self.lines.push(json!({ "source": taken.source, "outputs": outputs }));
            return Ok(true);
        }
        let printed: Vec<String> = taken.outputs.iter().map(|output| self.printed(output)).collect();
        beside_bars(|| print_whole(&printed.join("\n")))
    }

    fn printed(&self, output: &Hypothesis) -> String {
        let number = if self.numbered { format!("{}\t", self.taken) } else { String::new() };
        let score = if self.scores { format!("{:.6}\t", output.score) } else { String::new() };
        format!("{number}{score}{}", line(&self.tokenizer.decode(&output.tokens)))
    }

    fn value(&self, output: &Hypothesis) -> Value {
        json!({
            "text": self.tokenizer.decode(&output.tokens),
            "score": output.score,
            "log_probability": output.log_probability,
            "tokens": output.tokens.len(),
            "ended": output.ended,
        })
    }

    /// Lines whose outputs were printed.
    pub fn printed_lines(&self) -> usize {
        if self.json { 0 } else { self.taken }
    }

    /// Lines that there are.
    pub fn expected(&self) -> usize {
        self.expected
    }

    /// What was kept for JSON.
    pub fn into_lines(self) -> Vec<Value> {
        self.lines
    }
}
