//! `synth eval`.

use super::output::{print, print_json, thousands};
use super::setup;
use super::texts::Texts;
use super::trained::{Trained, Wanted};
use crate::cli::{EvalArguments, SplitChoice};
use crate::runs::{Environment, RunFolder, Split, atomic};
use crate::tasks::options::TaskKind;
use crate::tasks::{Evaluation, Request, Task};
use crate::terminal::Bar;
use crate::train::signals::{self, Signals};
use crate::{panics, refuse};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Measures a trained model on a split.
pub fn run(arguments: &EvalArguments) -> Result<()> {
    let wanted = Wanted { checkpoint: arguments.checkpoint.as_deref(), weights: arguments.weights };
    let trained = Trained::open(&arguments.run, &arguments.set, arguments.device, wanted)?;
    let Trained { folder, experiment, device, .. } = &trained;
    check_settings(&arguments.set, experiment.task.kind)?;
    Texts::check(experiment)?;
    let split = match arguments.split {
        SplitChoice::Validation => Split::Validation,
        SplitChoice::Test => Split::Test,
    };
    let signals = Signals::listen()?;
    let texts = Texts::load(experiment, &[split.name()])?;
    let hashes = texts.hashes_of(split);
    if !arguments.set.iter().any(|set| set.starts_with("data.")) {
        warn_of_changed_texts(folder, split, &hashes);
    }
    let tokenizer = trained.tokenizer()?;
    let evaluation = panics::catch(|| {
        let task = setup::task(experiment, &texts, &tokenizer, *device)?;
        if !task.has(split) {
            let files = if experiment.task.kind.has_sources() { "'[\"SOURCE\", \"TARGET\"]'" } else { "FILE" };
            refuse!("the data of this run has no {} split; name one with --set data.{0}={files}", split.name());
        }
        trained.load_weights(task.parameters())?;
        evaluate(task.as_ref(), split, experiment.train.precision.compute(), &signals)
    })?;
    let record = record(&trained, split, &hashes, &evaluation);
    let file = folder.eval_dir().join(format!("{}.json", split.name()));
    std::fs::create_dir_all(folder.eval_dir()).with_context(|| format!("cannot write {}", file.display()))?;
    if let Some(predictions) = &evaluation.predictions {
        let file = folder.eval_dir().join(format!("{}.predictions.txt", split.name()));
        atomic::write(&file, predictions.as_bytes())?;
    }
    atomic::write_json(&file, &record)?;
    report(arguments, folder, record, &evaluation)
}

/// Refuses settings of what was trained.
fn check_settings(sets: &[String], kind: TaskKind) -> Result<()> {
    let (free, what, such): (&[&str], _, _) = match kind.has_sources() {
        false => (&["data."], "other data only", "data.validation"),
        true => (
            &["data.", "decode.", "task.bleu_tokenize=", "task.lowercase="],
            "other data, decoding and ways to measure only",
            "data.validation, decode.beam or task.bleu_tokenize",
        ),
    };
    match sets.iter().find(|set| !free.iter().any(|key| set.starts_with(key))) {
        Some(other) => refuse!("--set {other}: a trained model takes {what}, expected a key such as {such}"),
        None => Ok(()),
    }
}

/// Says so where a text of the split is not the one that the run began with.
fn warn_of_changed_texts(folder: &RunFolder, split: Split, hashes: &[(String, String)]) {
    let known = Environment::read(&folder.environment()).ok();
    for (side, now) in hashes {
        let name = if side.is_empty() { split.name().to_string() } else { format!("{}.{side}", split.name()) };
        if let Some(before) = known.as_ref().and_then(|known| known.datasets.get(&name))
            && before != now
        {
            tracing::warn!("the {name} text changed since the run began: it had SHA-256 {before} and has {now}");
        }
    }
}

fn evaluate(task: &dyn Task, split: Split, compute: tch::Kind, signals: &Signals) -> Result<Evaluation> {
    let bar = std::cell::OnceCell::new();
    let watch = &mut |done, total| {
        bar.get_or_init(|| Bar::new(split.name(), total, 0)).set(done);
        signals.stop().is_none()
    };
    let evaluation =
        task.evaluate(split, Request { compute, max_batches: 0, predictions: true, generate: true, watch })?;
    evaluation.ok_or_else(|| {
        let signal = signals.stop().unwrap_or_default();
        let message = format!("stopped by {}: the evaluation is given up, nothing was written", signals::name(signal));
        crate::exit::Interrupted { signal, message }.into()
    })
}

/// The content of `eval/<split>.json`.
fn record(trained: &Trained, split: Split, hashes: &[(String, String)], evaluation: &Evaluation) -> Value {
    let chosen = &trained.chosen;
    let mut record = json!({
        "run": trained.folder.name(),
        "checkpoint": chosen.name(),
        "step": chosen.step(),
        "weights": trained.weights.name(),
        "split": split.name(),
        "tokens": evaluation.tokens,
        "loss": evaluation.loss,
        "perplexity": evaluation.perplexity,
        "word_perplexity": evaluation.word_perplexity,
        "bits_per_byte": evaluation.bits_per_byte,
        "metrics": evaluation.metrics,
        "signature": {},
    });
    for (side, sha256) in hashes {
        let side = if side.is_empty() { "text" } else { side };
        record["signature"][format!("{side}_sha256")] = sha256.as_str().into();
    }
    for (name, signature) in &evaluation.signatures {
        record["signature"][name] = signature.as_str().into();
    }
    if let Some(generation) = &evaluation.generation {
        record["decode"] = serde_json::to_value(&trained.experiment.decode).unwrap_or_default();
        record["generation"] = serde_json::to_value(generation).unwrap_or_default();
    }
    if let Some(averaged) = chosen.averaged() {
        record["averaged"] = averaged.into();
    }
    record
}

fn report(arguments: &EvalArguments, folder: &RunFolder, mut record: Value, evaluation: &Evaluation) -> Result<()> {
    if arguments.json {
        record["run"] = folder.path().display().to_string().into();
        return print_json(&record);
    }
    print(&format!(
        "{} {} on {} with {} weights",
        folder.path().display(),
        record["checkpoint"].as_str().unwrap_or(""),
        record["split"].as_str().unwrap_or(""),
        record["weights"].as_str().unwrap_or("")
    ))?;
    print(&format!("  tokens           {}", thousands(evaluation.tokens)))?;
    print(&format!("  loss             {:.4} nats per token", evaluation.loss))?;
    print(&format!("  perplexity       {:.4}", evaluation.perplexity))?;
    for (name, value) in [("word_perplexity", evaluation.word_perplexity), ("bits_per_byte", evaluation.bits_per_byte)]
    {
        if let Some(value) = value {
            print(&format!("  {name:<16} {value:.4}"))?;
        }
    }
    for (name, value) in &evaluation.metrics {
        print(&format!("  {name:<16} {value:.4}"))?;
    }
    match &evaluation.generation {
        Some(generation) => print(&format!("  outputs          {}", generation.told())),
        None => Ok(()),
    }
}
