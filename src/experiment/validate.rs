//! What no single value shows: whether the keys of an experiment fit one another.

use super::data_keys;
use super::keys::{find, leaves};
use super::provenance::Provenance;
use super::schema::Experiment;
use crate::attention::Part;
use crate::data::options::Paths;
use crate::model::options::{Architecture, Positions, ResidualStream};
use crate::runs::{LONGEST_NAME, NAME_PATTERN, is_name};
use crate::train::options::{BestOptions, OptimizerKind, Precision, ScheduleKind, ScheduleOptions};
use anyhow::Result;
use toml::{Table, Value};

/// What is added to squares at least, so that float32 does not take it for 0.
const LEAST_SQUARE: f64 = 1e-37;

/// Refuses the first combination that cannot be meant.
pub(super) fn check(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    check_name(experiment, origins)?;
    check_task(experiment, origins)?;
    check_data(experiment, origins)?;
    check_split(experiment, origins)?;
    data_keys::check(experiment, origins)?;
    check_model(experiment, origins)?;
    check_attention(experiment, origins)?;
    check_length_of_training(experiment, origins)?;
    check_optimizer(experiment, origins)?;
    check_schedule(experiment, origins)?;
    check_batch(experiment, origins)?;
    check_decode(experiment, origins)?;
    check_best(experiment, origins)
}

/// No key takes an infinity or a NaN.
pub(super) fn check_finite(table: &Table, origins: &Provenance) -> Result<()> {
    let is_wild = |value: &Value| value.as_float().is_some_and(|number| !number.is_finite());
    for (key, value) in leaves(table) {
        if is_wild(value) || value.as_array().is_some_and(|elements| elements.iter().any(is_wild)) {
            return Err(origins.refusal(&key, format!("found {value}, expected finite numbers")));
        }
    }
    Ok(())
}

/// Keys that a layer of settings may not give side by side, though each has a value in any experiment.
pub(super) fn check_given(table: &Table, origins: &Provenance) -> Result<()> {
    if find(table, "attention.layers").is_some() && find(table, "attention.kind").is_some() {
        let what = "stands beside attention.layers, expected one of the two";
        return Err(origins.refusal("attention.kind", what));
    }
    Ok(())
}

fn check_name(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let name = &experiment.name;
    if !is_name(name) {
        let what = format!("found {name:?}, expected {NAME_PATTERN} of at most {LONGEST_NAME} characters");
        return Err(origins.refusal("name", what));
    }
    if name == "reference" {
        return Err(origins.refusal("name", "\"reference\" is kept for committed results; choose another name"));
    }
    match &experiment.data.dataset {
        Some(dataset) if !is_name(dataset) => {
            Err(origins.refusal("data.dataset", format!("found {dataset:?}, expected a name, {NAME_PATTERN}")))
        }
        _ => Ok(()),
    }
}

/// Each task runs on one architecture.
fn check_task(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let (task, found) = (experiment.task.kind, experiment.model.architecture);
    let expected = task.architecture();
    if found != expected {
        let what =
            format!("found {:?}, expected {:?} for task.kind = {:?}", found.name(), expected.name(), task.name());
        return Err(origins.refusal_of(&["model.architecture", "task.kind"], what));
    }
    Ok(())
}

fn check_data(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let data = &experiment.data;
    let sources = [
        ("data.dataset", data.dataset.is_some()),
        ("data.path", data.path.is_some()),
        ("data.train", data.train.is_some()),
    ];
    let given: Vec<&str> = sources.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
    match given[..] {
        [_] => {}
        [] => return Err(origins.refusal("data", "no source found, expected dataset, path with split, or train")),
        [first, second, ..] => {
            let what = format!("stands beside {first}, expected one of data.dataset, data.path and data.train");
            return Err(origins.refusal(second, what));
        }
    }
    let files = [
        ("data.train", data.train.as_ref().map(Paths::all)),
        ("data.validation", data.validation.as_ref().map(Paths::all)),
        ("data.test", data.test.as_ref().map(Paths::all)),
        ("data.path", data.path.as_ref().map(std::slice::from_ref)),
    ];
    for (key, paths) in files {
        if paths.into_iter().flatten().any(|path| path.as_os_str().is_empty()) {
            return Err(origins.refusal(key, "found \"\", expected a path"));
        }
        if paths.is_some() && data.train.is_none() && key != "data.path" {
            return Err(origins.refusal(key, format!("stands beside {}, expected beside data.train only", given[0])));
        }
    }
    Ok(())
}

