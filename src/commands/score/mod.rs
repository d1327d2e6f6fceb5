//! `synth score`.

mod answers;
mod inputs;
mod lines;
mod measure;
mod report;
mod vectors;
mod whole;

use crate::cli::{MetricChoice, ScoreArguments};
use crate::metrics::tokenizers::Tokenizer;
use crate::refuse;
use anyhow::Result;
use inputs::{Inputs, Texts};

/// Scores what any system put out beside references.
pub fn run(arguments: &ScoreArguments) -> Result<()> {
    let metrics = metrics(arguments);
    check(&metrics, arguments)?;
    let texts = Texts::read(arguments)?;
    let inputs = texts.inputs(metrics.iter().any(|metric| reads_answers(*metric)))?;
    if metrics.contains(&MetricChoice::Bleu) && arguments.tokenize != Tokenizer::None {
        warn_of_tokenized(&inputs);
    }
    if arguments.sentence_level {
        let columns =
            metrics.iter().map(|metric| sentences(*metric, &inputs, arguments)).collect::<Result<Vec<_>>>()?;
        return report::sentences(&columns, arguments.json);
    }
    let scores = metrics.iter().map(|metric| score(*metric, &inputs, arguments)).collect::<Result<Vec<_>>>()?;
    report::scores(&scores, arguments.json)
}

/// The metrics that are asked for, each once.
fn metrics(arguments: &ScoreArguments) -> Vec<MetricChoice> {
    let mut metrics = Vec::new();
    for metric in &arguments.metric {
        if !metrics.contains(metric) {
            metrics.push(*metric);
        }
    }
    metrics
}

/// Refuses what the arguments alone show to be impossible.
fn check(metrics: &[MetricChoice], arguments: &ScoreArguments) -> Result<()> {
    for metric in metrics {
        let name = metric.name();
        let needs_references = !matches!(metric, MetricChoice::Distinct1 | MetricChoice::Distinct2);
        if needs_references && arguments.references.is_empty() {
            refuse!("{name} needs references; name a file with --references");
        }
        if takes_one_reference(*metric) && arguments.references.len() > 1 {
            refuse!("{name} takes one file of references, found {}", arguments.references.len());
        }
        let asked = [
            ("--sentence-level", arguments.sentence_level),
            ("--confidence", arguments.confidence),
            ("--paired-bootstrap", arguments.paired_bootstrap.is_some()),
            ("--paired-approximate-randomization", arguments.paired_approximate_randomization.is_some()),
        ];
        if let Some((flag, _)) = asked.iter().find(|(_, asked)| *asked && !is_of_segments(*metric)) {
            refuse!("{flag} takes metrics that are made of scores of lines; {name} is of the whole");
        }
        if *metric == MetricChoice::EmbeddingAverage && arguments.vectors.is_none() {
            refuse!("{name} needs word vectors; name a file with --vectors");
        }
    }
    Ok(())
}

/// Whether the metric takes JSON lines of answers.
fn reads_answers(metric: MetricChoice) -> bool {
    use MetricChoice::{MultircEm, MultircF1a, SquadEm, SquadF1};
    matches!(metric, SquadF1 | SquadEm | MultircF1a | MultircEm)
}

fn takes_one_reference(metric: MetricChoice) -> bool {
    !is_of_segments(metric) && !matches!(metric, MetricChoice::Distinct1 | MetricChoice::Distinct2)
}

/// Whether the metric follows from sums over segments.
fn is_of_segments(metric: MetricChoice) -> bool {
    use MetricChoice::{Distinct1, Distinct2, F1, MacroF1, Matthews, MultircEm, MultircF1a, Pearson, Spearman};
    !matches!(metric, Distinct1 | Distinct2 | F1 | MacroF1 | Matthews | Pearson | Spearman | MultircF1a | MultircEm)
}

/// As sacrebleu does: cut text scores otherwise than text as people write it.
fn warn_of_tokenized(inputs: &Inputs) {
    let cut = |line: &&answers::Line| line.answers.first().is_some_and(|text| text.ends_with(" ."));
    let count = inputs.hypotheses.lines.iter().filter(cut).count();
    if count >= 100 {
        tracing::warn!("{count} lines end in \" .\": if the text is cut into words already, bleu comes out otherwise");
    }
}

fn score(choice: MetricChoice, inputs: &Inputs, arguments: &ScoreArguments) -> Result<measure::Score> {
    if !is_of_segments(choice) {
        return whole::score(choice, inputs, arguments);
    }
    let metric = measure::segment_metric(choice, inputs, arguments)?;
    measure::score(choice, metric.as_ref(), inputs, arguments)
}

fn sentences(choice: MetricChoice, inputs: &Inputs, arguments: &ScoreArguments) -> Result<(String, Vec<f64>)> {
    let metric = measure::segment_metric(choice, inputs, arguments)?;
    Ok((choice.name(), measure::sentence_scores(choice, metric.as_ref(), inputs)?))
}
