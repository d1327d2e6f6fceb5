//! What outputs are worth beside references: one file per metric, each as its reference program computes it.
//!
//! Free of torch. A [`segments::SegmentMetric`] makes a score of sums over segments, so that corpora, single
//! sentences and the resamples of [`significance`] come from the same numbers; the other metrics are functions of
//! whole lists. `docs/metrics.md` names each definition, its source and how closely it is followed.

pub mod accuracy;
pub mod bleu;
pub mod chrf;
pub mod cider;
pub mod corpus;
pub mod correlation;
pub mod distinct;
pub mod embedding;
pub mod f1;
pub mod generation;
pub mod matthews;
pub mod meteor;
pub mod multirc;
mod ngrams;
mod parallel;
pub mod perplexity;
mod porter;
pub mod rouge;
pub mod segments;
pub mod signature;
pub mod significance;
pub mod squad;
pub mod ter;
pub mod text;
pub mod tokenizers;
mod vocabulary;
mod word_tokenizer;