fn check_split(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    const KEY: &str = "data.split";
    let shares = match (&experiment.data.path, &experiment.data.split) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return Err(origins.refusal(KEY, "no data.path found, expected split beside path only")),
        (Some(_), None) => {
            return Err(origins.refusal(KEY, "missing, expected shares such as [0.9, 0.1] beside data.path"));
        }
        (Some(_), Some(shares)) => shares,
    };
    let sum: f64 = shares.iter().sum();
    if !matches!(shares.len(), 2 | 3) || shares.iter().any(|share| *share <= 0.0) || (sum - 1.0).abs() > 1e-6 {
        let what = format!("found {shares:?}, expected two or three shares above 0 with the sum 1");
        return Err(origins.refusal(KEY, what));
    }
    Ok(())
}

fn check_model(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let model = &experiment.model;
    if model.head_width.is_none() && model.d_model % model.heads != 0 {
        let what = format!(
            "{} does not divide model.d_model = {}; change one of them or give model.head_width",
            model.heads, model.d_model
        );
        return Err(origins.refusal_of(&["model.heads", "model.d_model"], what));
    }
    if model.positions == Positions::Sinusoidal && model.d_model % 2 != 0 {
        let what = format!("found {}, expected an even width for model.positions = \"sinusoidal\"", model.d_model);
        return Err(origins.refusal_of(&["model.d_model", "model.positions"], what));
    }
    if model.positions == Positions::Relative && model.relative_distance <= model.relative_buckets / 2 {
        let what = format!(
            "found {}, expected more than half of model.relative_buckets = {}: each of the nearer half is one distance",
            model.relative_distance, model.relative_buckets
        );
        return Err(origins.refusal_of(&["model.relative_distance", "model.relative_buckets"], what));
    }
    let encoder = model.architecture == Architecture::EncoderDecoder;
    if encoder && model.positions == Positions::Relative && model.relative_buckets < 4 {
        let what = format!(
            "found {}, expected at least 4: an encoder has half of them for either side",
            model.relative_buckets
        );
        return Err(origins.refusal_of(&["model.relative_buckets", "model.architecture"], what));
    }
    if model.share_embeddings == Some(true) && !experiment.tokenizer.joint {
        let what = "found true beside tokenizer.joint = false, with which sources and targets have vocabularies of their \
                    own; expected beside tokenizer.joint = true only";
        return Err(origins.refusal_of(&["model.share_embeddings", "tokenizer.joint"], what));
    }
    let precision = experiment.train.precision;
    if model.residual_stream == ResidualStream::Bfloat16 && precision != Precision::Bf16 {
        let what = format!(
            "found \"bfloat16\" beside train.precision = \"{}\", expected beside \"bf16\" only",
            precision.name()
        );
        return Err(origins.refusal_of(&["model.residual_stream", "train.precision"], what));
    }
    Ok(())
}

fn check_attention(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let (model, attention) = (&experiment.model, &experiment.attention);
    if let Some(kinds) = &attention.layers {
        let depth = model.depth();
        if kinds.len() as i64 != depth.encoder.saturating_add(depth.decoder) {
            let layers = match depth.encoder {
                0 => format!("model.layers = {}", depth.decoder),
                encoder => format!("{encoder} of the encoder and {} of the decoder", depth.decoder),
            };
            let what = format!("found {} kinds, expected one per layer, {layers}", kinds.len());
            return Err(origins.refusal_of(&["attention.layers", "model.layers"], what));
        }
        let halves = [
            ("attention.encoder", attention.encoder.filter(|_| depth.encoder > 0)),
            ("attention.decoder", attention.decoder),
        ];
        if let Some((key, _)) = halves.into_iter().find(|(_, kind)| kind.is_some()) {
            return Err(origins.refusal(key, "stands beside attention.layers, expected one of the two"));
        }
    }
    // Options of a part that no layer has are nobody's business: a sweep over kinds shares one base.
    let used = |part: Part| attention.uses(part, model.depth());
    if used(Part::FactorizedRandom) && attention.factorized_random.init_std == 0.0 {
        let what = "found 0, expected more: each factor's gradient is a product with the other";
        return Err(origins.refusal("attention.factorized-random.init_std", what));
    }
    let (dense, width) = (&attention.dense, model.head_width());
    if used(Part::Dense) && dense.shared_query && dense.hidden.is_some_and(|hidden| hidden != width) {
        let what = format!(
            "found {}, expected the head's width {width}, or none, with attention.dense.shared_query",
            dense.hidden.unwrap_or(width)
        );
        return Err(origins.refusal_of(&["attention.dense.hidden", "attention.dense.shared_query"], what));
    }
    Ok(())
}

