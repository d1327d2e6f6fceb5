//! CSV and TSV files with any columns.

use super::Take;
use super::roles::{Keys, Roles, guess, label_of_cell};
use crate::data::record::{LabelledRecord, PairRecord, Record, TextRecord};
use crate::data::source::{Dialect, ReadOptions, Table};
use crate::refuse;
use anyhow::{Context, Result, anyhow, bail};
use serde_json::Map;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// Rows that are looked at where nothing says which column is which.
const ROWS_LOOKED_AT: usize = 1000;
/// Characters of the longest class, where the column of the classes is looked for.
const LONGEST_CLASS: usize = 40;

/// What the columns are, in all files of a set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub dialect: Dialect,
    pub roles: Roles<Column>,
    header: bool,
    numeric: bool,
}

/// A column by the name in the header, or by its place, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Column {
    Name(String),
    Place(usize),
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name:?}"),
            Self::Place(place) => write!(f, "in column {}", place + 1),
        }
    }
}

/// Finds out from the first file what the columns are: what the user says, else what the header says, else of two
/// columns the one with fewer different and short cells is the label.
///
/// # Errors
/// A refusal where they cannot be told; files that cannot be read.
pub(super) fn plan(
    first: &Path,
    dialect: Dialect,
    keys: &Keys,
    header: Option<bool>,
    numeric: bool,
    options: &ReadOptions,
) -> Result<Plan> {
    let Some(row) = Table::open(first, dialect, options)?.next().transpose()? else {
        bail!("{} is empty; expected a table", first.display())
    };
    let guessed = guess(|name| row.iter().any(|cell| cell == name));
    let said = keys.roles()?;
    let names = said.as_ref().is_some_and(|roles| roles.all().iter().any(|name| name.parse::<usize>().is_err()));
    let header = header.unwrap_or(names || guessed.is_some());
    let cannot_tell = || refusal_of(first, &row, if header { "the header" } else { "the first row" });
    let roles = match said {
        Some(roles) => roles.try_map(|name| column(name, header), |name| column(name, header).map(Some))?,
        None if header => guessed.map(|roles| roles.map(Column::Name)).ok_or_else(cannot_tell)?,
        None => look(first, dialect, row.len(), options)?.ok_or_else(cannot_tell)?,
    };
    let plan = Plan { dialect, roles, header, numeric };
    plan.places(header.then_some(row.as_slice()), row.len(), false).with_context(|| first.display().to_string())?;
    Ok(plan)
}

fn refusal_of(path: &Path, row: &[String], what: &str) -> anyhow::Error {
    let cells: Vec<String> = row.iter().map(|cell| cell.chars().take(40).collect()).collect();
    crate::refusal!(
        "{}: cannot tell what the columns are; say it with --text and --label, or --source and --target, by name or by \
         number from 1 on; {what} is {cells:?}",
        path.display()
    )
}

fn column(name: &str, header: bool) -> Result<Column> {
    match name.parse::<usize>() {
        Ok(0) => refuse!("columns are counted from 1 on; found 0"),
        Ok(number) => Ok(Column::Place(number - 1)),
        Err(_) if header => Ok(Column::Name(name.to_string())),
        Err(_) => refuse!("the tables have no header, so that {name:?} is no column; give its number, from 1 on"),
    }
}

