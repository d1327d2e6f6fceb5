//! The tables of the GLUE tasks: tab-separated, quotes mean nothing, some have no header and the test files no labels.

use super::Take;
use super::inputs::Input;
use crate::data::record::{Label, LabelledRecord, Record};
use crate::data::source::{Dialect, ReadOptions, Table};
use crate::refuse;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Map;
use std::path::Path;
use tracing::warn;

/// A task: where its texts and labels stand.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::data) struct Task {
    /// The name in lower case, as on the dataset hub.
    pub name: &'static str,
    /// The folder in the archive of the benchmark.
    folder: &'static str,
    /// The column of the text.
    text: &'static str,
    /// The column of the second text.
    text_b: Option<&'static str>,
    label: LabelColumn,
}

#[derive(Debug, PartialEq, Eq)]
enum LabelColumn {
    /// Cells and the classes that they stand for, in the order of the classes.
    Classes(&'static str, &'static [(&'static str, &'static str)]),
    /// A number.
    Number(&'static str),
}

use LabelColumn::{Classes, Number};

const ENTAILMENT: &[(&str, &str)] = &[("entailment", "entailment"), ("not_entailment", "not_entailment")];
const THREE_WAYS: &[(&str, &str)] =
    &[("entailment", "entailment"), ("neutral", "neutral"), ("contradiction", "contradiction")];
const SENTENCES: (&str, Option<&str>) = ("sentence1", Some("sentence2"));

/// Classes have the names and the order that the dataset hub gives them.
const TASKS: [Task; 10] = [
    task("cola", "CoLA", ("sentence", None), Classes("label", &[("0", "unacceptable"), ("1", "acceptable")])),
    task("sst2", "SST-2", ("sentence", None), Classes("label", &[("0", "negative"), ("1", "positive")])),
    task(
        "mrpc",
        "MRPC",
        ("#1 String", Some("#2 String")),
        Classes("Quality", &[("0", "not_equivalent"), ("1", "equivalent")]),
    ),
    task(
        "qqp",
        "QQP",
        ("question1", Some("question2")),
        Classes("is_duplicate", &[("0", "not_duplicate"), ("1", "duplicate")]),
    ),
    task("stsb", "STS-B", SENTENCES, Number("score")),
    task("mnli", "MNLI", SENTENCES, Classes("gold_label", THREE_WAYS)),
    task("qnli", "QNLI", ("question", Some("sentence")), Classes("label", ENTAILMENT)),
    task("rte", "RTE", SENTENCES, Classes("label", ENTAILMENT)),
    task("wnli", "WNLI", SENTENCES, Classes("label", &[("0", "not_entailment"), ("1", "entailment")])),
    task("ax", "AX", SENTENCES, Classes("label", THREE_WAYS)),
];

const fn task(
    name: &'static str,
    folder: &'static str,
    (text, text_b): (&'static str, Option<&'static str>),
    label: LabelColumn,
) -> Task {
    Task { name, folder, text, text_b, label }
}

/// The columns of CoLA's train and dev files, which have no header.
const COLA_COLUMNS: [&str; 4] = ["source", "label", "original", "sentence"];

/// The task of the folder that a file lies in.
pub(super) fn task_of(input: &Input) -> Option<&'static Task> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_'], "");
    let folder = plain(&input.folder());
    TASKS.iter().find(|task| plain(task.folder) == folder || plain(&format!("glue-{}", task.name)) == folder)
}

/// The task of all inputs, and those of them that are its tables with their splits.
///
/// # Errors
/// Refusals of folders that are no task's, where no table of a task is named, and of two for one split.
pub(super) fn plan(inputs: &[Input]) -> Result<(&'static Task, Vec<(String, &Input)>)> {
    let Some(task) = inputs.first().and_then(task_of) else {
        let folders: Vec<&str> = TASKS.iter().map(|task| task.folder).collect();
        refuse!("the files lie in no folder of a GLUE task; expected a folder named {}", folders.join(", "))
    };
    if let Some(other) = inputs.iter().find(|input| task_of(input) != Some(task)) {
        refuse!("{} is no file of {}; import one task at a time", other.path.display(), task.folder);
    }
    let tables: Vec<(String, &Input)> = inputs.iter().filter_map(|input| Some((split_of(input)?, input))).collect();
    if tables.is_empty() {
        refuse!("found no table of {}; expected train.tsv, dev.tsv or test.tsv", task.folder);
    }
    for (index, (split, input)) in tables.iter().enumerate() {
        if let Some((_, other)) = tables[..index].iter().find(|(name, _)| name == split) {
            let (other, path) = (other.path.display(), input.path.display());
            refuse!("{other} and {path} would both be the split {split}; name one of them");
        }
    }
    Ok((task, tables))
}

