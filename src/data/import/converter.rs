//! What is done with the files of an import: which make which split, and how their records are read.

use super::format::Format;
use super::inputs::{Input, Mark};
use super::keys::Container;
use super::{
    ImportOptions, Source, Take, columns, convai2, file_name, glue, keys, lines, parallel, scitldr, splits, superglue,
    textgcn,
};
use crate::data::record::Shape;
use crate::data::source::{Dialect, ReadOptions};
use crate::refuse;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use tracing::info;

/// The plan of an import.
pub(super) struct Plan {
    format: Format,
    converter: Converter,
    /// In the order in which they are read.
    pub sources: Vec<Source>,
}

/// How records are made of files.
enum Converter {
    Text,
    Parallel {
        source: String,
        target: String,
    },
    Glue(&'static glue::Task),
    Superglue(&'static superglue::Task),
    Columns(columns::Plan),
    Keys(keys::Plan),
    Convai2,
    Scitldr,
    /// The label of each file that has one.
    Lines(Vec<(PathBuf, String)>),
    Trec,
    Textgcn,
}

impl Plan {
    /// Finds out all that can be told before the files are read as a whole.
    ///
    /// # Errors
    /// Refusals of what cannot be told.
    pub fn new(format: Format, inputs: &[Input], options: &ImportOptions, read: &ReadOptions) -> Result<Self> {
        let (converter, sources) = match format {
            Format::Parallel => parallel_plan(inputs, options)?,
            Format::Glue => {
                let (task, tables) = glue::plan(inputs)?;
                let sources =
                    tables.into_iter().map(|(split, input)| Source { split, files: vec![input.path.clone()] });
                (Converter::Glue(task), sources.collect())
            }
            Format::Textgcn => (Converter::Textgcn, textgcn::plan(inputs, read)?),
            _ => one_by_one(format, inputs, options, read)?,
        };
        let mut plan = Self { format, converter, sources };
        plan.check(inputs, options)?;
        // What the folders are called changes nothing, as long as the files' names differ.
        plan.sources.sort_by_cached_key(|source| {
            let (usual, split) = split_order(&source.split);
            let names: Vec<String> = source.files.iter().map(|file| file_name(file)).collect();
            (usual, split.to_string(), names, source.files.clone())
        });
        Ok(plan)
    }

    /// Options that do not go with the format are refused: what is said and not done would be taken for done.
    fn check(&self, inputs: &[Input], options: &ImportOptions) -> Result<()> {
        let keyed = matches!(self.converter, Converter::Columns(_) | Converter::Keys(_) | Converter::Parallel { .. });
        if !keyed && options.keys != super::Keys::default() {
            refuse!("--source, --target, --text, --text-b and --label say nothing of the format {}", self.format);
        }
        if options.header.is_some() && !matches!(self.converter, Converter::Columns(_)) {
            refuse!("--header is for the formats csv and tsv; found {}", self.format);
        }
        if options.numeric_label && !matches!(self.converter, Converter::Columns(_) | Converter::Keys(_)) {
            refuse!("--numeric-label is for the formats csv, tsv, jsonl and parquet; found {}", self.format);
        }
        if options.split.is_none() {
            return Ok(());
        }
        if matches!(self.converter, Converter::Textgcn) {
            refuse!("--split cuts files that belong to no split; the list of the format textgcn says each text's");
        }
        let named = |input: &&Input| matches!(input.mark, Some(Mark::Split(_))) || splits::says_split(input.stem());
        if let Some(named) = inputs.iter().find(named) {
            refuse!("--split cuts files that belong to no split; the name of {} says its split", named.path.display());
        }
        if matches!(self.converter, Converter::Text) && inputs.len() > 1 {
            refuse!(
                "--split cuts one text; found {} files: join them, or let their names say the splits",
                inputs.len()
            );
        }
        Ok(())
    }

    /// The shape of the records; none for running text.
    pub fn shape(&self) -> Option<Shape> {
        Some(match &self.converter {
            Converter::Text => return None,
            Converter::Parallel { .. } | Converter::Scitldr => Shape::Pairs,
            Converter::Glue(_) | Converter::Superglue(_) | Converter::Trec | Converter::Textgcn => Shape::Labelled,
            Converter::Columns(plan) => plan.roles.shape(),
            Converter::Keys(plan) => plan.roles.shape(),
            Converter::Convai2 => Shape::Dialogue,
            Converter::Lines(labels) => {
                if labels.is_empty() {
                    Shape::Text
                } else {
                    Shape::Labelled
                }
            }
        })
    }

    /// The classes in their order, where the format knows them.
    pub fn classes(&self) -> Option<Vec<String>> {
        match &self.converter {
            Converter::Glue(task) => task.classes(),
            Converter::Superglue(task) => task.classes(),
            _ => None,
        }
    }

    /// The languages of source and target, where the names say them.
    pub fn languages(&self) -> (Option<String>, Option<String>) {
        match &self.converter {
            Converter::Parallel { source, target } => (Some(source.clone()), Some(target.clone())),
            _ => (None, None),
        }
    }

    /// The one file of a text that is cut.
    pub fn only_file(&self) -> Result<&Path> {
        let file = self.sources.first().and_then(|source| source.files.first());
        file.map(PathBuf::as_path).context("there is no file to cut")
    }

    /// Gives the records of a split's files.
    pub fn convert(&self, source: &Source, read: &ReadOptions, take: Take) -> Result<()> {
        if let (Converter::Parallel { .. }, [first, second]) = (&self.converter, source.files.as_slice()) {
            return parallel::convert(first, second, read, take);
        }
        if let (Converter::Textgcn, [list, texts]) = (&self.converter, source.files.as_slice()) {
            return textgcn::convert(list, texts, &source.split, read, take);
        }
        source.files.iter().try_for_each(|file| self.convert_file(file, read, take))
    }

    fn convert_file(&self, file: &Path, read: &ReadOptions, take: Take) -> Result<()> {
        match &self.converter {
            Converter::Glue(task) => task.convert(file, read, take),
            Converter::Superglue(task) => task.convert(file, read, take),
            Converter::Columns(plan) => plan.convert(file, read, take),
            Converter::Keys(plan) => plan.convert(file, read, take),
            Converter::Convai2 => convai2::convert(file, read, take),
            Converter::Scitldr => scitldr::convert(file, read, take),
            Converter::Trec => lines::convert_trec(file, read, take),
            Converter::Lines(labels) => {
                let label = labels.iter().find(|(path, _)| path == file).map(|(_, label)| label.as_str());
                lines::convert(file, label, read, take)
            }
            Converter::Text | Converter::Parallel { .. } | Converter::Textgcn => Ok(()),
        }
    }

    /// What the card says of the set.
    pub fn description(&self, shares: Option<&[f64]>) -> String {
        let what = match &self.converter {
            Converter::Text => "Running text".to_string(),
            Converter::Parallel { source, target } => format!("Lines in {source} and {target}"),
            Converter::Glue(task) => format!("The GLUE task {}", task.name),
            Converter::Superglue(task) => format!("The SuperGLUE task {}", task.name),
            Converter::Columns(plan) => format!("Rows of tables: {}", plan.roles),
            Converter::Keys(plan) => format!("Records: {}", plan.roles),
            Converter::Convai2 => "Dialogues, one record a reply".to_string(),
            Converter::Scitldr => "Papers' sentences and their summaries".to_string(),
            Converter::Lines(_) => "Lines, one record each".to_string(),
            Converter::Trec => "Lines after their class, one record each".to_string(),
            Converter::Textgcn => "Lines with a list of their splits and classes, one record each".to_string(),
        };
        let cut = match (shares, &self.converter) {
            (None, _) => String::new(),
            (Some(shares), Converter::Text) => format!("; cut by characters into shares {shares:?}"),
            (Some(shares), _) => format!("; split by the records' SHA-256 into shares {shares:?}"),
        };
        format!("{what}; imported as {}{cut}.", self.format)
    }
}

fn split_order(name: &str) -> (usize, &str) {
    crate::data::card::split_order(name)
}

fn parallel_plan(inputs: &[Input], options: &ImportOptions) -> Result<(Converter, Vec<Source>)> {
    let plan = parallel::plan(inputs, options.keys.source.as_deref(), options.keys.target.as_deref())?;
    let left_out =
        if plan.left_out.is_empty() { String::new() } else { format!("; left out: {}", plan.left_out.join(", ")) };
    info!("languages: {} to {}{left_out}", plan.source, plan.target);
    let sources = plan.pairs.into_iter().map(|(split, source, target)| Source { split, files: vec![source, target] });
    Ok((Converter::Parallel { source: plan.source, target: plan.target }, sources.collect()))
}

/// Formats in which a file stands for itself, and its name gives its split.
fn one_by_one(
    format: Format,
    inputs: &[Input],
    options: &ImportOptions,
    read: &ReadOptions,
) -> Result<(Converter, Vec<Source>)> {
    let inputs = if format == Format::Text { without_second_forms(inputs) } else { inputs.to_vec() };
    let stems: Vec<String> = inputs.iter().map(|input| input.stem().to_string()).collect();
    let splits = splits::assign(&inputs, &stems)?;
    let first = first_of_train(&inputs, &splits)?;
    let converter = match format {
        Format::Superglue => Converter::Superglue(superglue::task_of_all(&inputs)?),
        Format::Csv | Format::Tsv => {
            let dialect = if format == Format::Csv { Dialect::Csv } else { Dialect::Tsv };
            let plan = columns::plan(first, dialect, &options.keys, options.header, options.numeric_label, read)?;
            info!("columns: {}", plan.roles);
            Converter::Columns(plan)
        }
        Format::Jsonl | Format::Parquet => {
            let container = if format == Format::Parquet { Container::Parquet } else { Container::JsonLines };
            let plan = keys::plan(first, container, &options.keys, options.numeric_label, read)?;
            info!("keys: {}", plan.roles);
            Converter::Keys(plan)
        }
        Format::Convai2 => Converter::Convai2,
        Format::Scitldr => Converter::Scitldr,
        Format::Lines => Converter::Lines(labels(&inputs)?),
        Format::Trec => Converter::Trec,
        Format::Text | Format::Parallel | Format::Glue | Format::Textgcn => Converter::Text,
    };
    let source = |(split, input): (String, &Input)| Source { split, files: vec![input.path.clone()] };
    Ok((converter, splits.into_iter().zip(&inputs).map(source).collect()))
}

/// WikiText comes in two forms, `wiki.test.raw` and `wiki.test.tokens`: of files that differ in these endings alone the
/// tokens are taken.
fn without_second_forms(inputs: &[Input]) -> Vec<Input> {
    let has_tokens =
        |input: &Input| inputs.iter().any(|other| other.extension() == "tokens" && other.stem() == input.stem());
    let (second, first): (Vec<Input>, Vec<Input>) =
        inputs.iter().cloned().partition(|input| input.extension() == "raw" && has_tokens(input));
    if !second.is_empty() {
        let names: Vec<&str> = second.iter().map(|input| input.name.as_str()).collect();
        info!("left out, as the .tokens files hold the same text in words: {}", names.join(", "));
    }
    first
}

/// The file that shows what the columns are: test files may lack the labels.
fn first_of_train<'a>(inputs: &'a [Input], splits: &[String]) -> Result<&'a Path> {
    let ordered = inputs.iter().zip(splits).min_by_key(|(input, split)| (split_order(split), &input.name));
    ordered.map(|(input, _)| input.path.as_path()).context("there are no files")
}

/// The labels of the files: all have one, or none has.
fn labels(inputs: &[Input]) -> Result<Vec<(PathBuf, String)>> {
    let label = |input: &Input| match &input.mark {
        Some(Mark::Label(label)) => Some((input.path.clone(), label.clone())),
        _ => None,
    };
    let labels: Vec<(PathBuf, String)> = inputs.iter().filter_map(label).collect();
    if !labels.is_empty() && labels.len() < inputs.len() {
        let without = inputs.iter().find(|input| label(input).is_none());
        refuse!(
            "{} has no label before it as other files have; expected LABEL=PATH for each",
            without.map(|input| input.name.as_str()).unwrap_or_default()
        );
    }
    Ok(labels)
}
