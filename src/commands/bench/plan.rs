//! From the arguments of `synth bench` to its cells, each checked as an experiment is.

use crate::attention::Kind;
use crate::bench::timing::Timing;
use crate::bench::{Cell, Measured};
use crate::cli::{BenchArguments, KindChoice, ModelChoice, WhatChoice};
use crate::commands::attention_paths::MIXTURES;
use crate::experiment::Experiment;
use crate::experiment::keys::overlap;
use crate::experiment::load::Layers;
use crate::experiment::overrides::Override;
use crate::experiment::provenance::{Origin, one_line};
use crate::train::options::Precision;
use anyhow::Result;
use tch::Device;
use toml::Value;

/// Keys that an argument of its own gives.
const GIVEN: [(&str, &str); 16] = [
    ("model.architecture", "no argument: a decoder is timed"),
    ("model.d_model", "--models"),
    ("model.layers", "--models"),
    ("model.heads", "--models"),
    ("model.d_ff", "--models"),
    ("model.max_length", "--lengths"),
    ("model.dropout", "--dropout"),
    ("attention.kind", "--kinds"),
    ("attention.decoder", "--kinds"),
    ("attention.layers", "--kinds"),
    ("attention.dropout", "--attention-dropout"),
    ("attention.factorized-random.rank", "--rank"),
    ("train.batch_size", "--batches"),
    ("train.batch_tokens", "--batches"),
    ("train.precision", "--precision"),
    ("train.deterministic", "--deterministic"),
];
/// The tables that bear on a step.
const TABLES: [&str; 4] = ["model", "attention", "optimizer", "train"];
/// Longer generations are not asked for.
const NEW_TOKENS: i64 = 256;

/// What is measured where nothing else is asked for.
struct Defaults {
    lengths: &'static [i64],
    batches: &'static [i64],
    model: ModelChoice,
    vocabulary: i64,
    precision: Precision,
}

/// Those of the peers on a GPU; on the CPU what ends within a minute.
fn defaults(device: Device, what: WhatChoice) -> Defaults {
    let (lengths, batches): (&[i64], &[i64]) = match (device, what) {
        (Device::Cuda(_), WhatChoice::Train) => (&[256], &[256]),
        (Device::Cuda(_), WhatChoice::Decode) => (&[1024], &[1, 64]),
        (_, WhatChoice::Train) => (&[128], &[8]),
        (_, WhatChoice::Decode) => (&[128], &[1, 8]),
    };
    match device {
        Device::Cuda(_) => {
            let model = ModelChoice { d_model: 512, layers: 6, heads: 8, d_ff: 2048 };
            Defaults { lengths, batches, model, vocabulary: 32000, precision: Precision::Bf16 }
        }
        _ => {
            let model = ModelChoice { d_model: 128, layers: 2, heads: 4, d_ff: 512 };
            Defaults { lengths, batches, model, vocabulary: 1000, precision: Precision::Fp32 }
        }
    }
}

/// Every combination; the kinds of one shape stand together.
///
/// # Errors
/// Refusals: a size or a setting that makes no model.
pub fn cells(arguments: &BenchArguments, device: Device) -> Result<Vec<Cell>> {
    let sets: Vec<Override> = arguments.set.iter().map(|text| Override::parse(text)).collect::<Result<_>>()?;
    sets.iter().try_for_each(check_key)?;
    let kinds = kinds(&arguments.kinds);
    let mut cells = Vec::new();
    for what in distinct(&arguments.what) {
        let defaults = defaults(device, what);
        let or = |given: &[i64], default: &[i64]| distinct(if given.is_empty() { default } else { given });
        let given = if arguments.models.is_empty() { &[defaults.model][..] } else { &arguments.models };
        for model in distinct(given) {
            for length in or(&arguments.lengths, defaults.lengths) {
                for batch in or(&arguments.batches, defaults.batches) {
                    for &kind in &kinds {
                        let point = Point { what, model, length, batch, kind };
                        cells.push(point.cell(arguments, &sets, &defaults)?);
                    }
                }
            }
        }
    }
    Ok(cells)
}

/// Where a cell stands among the combinations.
#[derive(Clone, Copy)]
struct Point {
    what: WhatChoice,
    model: ModelChoice,
    length: i64,
    batch: i64,
    kind: Kind,
}

