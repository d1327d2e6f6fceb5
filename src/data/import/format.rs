//! The formats of files that can be imported, and how one is found.

use super::inputs::{Input, Mark};
use super::{glue, superglue};
use crate::data::source::{JsonLines, Lines, ReadOptions, first_sign};
use crate::refuse;
use anyhow::Result;
use std::fmt;

/// What the files to import look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Running text.
    Text,
    /// Two or three files whose lines are translations of each other.
    Parallel,
    /// The tables of a GLUE task.
    Glue,
    /// The JSON lines of a SuperGLUE task.
    Superglue,
    /// JSON lines.
    Jsonl,
    /// Comma-separated values.
    Csv,
    /// Tab-separated values, in which quotes mean nothing.
    Tsv,
    /// Parquet.
    Parquet,
    /// ConvAI2 (PersonaChat): JSON, or the text layout of ParlAI.
    Convai2,
    /// SciTLDR's JSON lines.
    Scitldr,
    /// One text a line; the file's mark is its label, if it has one.
    Lines,
    /// One text a line after its label, as in TREC.
    Trec,
    /// One text a line, and a file with the split and the class of each, as Text GCN has them.
    Textgcn,
}

impl Format {
    /// Every format with its name.
    pub const NAMED: [(&str, Format); 13] = [
        ("text", Self::Text),
        ("parallel", Self::Parallel),
        ("glue", Self::Glue),
        ("superglue", Self::Superglue),
        ("jsonl", Self::Jsonl),
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("parquet", Self::Parquet),
        ("convai2", Self::Convai2),
        ("scitldr", Self::Scitldr),
        ("lines", Self::Lines),
        ("trec", Self::Trec),
        ("textgcn", Self::Textgcn),
    ];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMED.iter().find(|(_, format)| format == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

/// The format of the files, and what shows it.
///
/// # Errors
/// A refusal of files of several formats; files that cannot be read.
pub(super) fn detect(inputs: &[Input], options: &ReadOptions) -> Result<(Format, &'static str)> {
    if inputs.iter().any(|input| matches!(input.mark, Some(Mark::Label(_)))) {
        return Ok((Format::Lines, "from the labels before the paths"));
    }
    if let Some(packed) = inputs.iter().find(|input| PACKED.contains(&input.extension())) {
        refuse!("{} is an archive or packed; unpack it and name the files in it", packed.path.display());
    }
    let mut extensions: Vec<&str> = inputs.iter().map(Input::extension).collect();
    extensions.sort_unstable();
    extensions.dedup();
    match extensions.as_slice() {
        ["parquet"] => Ok((Format::Parquet, "from the file names")),
        ["csv"] => Ok((Format::Csv, "from the file names")),
        ["tsv"] if glue::task_of(&inputs[0]).is_some() => Ok((Format::Glue, "from the folder's name")),
        ["tsv"] => Ok((Format::Tsv, "from the file names")),
        ["jsonl" | "ndjson" | "json"] => detect_json(&inputs[0], options),
        _ if has_counterparts(inputs) => Ok((Format::Parallel, "from the languages in the file names")),
        _ if extensions.iter().any(|extension| STRUCTURED.contains(extension)) => {
            refuse!(
                "the files are of several formats ({}); name those of one format, or say it with --format",
                extensions.join(", ")
            )
        }
        _ if starts_like_parlai(&inputs[0], options)? => {
            Ok((Format::Convai2, "from the first line, as ParlAI writes it"))
        }
        _ => Ok((Format::Text, "from the file names")),
    }
}

const STRUCTURED: [&str; 6] = ["parquet", "csv", "tsv", "jsonl", "ndjson", "json"];
const PACKED: [&str; 8] = ["zip", "tar", "tgz", "bz2", "xz", "zst", "lz4", "7z"];

fn detect_json(input: &Input, options: &ReadOptions) -> Result<(Format, &'static str)> {
    if first_sign(&input.path)? == Some(b'[') {
        return Ok((Format::Convai2, "from the array in the first file"));
    }
    let Some(first) = JsonLines::open(&input.path, options)?.next().transpose()? else {
        return Ok((Format::Jsonl, "from the file names"));
    };
    let is_list = |key: &str| first.get(key).is_some_and(|value| value.is_array());
    if is_list("source") && is_list("target") {
        return Ok((Format::Scitldr, "from the lists in the first record"));
    }
    let task = superglue::task_of(input).filter(|task| task.fits(&first));
    Ok(match task {
        Some(_) => (Format::Superglue, "from the folder's name and the first record"),
        None => (Format::Jsonl, "from the file names"),
    })
}

fn starts_like_parlai(input: &Input, options: &ReadOptions) -> Result<bool> {
    let first = Lines::open_with(&input.path, options)?.next().transpose()?.unwrap_or_default();
    let persona = ["1 your persona: ", "1 partner's persona: "].iter().any(|start| first.starts_with(start));
    Ok(persona || (first.starts_with("1 ") && first.contains('\t')))
}

/// Whether two files have the same name but for the language at its end: source code in `.rs` and `.py` is no translation.
fn has_counterparts(inputs: &[Input]) -> bool {
    let in_languages = inputs.iter().filter(|input| is_language(input.extension()));
    let mut stems: Vec<&str> = in_languages.map(Input::stem).collect();
    stems.sort_unstable();
    stems.windows(2).any(|pair| pair[0] == pair[1])
}

/// Whether an extension is a language: `en`, `pt-BR`, `zh_CN`.
pub(super) fn is_language(extension: &str) -> bool {
    let letters = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    match extension.split_once(['-', '_']) {
        Some((language, region)) => letters(language) && letters(region),
        None => letters(extension) && extension.bytes().all(|byte| byte.is_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::import::inputs::collect;
    use std::fs;

    fn found(files: &[(&str, &str)]) -> Result<Format> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), text).unwrap();
        }
        let paths: Vec<String> =
            files.iter().map(|(name, _)| folder.path().join(name).to_str().unwrap().to_string()).collect();
        detect(&collect(&paths).unwrap(), &ReadOptions::default()).map(|(format, _)| format)
    }

