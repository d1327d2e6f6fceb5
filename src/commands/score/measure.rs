//! From inputs to scores, metric by metric.

use super::inputs::{Input, Inputs};
use super::vectors;
use crate::cli::{MetricChoice, ScoreArguments};
use crate::metrics::accuracy::Accuracy;
use crate::metrics::bleu::Bleu;
use crate::metrics::chrf::Chrf;
use crate::metrics::cider::CiderD;
use crate::metrics::corpus::Corpus;
use crate::metrics::embedding::EmbeddingAverage;
use crate::metrics::meteor::MeteorExactStem;
use crate::metrics::rouge::{Overlap, Rouge};
use crate::metrics::segments::{SegmentMetric, Statistics};
use crate::metrics::signature::{Resampling, signature};
use crate::metrics::significance::{self, Comparison, Draws, Interval};
use crate::metrics::squad::Squad;
use crate::metrics::ter::Ter;
use crate::terminal::LateBar;
use anyhow::{Result, bail};
use std::sync::Mutex;

/// What a metric says.
pub struct Score {
    /// The metric's name.
    pub name: String,
    /// The score, in the metric's unit; `None` where it is not defined, as a correlation with a constant.
    pub value: Option<f64>,
    /// What it depends on.
    pub signature: String,
    /// Where it lies, where that was asked for.
    pub interval: Option<Interval>,
    /// The baseline's score and how the two compare.
    pub compared: Option<(f64, Comparison)>,
}

/// The metric, which is one of sums over segments.
pub fn segment_metric<'a>(
    choice: MetricChoice,
    inputs: &'a Inputs,
    arguments: &ScoreArguments,
) -> Result<Box<dyn SegmentMetric + 'a>> {
    let ScoreArguments { lowercase, sentence_break, .. } = arguments;
    let rouge = |overlap| Box::new(Rouge::new(overlap, !arguments.no_stemmer, sentence_break.as_deref()));
    Ok(match choice {
        MetricChoice::Bleu => Box::new(Bleu {
            tokenizer: arguments.tokenize,
            smoothing: arguments.smooth,
            lowercase: *lowercase,
            effective_order: arguments.effective_order,
            ..Bleu::default()
        }),
        MetricChoice::Chrf => Box::new(Chrf { word_order: 0, lowercase: *lowercase }),
        MetricChoice::ChrfPlusPlus => Box::new(Chrf { lowercase: *lowercase, ..Chrf::plus_plus() }),
        MetricChoice::Ter => Box::new(Ter),
        MetricChoice::Rouge1 => rouge(Overlap::Rouge1),
        MetricChoice::Rouge2 => rouge(Overlap::Rouge2),
        MetricChoice::RougeL => rouge(Overlap::RougeL),
        MetricChoice::RougeLsum => rouge(Overlap::RougeLsum),
        MetricChoice::CiderD => Box::new(CiderD::new(&inputs.corpus(&inputs.hypotheses)?.references)),
        MetricChoice::EmbeddingAverage => Box::new(EmbeddingAverage { vectors: vectors::read(arguments, inputs)? }),
        MetricChoice::MeteorExactStem => Box::new(MeteorExactStem),
        MetricChoice::SquadF1 => Box::new(Squad::F1),
        MetricChoice::SquadEm => Box::new(Squad::ExactMatch),
        MetricChoice::Accuracy => Box::new(Accuracy),
        other => bail!("{} is no metric of segments", other.name()),
    })
}

/// The score of a metric of sums over segments, with what was asked for beside it.
pub fn score(
    choice: MetricChoice,
    metric: &dyn SegmentMetric,
    inputs: &Inputs,
    arguments: &ScoreArguments,
) -> Result<Score> {
    let corpus = checked_corpus(choice, inputs, &inputs.hypotheses)?;
    let name = choice.name();
    let statistics = measure(&name, metric, &corpus);
    let mut score = Score {
        value: Some(statistics.score(metric)),
        signature: signature(corpus.reference_count(), resampling(arguments), &metric.settings()),
        interval: None,
        compared: None,
        name,
    };
    let Some(Resampling { samples, seed, .. }) = resampling(arguments) else { return Ok(score) };
    let draws = Draws { samples, seed };
    let watch = late_bar(&format!("{} resampled", score.name), samples);
    match &inputs.baseline {
        None => score.interval = Some(significance::confidence(metric, &statistics, draws, &watch)),
        Some(baseline) => {
            let baseline = measure("baseline", metric, &checked_corpus(choice, inputs, baseline)?);
            let compare = match arguments.paired_bootstrap {
                Some(_) => significance::paired_bootstrap,
                None => significance::paired_randomization,
            };
            let comparison = compare(metric, &statistics, &baseline, draws, &watch);
            score.interval = comparison.interval;
            score.compared = Some((baseline.score(metric), comparison));
        }
    }
    Ok(score)
}

/// The score of every segment by itself.
pub fn sentence_scores(choice: MetricChoice, metric: &dyn SegmentMetric, inputs: &Inputs) -> Result<Vec<f64>> {
    let corpus = checked_corpus(choice, inputs, &inputs.hypotheses)?;
    Ok(measure(&choice.name(), metric, &corpus).sentence_scores(metric))
}

fn measure(name: &str, metric: &dyn SegmentMetric, corpus: &Corpus) -> Statistics {
    Statistics::measure(metric, corpus, &late_bar(name, corpus.len()))
}

/// Moves a bar of `total` steps from any thread.
fn late_bar(what: &str, total: usize) -> impl Fn(usize) + Sync + use<> {
    let bar = Mutex::new(LateBar::new(what, total as u64));
    move |done| {
        if let Ok(mut bar) = bar.lock() {
            bar.set(done as u64);
        }
    }
}

/// The corpus, with a reference for every segment where the metric needs one.
fn checked_corpus<'a>(choice: MetricChoice, inputs: &'a Inputs, hypotheses: &'a Input) -> Result<Corpus<'a>> {
    let corpus = inputs.corpus(hypotheses)?;
    let may_lack = matches!(choice, MetricChoice::SquadF1 | MetricChoice::SquadEm);
    match corpus.references.iter().position(|references| references.is_empty()).filter(|_| !may_lack) {
        Some(i) => {
            let name = inputs.references.first().map_or("", |input| input.name);
            bail!("{name}, line {}: no answer; {} needs one or more", i + 1, choice.name())
        }
        None => Ok(corpus),
    }
}

/// How the arguments ask to resample.
fn resampling(arguments: &ScoreArguments) -> Option<Resampling> {
    let (kind, samples) = if arguments.paired_approximate_randomization.is_some() {
        ("ar", significance::RANDOMIZATION_TRIALS)
    } else if arguments.confidence || arguments.paired_bootstrap.is_some() {
        ("bs", significance::BOOTSTRAP_SAMPLES)
    } else {
        return None;
    };
    let samples = arguments.samples.map_or(samples, |samples| samples as usize);
    Some(Resampling { kind, samples, seed: arguments.seed })
}