/// The archive has further files, such as lists of identifiers, that are no tables.
fn split_of(input: &Input) -> Option<String> {
    let split = match input.stem() {
        "diagnostic" | "AX" => "test".to_string(),
        stem => match stem.split_once('_') {
            None => usual(stem)?.to_string(),
            Some((split, kind @ ("matched" | "mismatched"))) => format!("{}_{kind}", usual(split)?),
            Some(_) => return None,
        },
    };
    (input.extension() == "tsv").then_some(split)
}

fn usual(stem: &str) -> Option<&'static str> {
    match stem {
        "train" => Some("train"),
        "dev" | "validation" => Some("validation"),
        "test" => Some("test"),
        _ => None,
    }
}

impl Task {
    /// The names of the classes, in order.
    pub fn classes(&self) -> Option<Vec<String>> {
        match &self.label {
            Classes(_, classes) => Some(classes.iter().map(|(_, name)| name.to_string()).collect()),
            Number(_) => None,
        }
    }

    /// Gives the rows of a table as records.
    pub fn convert(&self, path: &Path, options: &ReadOptions, take: Take) -> Result<()> {
        // QQP's official files have a few rows that are cut off, which everybody leaves out.
        let may_be_short = self.name == "qqp";
        let mut table = Table::open(path, Dialect::Tsv, options)?;
        if may_be_short {
            table = table.uneven();
        }
        let mut short = 0;
        let Some(first) = table.next().transpose()? else { bail!("{} is empty; expected a table", path.display()) };
        let columns = self.columns(&first).with_context(|| table.place())?;
        if !columns.header {
            take(self.record(&columns, &first).with_context(|| table.place())?)?;
        }
        while let Some(row) = table.next().transpose()? {
            if may_be_short && row.len() < first.len() {
                short += 1;
                continue;
            }
            let record = self.record(&columns, &row).with_context(|| table.place())?;
            take(record)?;
        }
        if short > 0 {
            warn!("{}: {short} rows are cut off and left out", path.display());
        }
        Ok(())
    }

    fn columns(&self, first: &[String]) -> Result<Columns> {
        let find = |names: &[&str], name: &str| names.iter().position(|other| *other == name);
        let mut names: Vec<&str> = first.iter().map(String::as_str).collect();
        let mut header = true;
        if self.name == "cola" && find(&names, self.text).is_none() {
            ensure!(names.len() == COLA_COLUMNS.len(), "found {} columns; expected 4, as in CoLA", names.len());
            (names, header) = (COLA_COLUMNS.to_vec(), false);
        }
        let wanted = |name: &str| {
            let found = find(&names, name);
            found.with_context(|| {
                format!("found no column {name:?}, which {} has; found {}", self.folder, names.join(", "))
            })
        };
        let (Classes(label, _) | Number(label)) = self.label;
        Ok(Columns {
            header,
            text: wanted(self.text)?,
            text_b: self.text_b.map(wanted).transpose()?,
            label: find(&names, label),
        })
    }

    fn record(&self, columns: &Columns, row: &[String]) -> Result<Record> {
        let cell = |index: usize| row.get(index).cloned().unwrap_or_default();
        let label = columns.label.map(|index| self.label(&cell(index))).transpose()?;
        let text_b = columns.text_b.map(cell);
        Ok(Record::Labelled(LabelledRecord { text: cell(columns.text), text_b, fields: Map::new(), label }))
    }