/// What the cells of a table without a header show.
fn look(path: &Path, dialect: Dialect, width: usize, options: &ReadOptions) -> Result<Option<Roles<Column>>> {
    match width {
        1 => return Ok(Some(Roles::Text { text: Column::Place(0) })),
        2 => {}
        _ => return Ok(None),
    }
    // The different cells of each column, until one is too long for a class.
    let mut different = [Some(BTreeSet::new()), Some(BTreeSet::new())];
    let mut rows = 0;
    for row in Table::open(path, dialect, options)?.take(ROWS_LOOKED_AT) {
        rows += 1;
        for (cells, cell) in different.iter_mut().zip(row?) {
            match cells {
                Some(cells) if cell.chars().count() <= LONGEST_CLASS => {
                    cells.insert(cell);
                }
                cells => *cells = None,
            }
        }
    }
    let classes = different.map(|cells| cells.map(|cells| cells.len()).filter(|count| count * 2 <= rows.max(4)));
    let (text, label) = match classes {
        [Some(_), None] => (1, 0),
        [None, Some(_)] => (0, 1),
        [Some(first), Some(second)] if first < second => (1, 0),
        [Some(first), Some(second)] if first > second => (0, 1),
        _ => return Ok(None),
    };
    Ok(Some(Roles::Labelled { text: Column::Place(text), text_b: None, label: Some(Column::Place(label)) }))
}

impl<T: Clone> Roles<T> {
    fn all(&self) -> Vec<T> {
        match self {
            Self::Pairs { source, target } => vec![source.clone(), target.clone()],
            Self::Text { text } => vec![text.clone()],
            Self::Labelled { text, text_b, label } => {
                [Some(text.clone()), text_b.clone(), label.clone()].into_iter().flatten().collect()
            }
        }
    }

    fn map<U>(self, make: impl Fn(T) -> U) -> Roles<U> {
        match self {
            Self::Pairs { source, target } => Roles::Pairs { source: make(source), target: make(target) },
            Self::Text { text } => Roles::Text { text: make(text) },
            Self::Labelled { text, text_b, label } => {
                Roles::Labelled { text: make(text), text_b: text_b.map(&make), label: label.map(&make) }
            }
        }
    }
}

impl Plan {
    /// Where the columns are in a table of `width` columns. A label's may be missing where it may: in test files.
    fn places(&self, header: Option<&[String]>, width: usize, without_label: bool) -> Result<Roles<usize>> {
        let find = |column: &Column| match column {
            Column::Name(name) => header.and_then(|header| header.iter().position(|cell| cell == name)),
            Column::Place(place) => Some(*place).filter(|place| *place < width),
        };
        let missing = |column: &Column| match (column, header) {
            (Column::Name(name), Some(header)) => {
                crate::refusal!("there is no column {name:?}; the header is {}", header.join(", "))
            }
            (column, _) => crate::refusal!("there is no text {column}; the table has {width} columns"),
        };
        self.roles.try_map(
            |column| find(column).ok_or_else(|| missing(column)),
            |column| match find(column) {
                None if !without_label => Err(missing(column)),
                place => Ok(place),
            },
        )
    }

    /// Gives the rows of a file as records. Further columns of a table with a header are further fields.
    pub fn convert(&self, path: &Path, options: &ReadOptions, take: Take) -> Result<()> {
        let mut table = Table::open(path, self.dialect, options)?;
        let Some(first) = table.next().transpose()? else { bail!("{} is empty; expected a table", path.display()) };
        let header = self.header.then_some(first.as_slice());
        let places = self.places(header, first.len(), true).map_err(|error| anyhow!("{}: {error}", table.place()))?;
        if !self.header {
            take(self.record(&places, None, first.clone()).with_context(|| table.place())?)?;
        }
        while let Some(row) = table.next().transpose()? {
            take(self.record(&places, header, row).with_context(|| table.place())?)?;
        }
        Ok(())
    }

