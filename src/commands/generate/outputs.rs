//! Outputs for source lines by a model of translation, summarization or dialogue.

use super::printer::{Line, Printer};
use super::sources::{SourceReader, SourceTokens};
use crate::cli::GenerateArguments;
use crate::commands::output::print_json;
use crate::commands::trained::Trained;
use crate::commands::{prompts, setup};
use crate::decode::{DecodeOptions, How, Hypothesis, OutputGenerator, Sampling};
use crate::exit::Interrupted;
use crate::refuse;
use crate::tasks::pair_corpus;
use crate::terminal::LateBar;
use crate::train::signals::{self, Signals};
use anyhow::Result;
use serde_json::{Value, json};

/// Lines that are ordered by length, written, and then printed together.
const CHUNK: usize = 1024;

/// Writes outputs for lines with a trained model.
///
/// # Errors
/// Refusals of options that do not fit one another; what the lines, the run or the model report.
pub fn run(arguments: &GenerateArguments, trained: &Trained) -> Result<()> {
    let options = decode_options(arguments, &trained.experiment.decode);
    let seed = arguments.seed.unwrap_or(trained.experiment.seed);
    let how = how(arguments, &options, seed)?;
    let stored = trained.tokenizer()?;
    let (source, target) = (stored.tokenizers.source(), stored.tokenizers.target());
    let end = pair_corpus::ids(&stored.tokenizers)?.source_end;
    // Before signals are listened to: Ctrl-C ends the wait for a person's next line.
    let lines = prompts::read_sources(&arguments.prompts, arguments.whole_input, source)?;
    let signals = Signals::listen()?;
    let (parameters, model) = setup::encoder_decoder(&trained.experiment, &stored, trained.device)?;
    trained.load_weights(&parameters)?;
    let compute = trained.experiment.train.precision.compute();
    let generator = OutputGenerator::new(&model, target, &options, compute)?;
    let reader = SourceReader { tokenizer: source, end, experiment: &trained.experiment };
    let writer = Writer { generator, how, signals: &signals };
    let mut printer = Printer::new(arguments, target, lines.len());
    if writer.write(&lines, &reader, &mut printer)? && arguments.json {
        print_json(&record(trained, &options, &writer, printer.into_lines()))?;
    }
    Ok(())
}

/// `[decode]` with what the arguments change.
fn decode_options(arguments: &GenerateArguments, own: &DecodeOptions) -> DecodeOptions {
    let more = &arguments.outputs;
    let count = |given: Option<u32>, own: u64| given.map_or(own, u64::from);
    DecodeOptions {
        beam: if arguments.greedy { 1 } else { count(more.beam, own.beam) },
        length_penalty: more.length_penalty.unwrap_or(own.length_penalty),
        length_formula: own.length_formula,
        max_length: arguments.max_tokens.map(u64::from).or(own.max_length),
        min_length: count(more.min_tokens, own.min_length),
        no_repeat_ngram: count(more.no_repeat_ngram, own.no_repeat_ngram),
    }
}

fn how(arguments: &GenerateArguments, options: &DecodeOptions, seed: u64) -> Result<How> {
    let more = &arguments.outputs;
    let wanted = u64::from(more.n_best.unwrap_or(1));
    if let Some(most) = options.max_length.filter(|most| options.min_length > *most) {
        refuse!("--min-tokens, --max-tokens: an output of at least {} tokens has more than {most}", options.min_length);
    }
    let Some(draws) = arguments.first_of_draws() else {
        if arguments.seed.is_some() {
            refuse!("--seed: beam search draws nothing; leave it out, or ask for draws, as with --temperature 1");
        }
        if arguments.greedy && wanted > 1 {
            refuse!("--n-best {wanted}: --greedy makes one output; give --beam {wanted} in its place");
        }
        if wanted > options.beam {
            refuse!("--n-best {wanted}: beam search keeps {} hypotheses; give --beam {wanted}, too", options.beam);
        }
        return Ok(How::Search { wanted: wanted as usize });
    };
    let of_search = [
        ("--beam", more.beam.is_some()),
        ("--n-best", more.n_best.is_some()),
        ("--length-penalty", more.length_penalty.is_some()),
        ("--greedy", arguments.greedy),
    ];
    if let Some((option, _)) = of_search.iter().find(|(_, given)| *given) {
        refuse!("{option}: it is about beam search, and {draws} asks for draws; leave one of the two out");
    }
    let sampling = Sampling {
        temperature: arguments.temperature.unwrap_or(1.0),
        top_k: arguments.top_k.map(|k| k as usize),
        top_p: arguments.top_p,
    };
    let samples = 0..u64::from(arguments.samples.unwrap_or(1));
    Ok(How::Draws { sampling, seed, first: 0, samples })
}

