//! The arguments of `synth data`.

use crate::data::import::Format;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum, value_parser};

/// `synth data`.
#[derive(Debug, Args)]
pub struct DataArguments {
    /// What to do
    #[command(subcommand)]
    pub command: DataCommand,
}

/// The subcommands of `synth data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List what is prepared under SYNTH_DATA [default: data], and what can be fetched
    List {
        /// Print the list as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Prepare a dataset by name, under SYNTH_DATA [default: data]
    ///
    /// `synth data list` names them. One that is prepared already stays as it is. Those of the Hugging Face hub are
    /// downloaded into its usual cache; HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and HF_TOKEN mean what they always do.
    Fetch(FetchArguments),
    /// Prepare a dataset from files of your own, under SYNTH_DATA [default: data]
    Import(ImportArguments),
    /// Show a prepared dataset: its card, samples, and how long its texts are
    Show(ShowArguments),
    /// Remove a prepared dataset
    ///
    /// Asks nothing. Only a real folder with a card that bears this name is removed.
    Remove {
        /// The dataset
        name: String,
    },
}

/// `synth data fetch`.
#[derive(Debug, Args)]
pub struct FetchArguments {
    /// The dataset, such as rust-sources or multi30k
    pub name: String,
    /// Of a set of the hub: the branch, tag or commit to take
    #[arg(long)]
    pub revision: Option<String>,
    /// Of a set of the hub: take the first N records of each split at most
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    pub max_records: Option<u64>,
    /// Of a set of the hub: take the first N files of each split at most
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub shards: Option<u32>,
    /// Of a set of the hub: download all of it, though it has more than 20 GB
    #[arg(long, conflicts_with_all = ["max_records", "shards"])]
    pub whole: bool,
    /// Print its card as JSON
    #[arg(long)]
    pub json: bool,
}

/// `synth data import`.
///
/// Files say by their names which split they are: train; dev, val, valid or validation; test. Of several test files the
/// plainest name, else the first, is test; the others keep their names. docs/data.md tells all about formats and splits.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The dataset's name
    pub name: String,
    /// Files, folders or globs, plain or gzipped; test=PATH says the split, LABEL=PATH the class of a file's lines
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,
    /// The files' format [default: found by names and first lines, and said]
    #[arg(long, value_parser = formats())]
    pub format: Option<Format>,
    /// The key, column or language of the sources of pairs
    #[arg(long, value_name = "KEY")]
    pub source: Option<String>,
    /// The key, column or language of the targets; KEY1, KEY2, … of several
    #[arg(long, value_name = "KEY")]
    pub target: Option<String>,
    /// The key or column of the text: a name, a path such as a.b, or in tables a number from 1 on
    #[arg(long, value_name = "KEY")]
    pub text: Option<String>,
    /// The key or column of a second text
    #[arg(long, value_name = "KEY")]
    pub text_b: Option<String>,
    /// The key or column of the label
    #[arg(long, value_name = "KEY")]
    pub label: Option<String>,
    /// Labels are numbers, not classes
    #[arg(long)]
    pub numeric_label: bool,
    /// Whether tables begin with a header [default: found]
    #[arg(long, value_name = "BOOL")]
    pub header: Option<bool>,
    /// How the files store characters
    #[arg(long, default_value = "utf-8")]
    pub encoding: EncodingChoice,
    /// Cut files that name no split into shares of train, validation and test, such as 0.9,0.1: a text by characters,
    /// records by their hash
    #[arg(long, value_name = "SHARES", value_delimiter = ',', value_parser = value_parser!(f64))]
    pub split: Option<Vec<f64>>,
    /// The licence of the files, for the card
    #[arg(long, value_name = "TEXT")]
    pub licence: Option<String>,
    /// Print the card as JSON
    #[arg(long)]
    pub json: bool,
}

/// `synth data show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The dataset
    pub name: String,
    /// The split [default: train, else the first]
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,
    /// How many samples to print
    #[arg(long, default_value = "5", value_name = "N", value_parser = value_parser!(u32).range(..=10_000))]
    pub samples: u32,
    /// Seed of the choice of samples
    #[arg(long, default_value = "1", value_name = "N")]
    pub seed: u64,
    /// Print all as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How characters are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EncodingChoice {
    /// UTF-8.
    #[value(name = "utf-8")]
    Utf8,
    /// ISO 8859-1.
    #[value(name = "latin-1")]
    Latin1,
}

/// Reads a format by its name.
fn formats() -> impl TypedValueParser<Value = Format> {
    let find = |name: &str| Format::NAMED.into_iter().find(|(other, _)| *other == name).map(|(_, format)| format);
    PossibleValuesParser::new(Format::NAMED.map(|(name, _)| name))
        .try_map(move |name| find(&name).ok_or_else(|| format!("there is no format {name}")))
}