    fn record(&self, places: &Roles<usize>, header: Option<&[String]>, row: Vec<String>) -> Result<Record> {
        let cell = |place: &usize| row[*place].clone();
        Ok(match places {
            Roles::Pairs { source, target } => {
                Record::Pair(PairRecord { source: cell(source), target: cell(target), references: Vec::new() })
            }
            Roles::Text { text } => Record::Text(TextRecord { text: cell(text) }),
            Roles::Labelled { text, text_b, label } => {
                let used = places.all();
                let mut fields = Map::new();
                for (place, name) in header.unwrap_or_default().iter().enumerate() {
                    if !used.contains(&place) && !["text", "text_b", "label"].contains(&name.as_str()) {
                        fields.insert(name.clone(), cell(&place).into());
                    }
                }
                let label = label.map(|place| label_of_cell(&row[place], self.numeric)).transpose()?.flatten();
                Record::Labelled(LabelledRecord { text: cell(text), text_b: text_b.as_ref().map(cell), fields, label })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::converted;
    use super::*;
    use std::fs;

    fn keys(text: &str, label: &str) -> Keys {
        let given = |name: &str| Some(name.to_string()).filter(|name| !name.is_empty());
        Keys { text: given(text), label: given(label), ..Keys::default() }
    }

    fn lines(text: &str, dialect: Dialect, keys: &Keys) -> Vec<String> {
        converted(text, |path, options, take| {
            plan(path, dialect, keys, None, false, options)?.convert(path, options, take)
        })
    }

    fn message(text: &str, keys: &Keys, header: Option<bool>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        fs::write(&path, text).unwrap();
        let error = plan(&path, Dialect::Tsv, keys, header, false, &ReadOptions::default()).unwrap_err();
        assert_eq!(crate::exit::code(&error), 2, "{error:#}");
        format!("{error:#}")
    }

    #[test]
    fn without_a_header_the_column_of_few_short_cells_is_the_label() {
        let text_first = ["a text\tpos\n", "another\tneg\n", "a third\tpos\n", "a fourth\tneg"].concat();
        let found = lines(&text_first, Dialect::Tsv, &Keys::default());
        assert_eq!(found[..2], [r#"{"text":"a text","label":"pos"}"#, r#"{"text":"another","label":"neg"}"#]);
        let label_first = ["1\ta text\n", "0\tanother\n", "1\ta third\n", "0\ta fourth\n"].concat();
        assert_eq!(lines(&label_first, Dialect::Tsv, &Keys::default())[0], r#"{"text":"a text","label":"1"}"#);
        assert_eq!(lines("one\ntwo\n", Dialect::Tsv, &Keys::default())[1], r#"{"text":"two"}"#);
        assert!(
            message("a\tb\nc\td\ne\tf\ng\th\ni\tj\n", &Keys::default(), None)
                .contains("cannot tell what the columns are")
        );
        assert!(message("a\tb\tc\n", &Keys::default(), None).contains("the first row is [\"a\", \"b\", \"c\"]"));
    }

    #[test]
    fn a_header_names_the_columns() {
        let csv = "title,text,label\n\"T, t\",\"a\nb\",2\n";
        assert_eq!(lines(csv, Dialect::Csv, &Keys::default()), [r#"{"text":"a\nb","title":"T, t","label":"2"}"#]);
        assert_eq!(lines(csv, Dialect::Csv, &keys("title", "")), [r#"{"text":"T, t"}"#]);
        assert_eq!(lines(csv, Dialect::Csv, &keys("1", "3")), [r#"{"text":"T, t","label":"2"}"#]);
        assert!(
            message("text\tlabel\na\tb\n", &keys("body", "label"), None)
                .contains("no column \"body\"; the header is text, label")
        );
        assert!(message("a\tb\n", &keys("1", "3"), None).contains("no text in column 3; the table has 2 columns"));
        assert!(message("a\tb\n", &keys("0", ""), None).contains("counted from 1 on"));
        assert!(message("a\tb\n", &keys("x", ""), Some(false)).contains("no header"));
    }

    #[test]
    fn a_file_without_the_label_is_not_labelled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.tsv");
        fs::write(&path, "text\tlabel\na\tb\n").unwrap();
        let plan = plan(&path, Dialect::Tsv, &Keys::default(), None, false, &ReadOptions::default()).unwrap();
        let test = converted("index\ttext\n0\tc\n", |path, options, take| plan.convert(path, options, take));
        assert_eq!(test, [r#"{"text":"c","index":"0"}"#]);
    }
}
