//! The metrics of tasks whose models put out texts: those of `synth score`, by task.

use super::bleu::Bleu;
use super::chrf::Chrf;
use super::cider::CiderD;
use super::corpus::Corpus;
use super::distinct::distinct;
use super::meteor::MeteorExactStem;
use super::rouge::{Overlap, Rouge};
use super::segments::{SegmentMetric, Statistics};
use super::signature::signature;
use super::tokenizers::Tokenizer;
use anyhow::{Result, bail};

/// Which task's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationSet {
    /// Texts that say the same in another language.
    Translation,
    /// Short texts of long ones.
    Summarization,
    /// Replies.
    Dialogue,
}

impl GenerationSet {
    /// The names of its metrics, in the order of [`scores`].
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Translation => &["bleu", "chrf"],
            Self::Summarization => &["rouge1", "rouge2", "rougeL", "rougeLsum"],
            Self::Dialogue => &["bleu1", "bleu", "rougeL", "meteor_exact_stem", "cider_d", "distinct1", "distinct2"],
        }
    }
}

/// A task's metrics, and how they read texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationMetrics {
    /// Which.
    pub set: GenerationSet,
    /// How BLEU cuts texts into words.
    pub tokenizer: Tokenizer,
    /// Whether case is ignored; ROUGE and METEOR's stages always ignore it.
    pub lowercase: bool,
}

/// A score.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// The metric's name.
    pub name: &'static str,
    /// Points from 0 to 100; of `cider_d` 0 to 10.
    pub value: f64,
    /// What it depends on.
    pub signature: String,
}

/// The scores of a set, in order of its names, of hypotheses beside one or more references of each.
///
/// # Errors
/// No hypothesis; references of more or fewer; a hypothesis without one.
pub fn scores(metrics: GenerationMetrics, hypotheses: &[String], references: &[Vec<String>]) -> Result<Vec<Named>> {
    let texts = |texts: &[String]| texts.iter().map(|text| metrics.case(text)).collect::<Vec<_>>();
    let (cased_hypotheses, cased_references) =
        (texts(hypotheses), references.iter().map(|references| texts(references)).collect::<Vec<_>>());
    let plain = corpus(hypotheses, references)?;
    let cased = corpus(&cased_hypotheses, &cased_references)?;
    metrics.set.names().iter().map(|name| metrics.score(name, &plain, &cased)).collect()
}

fn corpus<'a>(hypotheses: &'a [String], references: &'a [Vec<String>]) -> Result<Corpus<'a>> {
    if let Some(number) = references.iter().position(Vec::is_empty) {
        bail!("hypothesis {number} has no reference");
    }
    let references = references.iter().map(|references| references.iter().map(String::as_str).collect());
    Corpus::new(hypotheses.iter().map(String::as_str).collect(), references.collect())
}

impl GenerationMetrics {
    fn case(&self, text: &str) -> String {
        if self.lowercase { text.to_lowercase() } else { text.to_string() }
    }

    /// One score of the corpus; of its texts in lower case, where case is ignored, for metrics that cannot themselves.
    fn score(&self, name: &'static str, plain: &Corpus, cased: &Corpus) -> Result<Named> {
        let bleu = Bleu { tokenizer: self.tokenizer, lowercase: self.lowercase, ..Bleu::default() };
        let of = |metric: &dyn SegmentMetric, corpus: &Corpus, case| measured(name, metric, corpus, case);
        let rouge = |overlap| of(&Rouge::new(overlap, true, None), plain, false);
        Ok(match name {
            "bleu" => of(&bleu, plain, false),
            "bleu1" => of(&Bleu { max_order: 1, ..bleu }, plain, false),
            "chrf" => of(&Chrf { word_order: 0, lowercase: self.lowercase }, plain, false),
            "rouge1" => rouge(Overlap::Rouge1),
            "rouge2" => rouge(Overlap::Rouge2),
            "rougeL" => rouge(Overlap::RougeL),
            "rougeLsum" => rouge(Overlap::RougeLsum),
            "meteor_exact_stem" => of(&MeteorExactStem, plain, false),
            "cider_d" => of(&CiderD::new(&cased.references), cased, self.lowercase),
            "distinct1" => self.variety(name, cased, 1),
            "distinct2" => self.variety(name, cased, 2),
            other => bail!("there is no metric {other}"),
        })
    }

