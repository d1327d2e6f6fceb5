//! The named sets of the hub, as data: where their files are, and what a row holds.

mod glue;
mod super_glue;
mod texts;

use super::shards::SplitFiles;
use crate::data::record::Shape;

/// A named set.
#[derive(Debug, PartialEq)]
pub struct HubSet {
    /// Its name here.
    pub name: &'static str,
    /// What it is, in a few words.
    pub description: &'static str,
    /// The dataset on the hub, `owner/name`.
    pub repository: &'static str,
    /// Where its files are in the repository; the first that is there is taken.
    pub layouts: &'static [Layout],
    /// What a row becomes.
    pub content: Content,
    /// Under which terms it stands.
    pub licence: &'static str,
    /// Whether those terms allow research only.
    pub research_only: bool,
}

/// Where a set's files are.
#[derive(Debug, PartialEq)]
pub struct Layout {
    /// The branch.
    pub revision: &'static str,
    /// What the files are.
    pub format: Format,
    /// Which belong to which split.
    pub splits: &'static [SplitFiles],
}

/// What files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Parquet.
    Parquet,
    /// A JSON object a line.
    JsonLines,
    /// The same, gzipped.
    GzippedJsonLines,
    /// One JSON array of objects.
    JsonArray,
}

/// What a row becomes. Columns in structs are named by their path, with dots.
#[derive(Debug, PartialEq)]
pub enum Content {
    /// A line of running text.
    Lines {
        /// The column of the line, with or without its line break.
        column: &'static str,
        /// What a blank line holds in the original, which the hub keeps as nothing.
        blank: &'static str,
    },
    /// A text.
    Texts {
        /// Its column.
        column: &'static str,
    },
    /// A source and its target.
    Pairs {
        /// The column of the source.
        source: &'static str,
        /// The column of the target.
        target: &'static str,
        /// The languages of the two.
        languages: Option<(&'static str, &'static str)>,
    },
    /// A text or two with a label.
    Labelled(Labelled),
    /// Turns of a dialogue: a row each, or a row the whole with its `utterances`.
    Dialogue,
}

/// What a labelled record is made of.
#[derive(Debug, PartialEq)]
pub struct Labelled {
    /// The column of the text.
    pub text: &'static str,
    /// The column of the second text.
    pub text_b: Option<&'static str>,
    /// Further fields: their names and columns.
    pub fields: &'static [(&'static str, &'static str)],
    /// What the column `label` holds.
    pub label: LabelKind,
}

/// What labels are. −1 stands for one that is kept secret.
#[derive(Debug, PartialEq)]
pub enum LabelKind {
    /// The index of a class.
    Classes(&'static [&'static str]),
    /// A number.
    Number,
    /// There is none.
    Absent,
}

impl Format {
    /// How the files' names end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::JsonLines => "jsonl",
            Self::GzippedJsonLines => "json.gz",
            Self::JsonArray => "json",
        }
    }
}

impl Content {
    /// The columns that are read, by their root.
    pub fn columns(&self) -> Vec<&'static str> {
        let paths = match self {
            Self::Lines { column, .. } | Self::Texts { column } => vec![*column],
            Self::Pairs { source, target, .. } => vec![*source, *target],
            Self::Labelled(labelled) => labelled.columns(),
            Self::Dialogue => vec!["personality", "history", "candidates"],
        };
        let mut roots: Vec<&str> = Vec::new();
        for root in paths.into_iter().map(|path| path.split('.').next().unwrap_or(path)) {
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        roots
    }

    /// What its records hold; none of running text.
    pub fn shape(&self) -> Option<Shape> {
        match self {
            Self::Lines { .. } => None,
            Self::Texts { .. } => Some(Shape::Text),
            Self::Pairs { .. } => Some(Shape::Pairs),
            Self::Labelled(_) => Some(Shape::Labelled),
            Self::Dialogue => Some(Shape::Dialogue),
        }
    }

    /// The classes of its labels, in order.
    pub fn classes(&self) -> Option<Vec<String>> {
        match self {
            Self::Labelled(Labelled { label: LabelKind::Classes(classes), .. }) => {
                Some(classes.iter().map(|class| class.to_string()).collect())
            }
            _ => None,
        }
    }
}

impl Labelled {
    fn columns(&self) -> Vec<&'static str> {
        let fields = self.fields.iter().map(|(_, column)| *column);
        let label = (self.label != LabelKind::Absent).then_some("label");
        [self.text].into_iter().chain(self.text_b).chain(fields).chain(label).collect()
    }
}

/// All sets, by kind.
pub fn all() -> impl Iterator<Item = &'static HubSet> {
    texts::SETS.iter().chain(glue::SETS).chain(super_glue::SETS)
}

/// The names of all sets.
pub fn names() -> Vec<&'static str> {
    all().map(|set| set.name).collect()
}

/// The set of that name.
pub fn find(name: &str) -> Option<&'static HubSet> {
    all().find(|set| set.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::is_name;

    #[test]
    fn every_set_is_named_once_and_has_what_it_needs() {
        let names = names();
        for (index, set) in all().enumerate() {
            assert!(is_name(set.name) && !names[..index].contains(&set.name), "{}", set.name);
            assert!(set.repository.matches('/').count() == 1 && !set.layouts.is_empty(), "{}", set.name);
            for layout in set.layouts {
                assert!(!layout.splits.is_empty(), "{}", set.name);
                assert!(layout.splits.iter().all(|files| is_name(files.split)), "{}", set.name);
            }
        }
        for name in ["lm1b", "wikitext-2", "wikitext-103", "c4", "wmt14-de-en", "wmt14-fr-en", "multi30k"] {
            assert!(find(name).is_some(), "{name}");
        }
        let starting = |prefix: &str| names.iter().filter(|name| name.starts_with(prefix)).count();
        assert_eq!((starting("glue-"), starting("super-glue-"), names.len()), (12, 11, 35));
    }

    #[test]
    fn columns_are_named_once() {
        assert_eq!(find("wmt14-de-en").unwrap().content.columns(), ["translation"]);
        assert_eq!(
            find("super-glue-multirc").unwrap().content.columns(),
            ["paragraph", "question", "answer", "idx", "label"]
        );
        assert_eq!(find("glue-ax").unwrap().content.columns(), ["premise", "hypothesis", "label"]);
    }
}