    fn label(&self, cell: &str) -> Result<Label> {
        match &self.label {
            Number(_) => {
                let number = cell.parse().ok().filter(|number: &f64| number.is_finite());
                number.map(Label::Number).with_context(|| format!("the label is {cell:?}; expected a number"))
            }
            Classes(_, classes) => {
                let class = classes.iter().find(|(stored, name)| *stored == cell || *name == cell);
                let expected = || classes.iter().map(|(stored, _)| *stored).collect::<Vec<_>>().join(", ");
                let class = class.with_context(|| format!("the label is {cell:?}; expected one of {}", expected()))?;
                Ok(Label::Class(class.1.into()))
            }
        }
    }
}

/// Where the columns of a table are.
struct Columns {
    header: bool,
    text: usize,
    text_b: Option<usize>,
    label: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::super::tests::{converted, failed};
    use super::*;

    fn task(name: &str) -> &'static Task {
        TASKS.iter().find(|task| task.name == name).unwrap()
    }

    fn lines(name: &str, text: &str) -> Vec<String> {
        converted(text, |path, options, take| task(name).convert(path, options, take))
    }

    #[test]
    fn tables_with_and_without_headers_and_labels() {
        let cola = ["gj04\t1\t\tA \"b.\n", "gj04\t0\t*\tC\n"].concat();
        let expected = [r#"{"text":"A \"b.","label":"acceptable"}"#, r#"{"text":"C","label":"unacceptable"}"#];
        assert_eq!(lines("cola", &cola), expected);
        assert_eq!(lines("cola", "index\tsentence\n0\tA\n"), [r#"{"text":"A"}"#]);
        let mrpc = "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t2\t3\ta\tb\r\n";
        assert_eq!(lines("mrpc", mrpc), [r#"{"text":"a","text_b":"b","label":"equivalent"}"#]);
        let stsb = "index\tsentence1\tsentence2\tscore\n0\ta\tb\t4.750\n1\tc\td\t5\n";
        let expected = [r#"{"text":"a","text_b":"b","label":4.75}"#, r#"{"text":"c","text_b":"d","label":5.0}"#];
        assert_eq!(lines("stsb", stsb), expected);
        let qqp = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta\tb\t1\n3\t4\tcut\n";
        assert_eq!(lines("qqp", qqp), [r#"{"text":"a","text_b":"b","label":"duplicate"}"#]);
    }

    #[test]
    fn damage_names_file_and_line() {
        let message =
            |name: &str, text: &str| failed(text, |path, options, take| task(name).convert(path, options, take));
        let unknown = message("rte", "sentence1\tsentence2\tlabel\na\tb\tmaybe\n");
        assert!(unknown.contains("line 2: the label is \"maybe\"; expected one of entailment, not"), "{unknown}");
        assert!(message("stsb", "sentence1\tsentence2\tscore\na\tb\tnan\n").contains("expected a number"));
        assert!(message("rte", "sentence1\tsentence2\tlabel\na\tb\n").contains("line 2: the row has 2 columns"));
        assert!(message("rte", "sentence1\tlabel\na\tb\n").contains("line 1: found no column \"sentence2\""));
        assert!(message("sst2", "").contains("is empty"));
    }

    #[test]
    fn names_of_files_and_folders_give_task_and_split() {
        let input = |path: &str| {
            let name = path.rsplit('/').next().unwrap().to_string();
            Input { name, path: path.into(), mark: None }
        };
        let inputs = ["dev_ids.tsv", "dev_matched.tsv", "test_mismatched.tsv", "train.tsv", "msr_train.txt"]
            .map(|name| input(&format!("/x/MNLI/{name}")));
        let (task, tables) = plan(&inputs).unwrap();
        let splits: Vec<&str> = tables.iter().map(|(split, _)| split.as_str()).collect();
        assert_eq!((task.name, splits), ("mnli", vec!["validation_matched", "test_mismatched", "train"]));
        assert_eq!(task_of(&input("/x/glue-sst2/train.tsv")).unwrap().name, "sst2");
        assert!(plan(&[input("/x/other/train.tsv")]).unwrap_err().to_string().contains("CoLA, SST-2"));
        assert!(plan(&[input("/x/RTE/train.tsv"), input("/x/WNLI/train.tsv")]).is_err());
        let both = plan(&[input("/x/RTE/dev.tsv"), input("/x/RTE/validation.tsv.gz")]).unwrap_err().to_string();
        assert!(both.contains("dev.tsv and /x/RTE/validation.tsv.gz would both be the split validation"), "{both}");
    }
}