    /// distinct-n.
    fn variety(&self, name: &'static str, cased: &Corpus, order: usize) -> Named {
        let settings = settings(vec![("tok", "none".to_string())], self.lowercase);
        Named { name, value: distinct(&cased.hypotheses, order), signature: signature(Some(0), None, &settings) }
    }
}

fn measured(name: &'static str, metric: &dyn SegmentMetric, corpus: &Corpus, lowered: bool) -> Named {
    let value = Statistics::measure(metric, corpus, &|_| ()).score(metric);
    let settings = settings(metric.settings(), lowered);
    Named { name, value, signature: signature(corpus.reference_count(), None, &settings) }
}

/// A metric's settings, and that its texts were `lowered` first.
fn settings(settings: Vec<(&'static str, String)>, lowered: bool) -> Vec<(&'static str, String)> {
    lowered.then(|| ("case", "lc".to_string())).into_iter().chain(settings).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::segments::tests::score_of;

    const SETS: [GenerationSet; 3] =
        [GenerationSet::Translation, GenerationSet::Summarization, GenerationSet::Dialogue];

    fn metrics(set: GenerationSet, lowercase: bool) -> GenerationMetrics {
        GenerationMetrics { set, tokenizer: Tokenizer::Mteval13a, lowercase }
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| text.to_string()).collect()
    }

    /// By name the value, of hypotheses beside one reference of each.
    fn values(metrics: GenerationMetrics, hypotheses: &[&str], references: &[&str]) -> Vec<f64> {
        let references: Vec<Vec<String>> = references.iter().map(|reference| strings(&[reference])).collect();
        let scores = scores(metrics, &strings(hypotheses), &references).unwrap();
        assert_eq!(scores.iter().map(|score| score.name).collect::<Vec<_>>(), metrics.set.names());
        scores.into_iter().map(|score| score.value).collect()
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
        }
    }

    #[test]
    fn scores_are_those_of_each_metric() {
        let (hypotheses, references) =
            (["The cat sat on a mat.", "a b, c X"], ["the cat sat on the mat .", "a b, c d"]);
        let of = |metric: &dyn SegmentMetric| {
            score_of(metric, &hypotheses, &references.each_ref().map(std::slice::from_ref))
        };
        let rouge = |overlap| of(&Rouge::new(overlap, true, None));
        let bleu = Bleu { tokenizer: Tokenizer::Character, lowercase: true, ..Bleu::default() };
        let translation =
            GenerationMetrics { tokenizer: Tokenizer::Character, ..metrics(GenerationSet::Translation, true) };
        let expected = [of(&bleu), of(&Chrf { word_order: 0, lowercase: true })];
        assert_close(&values(translation, &hypotheses, &references), &expected);
        let expected = [Overlap::Rouge1, Overlap::Rouge2, Overlap::RougeL, Overlap::RougeLsum].map(rouge);
        assert_close(&values(metrics(GenerationSet::Summarization, false), &hypotheses, &references), &expected);
        let cider = CiderD::new(&references.map(|reference| vec![reference]));
        let expected = [
            of(&Bleu { max_order: 1, ..Bleu::default() }),
            of(&Bleu::default()),
            rouge(Overlap::RougeL),
            of(&MeteorExactStem),
            of(&cider),
            distinct(&hypotheses, 1),
            distinct(&hypotheses, 2),
        ];
        assert_close(&values(metrics(GenerationSet::Dialogue, false), &hypotheses, &references), &expected);
    }

    /// By hand: the second text is right; of the first, 3 of 4 words, 1 of 3 pairs and 0 of 2 triples match.
    #[test]
    fn translations_by_hand() {
        let (hypotheses, references) = (["a b x d", "e f g h"], ["a b c d", "e f g h"]);
        let [bleu, chrf] = values(metrics(GenerationSet::Translation, false), &hypotheses, &references)[..] else {
            panic!("two metrics")
        };
        let precisions = [7.0 / 8.0, 4.0 / 6.0, 2.0 / 4.0, 1.0 / 2.0f64];
        assert_close(&[bleu], &[100.0 * precisions.iter().product::<f64>().powf(0.25)]);
        // Letters by themselves, the same numbers: precision is recall; longer ones than four there are none.
        assert_close(&[chrf], &[100.0 * precisions.iter().sum::<f64>() / 4.0]);
    }

    /// By hand: 3 of 4 words of both match, 1 of 3 pairs, and three in order.
    #[test]
    fn summaries_by_hand() {
        let found = values(metrics(GenerationSet::Summarization, false), &["a b x d"], &["a b c d"]);
        assert_close(&found, &[75.0, 100.0 / 3.0, 75.0, 75.0]);
    }

    #[test]
    fn replies_by_hand() {
        let (hypotheses, references) = (["A b", "c c"], ["a b", "d e"]);
        let lowered = values(metrics(GenerationSet::Dialogue, true), &hypotheses, &references);
        // 2 of 4 words; a text equals its reference, but for the penalty (1/2)³ / 2 of two matched words together, or
        // shares nothing with it; 3 words and 2 pairs that differ, of 4 words.
        assert_close(&lowered[..1], &[50.0]);
        assert_close(&lowered[2..4], &[50.0, 50.0 * (1.0 - 0.5 / 8.0)]);
        // One and two words of four orders are there: cosines of 1, a half of them, in one of two texts.
        assert_close(&lowered[4..], &[10.0 * 0.5 / 2.0, 75.0, 50.0]);
        let cased = values(metrics(GenerationSet::Dialogue, false), &hypotheses, &references);
        assert_close(&[cased[0], cased[2], cased[3]], &[25.0, lowered[2], lowered[3]]);
        assert!(cased[4] < lowered[4]);
    }

    #[test]
    fn empty_texts_score() {
        for set in SETS {
            for value in values(metrics(set, true), &["", ""], &["a b", ""]) {
                assert_eq!(value, 0.0, "{set:?}");
            }
        }
    }

    #[test]
    fn signatures_tell_what_scores_depend_on() {
        let told = |set, lowercase| {
            let references = [strings(&["a", "b"])];
            let scores = scores(metrics(set, lowercase), &strings(&["a"]), &references).unwrap();
            scores.into_iter().map(|score| score.signature).collect::<Vec<_>>()
        };
        let version = format!("|version:synth-{}", env!("CARGO_PKG_VERSION"));
        let dialogue = told(GenerationSet::Dialogue, true);
        assert_eq!(dialogue[0], format!("nrefs:2|case:lc|eff:no|tok:13a|smooth:exp|order:1{version}"));
        assert_eq!(dialogue[1], format!("nrefs:2|case:lc|eff:no|tok:13a|smooth:exp{version}"));
        assert_eq!(dialogue[4], format!("nrefs:2|case:lc|n:4|sigma:6|tok:none{version}"));
        assert_eq!(dialogue[5], format!("nrefs:0|case:lc|tok:none{version}"));
        assert_eq!(told(GenerationSet::Dialogue, false)[6], format!("nrefs:0|tok:none{version}"));
        assert!(told(GenerationSet::Translation, false)[1].contains("case:mixed"));
        assert!(told(GenerationSet::Summarization, false)[3].contains("stem:yes"));
    }

    #[test]
    fn lists_that_do_not_fit_are_errors() {
        let translation = metrics(GenerationSet::Translation, false);
        assert!(scores(translation, &[], &[]).is_err());
        assert!(scores(translation, &strings(&["a", "b"]), &[strings(&["a"])]).is_err());
        let error = scores(translation, &strings(&["a"]), &[vec![]]).unwrap_err();
        assert!(error.to_string().contains("hypothesis 0 has no reference"), "{error}");
    }
}
