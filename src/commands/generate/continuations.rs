//! Continuations of prompts by a language model.

use crate::cli::GenerateArguments;
use crate::commands::output::{print_json, print_whole};
use crate::commands::trained::Trained;
use crate::commands::{prompts, setup};
use crate::data::options::RowKind;
use crate::data::tokenizer::{Special, Tokenizer};
use crate::decode::{Generator, Request, Sampling};
use crate::exit::Interrupted;
use crate::refuse;
use crate::terminal::{LateBar, beside_bars};
use crate::train::signals::{self, Signals};
use anyhow::Result;
use serde_json::{Value, json};

/// Samples that go through the model together: more of them gain little and take memory each.
const ROWS: u64 = 32;

/// Tokens of a continuation where no other number is given.
const MAX_TOKENS: u32 = 200;

/// Continues prompts with a trained language model.
///
/// # Errors
/// Refusals of options for sources; what the prompts, the run or the model report.
pub fn run(arguments: &GenerateArguments, trained: &Trained) -> Result<()> {
    if let Some(option) = arguments.first_of_outputs() {
        refuse!("{option}: the run is a language model, which continues prompts by draws; leave it out");
    }
    let tokenizer = trained.tokenizer()?.tokenizer()?.clone();
    // Before signals are listened to: Ctrl-C ends the wait for a person's next line.
    let prompts = prompts::read(&arguments.prompts, arguments.whole_input, &tokenizer)?;
    let signals = Signals::listen()?;
    let (parameters, decoder) = setup::language_model(&trained.experiment, &tokenizer, trained.device);
    trained.load_weights(&parameters)?;
    let generator = Generator {
        decoder: &decoder,
        device: trained.device,
        compute: trained.experiment.train.precision.compute(),
        sampling: sampling(arguments),
        excluded: tokenizer.unknown(),
        seed: arguments.seed.unwrap_or(trained.experiment.seed),
        graphs: true,
    };
    let expected = prompts.len() as u64 * samples(arguments);
    // A model of records knows where one begins and ends.
    let records = trained.experiment.data.rows == RowKind::Records;
    let end = tokenizer.special(Special::End).filter(|_| records);
    let mut printer = Printer::new(arguments.json, expected);
    let finished = generate(arguments, &generator, (&tokenizer, end), (&prompts, &signals), &mut printer)?;
    if finished && arguments.json {
        print_json(&record(arguments, trained, &generator, printer.generations))?;
    }
    Ok(())
}

fn samples(arguments: &GenerateArguments) -> u64 {
    u64::from(arguments.samples.unwrap_or(1))
}

fn max_tokens(arguments: &GenerateArguments) -> u32 {
    arguments.max_tokens.unwrap_or(MAX_TOKENS)
}

fn sampling(arguments: &GenerateArguments) -> Sampling {
    Sampling {
        temperature: if arguments.greedy { 0.0 } else { arguments.temperature.unwrap_or(1.0) },
        top_k: arguments.top_k.map(|k| k as usize),
        top_p: arguments.top_p,
    }
}

/// Continues every prompt; answers whether there was a reader to the end.
fn generate(
    arguments: &GenerateArguments,
    generator: &Generator<'_>,
    (tokenizer, end): (&Tokenizer, Option<u32>),
    (prompts, signals): (&[String], &Signals),
    printer: &mut Printer,
) -> Result<bool> {
    let (max_tokens, count) = (u64::from(max_tokens(arguments)), samples(arguments));
    let mut session = generator.session();
    let mut progress = LateBar::new("tokens", printer.expected.saturating_mul(max_tokens));
    for (number, prompt) in (0..).zip(prompts) {
        let ids: Vec<u32> = end.into_iter().chain(tokenizer.encode(prompt)).collect();
        for first in (0..count).step_by(ROWS as usize) {
            let samples = first..count.min(first + ROWS);
            let rows = samples.end - first;
            let done = (number * count + first).saturating_mul(max_tokens);
            let watch = &mut |tokens| {
                progress.set(done + tokens * rows);
                signals.stop().is_none()
            };
            let request = Request { prompt: &ids, number, samples, max_tokens, watch };
            let Some(continuations) = session.generate(request)? else {
                return Err(interrupted(signals, printer));
            };
            for mut continuation in continuations {
                continuation.truncate(continuation.iter().position(|id| Some(*id) == end).unwrap_or(usize::MAX));
                if !printer.take(prompt, &tokenizer.decode(&continuation), continuation.len())? {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

fn interrupted(signals: &Signals, printer: &Printer) -> anyhow::Error {
    let signal = signals.stop().unwrap_or_default();
    let printed = if printer.json { 0 } else { printer.taken };
    let message = format!("stopped by {}: printed {printed} of {}", signals::name(signal), printer.expected);
    Interrupted { signal, message }.into()
}

/// Prints generations as they come, or keeps them where all become one JSON object.
struct Printer {
    json: bool,
    expected: u64,
    taken: u64,
    generations: Vec<Value>,
}

impl Printer {
    fn new(json: bool, expected: u64) -> Self {
        Self { json, expected, taken: 0, generations: Vec::new() }
    }

    /// Takes the next one; answers whether there still is a reader.
    fn take(&mut self, prompt: &str, continuation: &str, tokens: usize) -> Result<bool> {
        let first = self.taken == 0;
        self.taken += 1;
        if self.json {
            self.generations.push(json!({ "prompt": prompt, "continuation": continuation, "tokens": tokens }));
            return Ok(true);
        }
        let separator = if first { "" } else { "---\n" };
        beside_bars(|| print_whole(&format!("{separator}{prompt}{continuation}")))
    }
}

/// What `--json` prints.
fn record(
    arguments: &GenerateArguments,
    trained: &Trained,
    generator: &Generator<'_>,
    generations: Vec<Value>,
) -> Value {
    json!({
        "run": trained.folder.path().display().to_string(),
        "checkpoint": trained.chosen.name(),
        "step": trained.chosen.step(),
        "weights": trained.weights.name(),
        "seed": generator.seed,
        "temperature": generator.sampling.temperature,
        "top_k": arguments.top_k,
        "top_p": arguments.top_p,
        "max_tokens": max_tokens(arguments),
        "generations": generations,
    })
}