impl Point {
    fn cell(self, arguments: &BenchArguments, sets: &[Override], defaults: &Defaults) -> Result<Cell> {
        let mut layers = Layers::of_command("synth bench");
        self.settings(arguments, defaults).iter().chain(sets).for_each(|setting| layers.apply(setting));
        let Experiment { model, attention, optimizer, train, .. } = layers.resolve()?.experiment;
        Ok(Cell {
            measured: match self.what {
                WhatChoice::Train => Measured::Train,
                WhatChoice::Decode => Measured::Decode,
            },
            batch: self.batch,
            vocabulary: arguments.vocabulary.unwrap_or(defaults.vocabulary),
            new: self.new_tokens(arguments)?,
            model,
            attention,
            optimizer,
            train,
            set: arguments.set.clone(),
            eager: arguments.eager,
            timing: Timing { warmup: arguments.warmup, repeats: arguments.repeats, seconds: arguments.seconds },
        })
    }

    fn new_tokens(self, arguments: &BenchArguments) -> Result<i64> {
        match arguments.new {
            Some(new) if self.what == WhatChoice::Decode && new > self.length => {
                Err(one_line(&format!("--new {new}: more than the length {}; lower it or give --lengths", self.length)))
            }
            new => Ok(new.unwrap_or(NEW_TOKENS).min(self.length)),
        }
    }

    /// The keys that the arguments stand for, and those that an experiment has to have.
    fn settings(self, arguments: &BenchArguments, defaults: &Defaults) -> Vec<Override> {
        let precision = arguments.precision.unwrap_or(defaults.precision).name();
        let attention_dropout = arguments.attention_dropout.unwrap_or(arguments.dropout);
        let models = format!("--models {}", self.model);
        let Self { model, length, batch, kind, .. } = self;
        let given = |key: &str, value: Value, argument: String| Override {
            key: key.to_string(),
            value,
            origin: Origin::Argument(argument),
        };
        let own = |key: &str, value: Value| given(key, value, "synth bench".to_string());
        vec![
            own("name", "bench".into()),
            own("task.kind", "language-modeling".into()),
            own("data.train", "random tokens".into()),
            own("optimizer.lr", 1e-4.into()),
            own("optimizer.schedule.kind", "constant".into()),
            own("train.steps", Value::Integer(i64::MAX)),
            given("model.d_model", model.d_model.into(), models.clone()),
            given("model.layers", model.layers.into(), models.clone()),
            given("model.heads", model.heads.into(), models.clone()),
            given("model.d_ff", model.d_ff.into(), models),
            given("model.max_length", length.into(), format!("--lengths {length}")),
            given("train.batch_size", batch.into(), format!("--batches {batch}")),
            given("model.dropout", arguments.dropout.into(), format!("--dropout {}", arguments.dropout)),
            given("attention.dropout", attention_dropout.into(), format!("--attention-dropout {attention_dropout}")),
            given("attention.kind", kind.to_string().into(), format!("--kinds {kind}")),
            given("attention.factorized-random.rank", arguments.rank.into(), format!("--rank {}", arguments.rank)),
            given("train.precision", precision.into(), format!("--precision {precision}")),
            given("train.deterministic", arguments.deterministic.into(), "--deterministic".to_string()),
        ]
    }
}

/// Refuses a setting that an argument of its own makes, or that no step depends on.
fn check_key(setting: &Override) -> Result<()> {
    let (key, origin) = (&setting.key, &setting.origin);
    if let Some((given, argument)) = GIVEN.iter().find(|(given, _)| overlap(given, key)) {
        return Err(one_line(&format!("{origin}: {given} is given by {argument}, expected another key")));
    }
    let table = key.split('.').next().unwrap_or_default();
    if !TABLES.contains(&table) {
        return Err(one_line(&format!("{origin}: expected a key below {}", TABLES.join(", "))));
    }
    Ok(())
}

fn kinds(choices: &[KindChoice]) -> Vec<Kind> {
    let of = |choice: &KindChoice| match choice {
        KindChoice::One(kind) => vec![*kind],
        KindChoice::All => Kind::pure().chain(MIXTURES.iter().filter_map(|name| name.parse().ok())).collect(),
    };
    distinct(&choices.iter().flat_map(of).collect::<Vec<_>>())
}

/// Each value once, in the order of its first place.
fn distinct<T: Copy + PartialEq>(values: &[T]) -> Vec<T> {
    let mut kept = Vec::new();
    for value in values {
        if !kept.contains(value) {
            kept.push(*value);
        }
    }
    kept
}
