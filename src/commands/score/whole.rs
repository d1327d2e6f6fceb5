//! Metrics of whole lists: labels, numbers, judgements, and texts beside nothing.

use super::inputs::Inputs;
use super::measure::Score;
use crate::cli::{MetricChoice, ScoreArguments};
use crate::metrics::signature::signature;
use crate::metrics::{correlation, distinct, f1, matthews, multirc};
use anyhow::{Result, bail};
use std::collections::BTreeSet;

/// The score of a metric that is no sum over segments.
pub fn score(choice: MetricChoice, inputs: &Inputs, arguments: &ScoreArguments) -> Result<Score> {
    let (value, references, settings) = match choice {
        MetricChoice::Distinct1 => (distinct(inputs, 1)?, 0, vec![("tok", "none".to_string())]),
        MetricChoice::Distinct2 => (distinct(inputs, 2)?, 0, vec![("tok", "none".to_string())]),
        MetricChoice::F1 => {
            let (value, positive) = positive_f1(inputs, arguments.positive.as_deref())?;
            (Some(value), 1, vec![("positive", positive)])
        }
        _ => (of_lists(choice, inputs)?, 1, Vec::new()),
    };
    let signature = signature(Some(references), None, &settings);
    Ok(Score { name: choice.name(), value, signature, interval: None, compared: None })
}

fn distinct(inputs: &Inputs, order: usize) -> Result<Option<f64>> {
    Ok(Some(distinct::distinct(&inputs.hypotheses.texts()?, order)))
}

fn of_lists(choice: MetricChoice, inputs: &Inputs) -> Result<Option<f64>> {
    let (predicted, expected) = (&inputs.hypotheses, inputs.only_references()?);
    Ok(match choice {
        MetricChoice::Pearson => correlation::pearson(&predicted.numbers()?, &expected.numbers()?),
        MetricChoice::Spearman => correlation::spearman(&predicted.numbers()?, &expected.numbers()?),
        MetricChoice::Matthews => Some(matthews::matthews(&predicted.labels()?, &expected.labels()?)),
        MetricChoice::MultircF1a => {
            let (predicted, expected) = judgements(inputs)?;
            Some(multirc::f1a(&predicted, &expected))
        }
        MetricChoice::MultircEm => {
            let (predicted, expected) = judgements(inputs)?;
            Some(multirc::exact_match(&predicted, &expected))
        }
        _ => Some(f1::macro_f1(&predicted.labels()?, &expected.labels()?)),
    })
}

/// F1, and of which label. Without a name it is that of 1, where there is no third label.
fn positive_f1(inputs: &Inputs, positive: Option<&str>) -> Result<(f64, String)> {
    let (predicted, expected) = (inputs.hypotheses.labels()?, inputs.only_references()?.labels()?);
    let labels: BTreeSet<&str> = predicted.iter().chain(&expected).copied().collect();
    let named = positive.is_some();
    let positive = positive.unwrap_or("1");
    let shown = || labels.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    if !labels.contains(positive) {
        bail!("no label is {positive}; found {}: name the one that f1 is of with --positive", shown());
    }
    if labels.len() > 2 && !named {
        bail!(
            "{} labels ({}), f1 is of one among two; take macro-f1, or name a label with --positive",
            labels.len(),
            shown()
        );
    }
    Ok((f1::f1(&positive, &predicted, &expected), positive.to_string()))
}

type Judgements = Vec<Vec<bool>>;

/// The judgements of both files, of as many answers to each question.
fn judgements(inputs: &Inputs) -> Result<(Judgements, Judgements)> {
    let (hypotheses, references) = (&inputs.hypotheses, inputs.only_references()?);
    let (predicted, expected) = (hypotheses.judgements()?, references.judgements()?);
    let lengths = |lists: &Judgements| lists.iter().map(Vec::len).collect::<Vec<_>>();
    let (own, others) = (lengths(&predicted), lengths(&expected));
    if own.len() != others.len() {
        let (own, others) = (own.len(), others.len());
        bail!("{} has {own} groups and {} has {others}; expected as many", hypotheses.name, references.name);
    }
    if let Some(i) = (0..own.len()).find(|&i| own[i] != others[i]) {
        let (own, others) = (own[i], others[i]);
        bail!(
            "question {} has {own} answers in {} and {others} in {}; expected as many",
            i + 1,
            hypotheses.name,
            references.name
        );
    }
    Ok((predicted, expected))
}