/// A model at work.
struct Writer<'a> {
    generator: OutputGenerator<'a>,
    how: How,
    signals: &'a Signals,
}

impl Writer<'_> {
    /// Writes outputs for all lines, in their order; answers whether there was a reader to the end.
    fn write(&self, lines: &[String], reader: &SourceReader<'_>, printer: &mut Printer<'_>) -> Result<bool> {
        let mut progress = LateBar::new("lines", lines.len() as u64);
        let mut counts = Counts::default();
        for (chunk, first) in lines.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
            let sources: Vec<SourceTokens> = chunk.iter().map(|line| reader.read(line)).collect();
            let Some(outputs) = self.outputs(&sources, first, &mut progress)? else {
                return Err(self.interrupted(printer));
            };
            for ((line, source), outputs) in chunk.iter().zip(&sources).zip(outputs) {
                counts.add(source, &outputs);
                if !printer.take(Line { source: line, outputs })? {
                    return Ok(false);
                }
            }
        }
        counts.tell(reader.longest());
        Ok(true)
    }

    /// The outputs for some sources, of which the first has this number; `None` once a signal came.
    fn outputs(
        &self,
        sources: &[SourceTokens],
        first: usize,
        progress: &mut LateBar,
    ) -> Result<Option<Vec<Vec<Hypothesis>>>> {
        let ids: Vec<&[i64]> = sources.iter().map(|source| source.ids.as_slice()).collect();
        let how = match self.how.clone() {
            How::Draws { sampling, seed, samples, .. } => How::Draws { sampling, seed, samples, first: first as u64 },
            search => search,
        };
        let watch = &mut |done| {
            progress.set(first as u64 + done);
            self.signals.stop().is_none()
        };
        self.generator.outputs(&ids, &how, watch)
    }

    fn interrupted(&self, printer: &Printer<'_>) -> anyhow::Error {
        let signal = self.signals.stop().unwrap_or_default();
        let (printed, all) = (printer.printed_lines(), printer.expected());
        let message = format!("stopped by {}: printed the outputs for {printed} of {all} lines", signals::name(signal));
        Interrupted { signal, message }.into()
    }
}

/// What is said at the end.
#[derive(Default)]
struct Counts {
    empty: usize,
    cut: usize,
    unended: usize,
}

impl Counts {
    fn add(&mut self, source: &SourceTokens, outputs: &[Hypothesis]) {
        self.empty += usize::from(source.ids.len() == 1);
        self.cut += usize::from(source.cut);
        self.unended += outputs.iter().filter(|output| !output.ended).count();
    }

    fn tell(&self, longest: usize) {
        if self.empty > 0 {
            tracing::warn!("empty lines, whose outputs are empty, too: {}", self.empty);
        }
        if self.cut > 0 {
            tracing::warn!("lines of more than the {longest} tokens that are read, which were cut: {}", self.cut);
        }
        if self.unended > 0 {
            tracing::warn!(
                "outputs that reached their greatest length without an end (--max-tokens): {}",
                self.unended
            );
        }
    }
}

/// What `--json` prints.
fn record(trained: &Trained, options: &DecodeOptions, writer: &Writer<'_>, lines: Vec<Value>) -> Value {
    let mut record = json!({
        "run": trained.folder.path().display().to_string(),
        "checkpoint": trained.chosen.name(),
        "step": trained.chosen.step(),
        "weights": trained.weights.name(),
    });
    match &writer.how {
        How::Search { .. } => record["decode"] = serde_json::to_value(options).unwrap_or_default(),
        How::Draws { sampling, seed, samples, .. } => {
            record["draws"] = json!({
                "seed": seed,
                "temperature": sampling.temperature,
                "top_k": sampling.top_k,
                "top_p": sampling.top_p,
                "samples": samples.end,
                "max_length": options.max_length,
                "min_length": options.min_length,
                "no_repeat_ngram": options.no_repeat_ngram,
            });
        }
    }
    record["lines"] = lines.into();
    record
}