fn check_length_of_training(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    match (experiment.train.steps, experiment.train.epochs) {
        (Some(_), Some(_)) => {
            return Err(origins.refusal("train.epochs", "stands beside train.steps, expected one of the two"));
        }
        (None, None) => return Err(origins.refusal("train", "no length found, expected train.steps or train.epochs")),
        _ => {}
    }
    Ok(())
}

/// Options of another rule are nobody's business: a sweep over rules shares one base.
fn check_optimizer(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let optimizer = &experiment.optimizer;
    if optimizer.kind == OptimizerKind::Sgd && optimizer.nesterov && optimizer.momentum == 0.0 {
        let what = "found true without a momentum, expected beside optimizer.momentum above 0; give one, such as 0.9";
        return Err(origins.refusal_of(&["optimizer.nesterov", "optimizer.momentum"], what));
    }
    let eps = optimizer.adafactor.eps;
    if optimizer.kind == OptimizerKind::Adafactor && eps[0] < LEAST_SQUARE {
        let what = format!(
            "found {eps:?}, expected a first number of at least {LEAST_SQUARE:e}: gradients are divided by its root"
        );
        return Err(origins.refusal("optimizer.adafactor.eps", what));
    }
    let scaled = optimizer.kind == OptimizerKind::Adafactor && optimizer.adafactor.scale_by_parameter;
    if scaled && eps[1] <= 0.0 {
        let what = format!("found {eps:?}, expected a second number above 0: what starts at 0 would stay there");
        return Err(origins.refusal("optimizer.adafactor.eps", what));
    }
    Ok(())
}

fn check_schedule(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let ScheduleOptions { kind, warmup, constant, .. } = experiment.optimizer.schedule;
    // A warm-up longer than the training is none of our business: a short trial of a long recipe has it.
    if matches!(kind, ScheduleKind::InverseSqrt | ScheduleKind::OneCycle) && warmup == 0 {
        let what = format!("found 0, expected at least 1 for the schedule \"{}\"", kind.name());
        return Err(origins.refusal_of(&["optimizer.schedule.warmup", "optimizer.schedule.kind"], what));
    }
    if constant.is_some() && kind != ScheduleKind::InverseSqrt {
        let what = format!(
            "stands beside the schedule \"{}\", expected beside \"inverse-sqrt\" only; give the peak as optimizer.lr",
            kind.name()
        );
        return Err(origins.refusal_of(&["optimizer.schedule.constant", "optimizer.schedule.kind"], what));
    }
    Ok(())
}

fn check_batch(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let (train, block) = (&experiment.train, experiment.model.max_length);
    if train.batch_size.is_some() && train.batch_tokens.is_some() {
        let what = "stands beside train.batch_size, expected at most one of the two";
        return Err(origins.refusal("train.batch_tokens", what));
    }
    match train.batch_tokens {
        Some(tokens) if tokens < block => {
            let what = format!("found {tokens}, expected room for the longest row, model.max_length = {block}");
            Err(origins.refusal("train.batch_tokens", what))
        }
        _ => Ok(()),
    }
}

/// Outputs that are to be longer than they may be would never end.
fn check_decode(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let least = experiment.decode.min_length;
    let most = (experiment.model.max_length as u64).saturating_sub(1);
    let bounds = [("decode.max_length", experiment.decode.max_length), ("model.max_length - 1", Some(most))];
    for (name, bound) in bounds {
        if let Some(bound) = bound.filter(|bound| least > *bound) {
            let what = format!("found {least}, expected at most {name} = {bound}");
            return Err(origins.refusal_of(&["decode.min_length", "decode.max_length", "model.max_length"], what));
        }
    }
    Ok(())
}

fn check_best(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let train = &experiment.train;
    // What validation rows measure of any task, and of this one.
    let metrics = [&["loss", "perplexity"], &experiment.task.kind.metric_names()[..]].concat();
    if !metrics.contains(&train.best.metric.as_str()) {
        let what = format!("found {:?}, expected {}", train.best.metric, metrics.join(", "));
        return Err(origins.refusal("train.best.metric", what));
    }
    if !train.eval_generate && experiment.task.kind.generation_metric_names().contains(&train.best.metric.as_str()) {
        let what = format!("found {:?}, expected with train.eval_generate = true only", train.best.metric);
        return Err(origins.refusal_of(&["train.best.metric", "train.eval_generate"], what));
    }
    if experiment.data.train.is_none() || experiment.data.validation.is_some() {
        return Ok(());
    }
    const MISSING: &str = "no validation split to measure on; give data.validation or leave this out";
    if train.patience > 0 {
        return Err(origins.refusal("train.patience", MISSING));
    }
    if train.samples > 0 {
        return Err(origins.refusal("train.samples", MISSING));
    }
    if train.best != BestOptions::default() {
        return Err(origins.refusal("train.best", MISSING));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