    #[test]
    fn names_and_first_lines_show_the_format() {
        for (files, expected) in [
            (vec![("input.txt", "a"), ("more.txt", "b")], Format::Text),
            (vec![("wiki.test.tokens", "a")], Format::Text),
            (vec![("train.en", "a"), ("train.de", "b")], Format::Parallel),
            (vec![("train.en", "a"), ("train.de", "b"), ("vocabulary.txt", "c")], Format::Parallel),
            (vec![("train.rs", "a"), ("test.py", "b")], Format::Text),
            (vec![("CoLA/train.tsv", "a")], Format::Glue),
            (vec![("other/train.tsv", "a")], Format::Tsv),
            (vec![("train.csv", "a")], Format::Csv),
            (vec![("train.jsonl", "\n{\"text\": 1}")], Format::Jsonl),
            (vec![("train.json", "[\n{}]")], Format::Convai2),
            (vec![("train.jsonl", "{\"source\": [], \"target\": []}")], Format::Scitldr),
            (vec![("CB/train.jsonl", "{\"premise\": \"\", \"hypothesis\": \"\"}")], Format::Superglue),
            (vec![("CB/train.jsonl", "{\"text\": \"\"}")], Format::Jsonl),
            (vec![("train.txt", "1 your persona: i ski.\n2 hi\thello")], Format::Convai2),
        ] {
            assert_eq!(found(&files).unwrap(), expected, "{files:?}");
        }
        let error = found(&[("a.csv", "x"), ("b.jsonl", "{}")]).unwrap_err();
        assert!(error.to_string().contains("csv, jsonl") && crate::exit::code(&error) == 2);
        let error = found(&[("a.tar.gz", "x")]).unwrap_err();
        assert!(error.to_string().contains("unpack it") && crate::exit::code(&error) == 2);
    }
}
