//! The arguments of `synth score`.

use crate::metrics::bleu::Smoothing;
use crate::metrics::tokenizers::Tokenizer;
use clap::{Args, ValueEnum, value_parser};
use std::path::{Path, PathBuf};

/// `synth score`.
#[derive(Debug, Args)]
pub struct ScoreArguments {
    /// What to measure; several with commas between them
    #[arg(long, value_name = "LIST", required = true, value_delimiter = ',')]
    pub metric: Vec<MetricChoice>,
    /// What is measured: a segment, a label or a number a line; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub hypotheses: PathBuf,
    /// What is expected, line by line; again for more references of the same lines
    #[arg(long, value_name = "FILE")]
    pub references: Vec<PathBuf>,
    /// How BLEU cuts lines into words: 13a, intl, char, zh or none
    #[arg(long, default_value = "13a", value_name = "TOKENIZER")]
    pub tokenize: Tokenizer,
    /// What BLEU does where no n-gram of an order matches: exp, none, floor, add-k, floor:VALUE or add-k:VALUE
    #[arg(long, default_value = "exp", value_name = "METHOD")]
    pub smooth: Smoothing,
    /// Ignore case in BLEU, chrF and chrF++ (the others have their own rule)
    #[arg(long)]
    pub lowercase: bool,
    /// Leave orders out of BLEU that are longer than every hypothesis, as sentence scores always do
    #[arg(long)]
    pub effective_order: bool,
    /// ROUGE without Porter's stemmer
    #[arg(long)]
    pub no_stemmer: bool,
    /// What stands between the sentences of a line, for rougeLsum; without it a line is one sentence
    #[arg(long, value_name = "TEXT")]
    pub sentence_break: Option<String>,
    /// Word vectors for embedding-average, in the text format of word2vec or GloVe
    #[arg(long, value_name = "FILE")]
    pub vectors: Option<PathBuf>,
    /// The label whose F1 f1 is [default: 1, among two labels]
    #[arg(long, value_name = "LABEL")]
    pub positive: Option<String>,
    /// Print the score of every line by itself, several with tabs between them
    #[arg(long, conflicts_with_all = ["confidence", "paired_bootstrap", "paired_approximate_randomization"])]
    pub sentence_level: bool,
    /// Say between what bounds each score lies, by bootstrap resampling
    #[arg(long, conflicts_with_all = ["paired_bootstrap", "paired_approximate_randomization"])]
    pub confidence: bool,
    /// Compare with another system's output by paired bootstrap resampling
    #[arg(long, value_name = "BASELINE", conflicts_with = "paired_approximate_randomization")]
    pub paired_bootstrap: Option<PathBuf>,
    /// Compare with another system's output by paired approximate randomization
    #[arg(long, value_name = "BASELINE")]
    pub paired_approximate_randomization: Option<PathBuf>,
    /// Resamples or trials [default: 1000, for approximate randomization 10000]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub samples: Option<u32>,
    /// Seed of the resamples
    #[arg(long, default_value = "12345", value_name = "N")]
    pub seed: u64,
    /// Print one JSON object, with --sentence-level one a line
    #[arg(long)]
    pub json: bool,
}

impl ScoreArguments {
    /// The other system's output that is compared with.
    pub fn baseline(&self) -> Option<&Path> {
        self.paired_bootstrap.as_deref().or(self.paired_approximate_randomization.as_deref())
    }
}

/// The metrics, by the names that users and files call them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MetricChoice {
    /// BLEU, as sacrebleu
    Bleu,
    /// chrF, as sacrebleu
    Chrf,
    /// chrF++, as sacrebleu
    #[value(name = "chrf++")]
    ChrfPlusPlus,
    /// Translation edit rate, as sacrebleu
    Ter,
    /// ROUGE-1 F1, as rouge-score
    Rouge1,
    /// ROUGE-2 F1, as rouge-score
    Rouge2,
    /// ROUGE-L F1, as rouge-score
    #[value(name = "rougeL")]
    RougeL,
    /// ROUGE-Lsum F1, as rouge-score
    #[value(name = "rougeLsum")]
    RougeLsum,
    /// CIDEr-D, as nlg-eval
    CiderD,
    /// Cosine of summed word vectors, as nlg-eval
    EmbeddingAverage,
    /// METEOR's exact and stem stages
    MeteorExactStem,
    /// Different words per 100 words
    #[value(name = "distinct-1")]
    Distinct1,
    /// Different pairs of words per 100 words
    #[value(name = "distinct-2")]
    Distinct2,
    /// Equal labels
    Accuracy,
    /// F1 of one label
    F1,
    /// Mean F1 of all labels
    MacroF1,
    /// Matthews correlation of labels
    Matthews,
    /// Pearson's correlation of numbers
    Pearson,
    /// Spearman's correlation of numbers
    Spearman,
    /// F1 of the words of answers, as SQuAD
    SquadF1,
    /// Equal answers, as SQuAD
    SquadEm,
    /// F1 of right answers over all questions
    #[value(name = "multirc-f1a")]
    MultircF1a,
    /// Questions all of whose answers are judged right
    MultircEm,
}

impl MetricChoice {
    /// Its name.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_fixed_ones() {
        let names: Vec<String> = MetricChoice::value_variants().iter().map(|metric| metric.name()).collect();
        assert_eq!(
            names.join(" "),
            "bleu chrf chrf++ ter rouge1 rouge2 rougeL rougeLsum cider-d embedding-average meteor-exact-stem \
             distinct-1 distinct-2 accuracy f1 macro-f1 matthews pearson spearman squad-f1 squad-em multirc-f1a \
             multirc-em"
        );
    }
}
