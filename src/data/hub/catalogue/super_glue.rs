//! SuperGLUE: eight tasks, WSC with its indices repaired, and the two diagnostic sets.

use super::super::shards::SplitFiles;
use super::{Content, Format, HubSet, LabelKind, Labelled, Layout};

const YES_NO: LabelKind = LabelKind::Classes(&["False", "True"]);
const ENTAILMENT: LabelKind = LabelKind::Classes(&["entailment", "not_entailment"]);
const SPANS: &[(&str, &str)] = &[
    ("span1_text", "span1_text"),
    ("span1_index", "span1_index"),
    ("span2_text", "span2_text"),
    ("span2_index", "span2_index"),
];

macro_rules! task {
    ($task:literal, $description:literal, $content:expr) => {
        task!($task, $description, $content, "train", "validation", "test")
    };
    ($task:literal, $description:literal, $content:expr, $($split:literal),+) => {
        HubSet {
            name: concat!("super-glue-", $task),
            description: concat!("SuperGLUE: ", $description),
            repository: "aps/super_glue",
            layouts: &[Layout {
                revision: "main",
                format: Format::Parquet,
                splits: &[$(SplitFiles { split: $split, prefix: concat!($task, "/", $split) }),+],
            }],
            content: $content,
            licence: "the task's own; SuperGLUE gives it for research",
            research_only: true,
        }
    };
}

/// Classes have the hub's names and order; labels of the test splits are secret.
pub(super) const SETS: &[HubSet] = &[
    task!("boolq", "yes or no questions about a passage", labelled("passage", Some("question"), &[], YES_NO)),
    task!(
        "cb",
        "whether a speaker means an embedded sentence",
        labelled("premise", Some("hypothesis"), &[], LabelKind::Classes(&["entailment", "contradiction", "neutral"]))
    ),
    task!(
        "copa",
        "which of two is the cause or effect",
        labelled(
            "premise",
            None,
            &[("choice1", "choice1"), ("choice2", "choice2"), ("question", "question")],
            LabelKind::Classes(&["choice1", "choice2"])
        )
    ),
    task!(
        "multirc",
        "right and wrong answers to questions about a paragraph",
        labelled(
            "paragraph",
            None,
            &[("question", "question"), ("answer", "answer"), ("group", "idx.question")],
            YES_NO
        )
    ),
    task!(
        "record",
        "which entity a query about a passage lacks",
        labelled(
            "passage",
            None,
            &[("query", "query"), ("entities", "entities"), ("answers", "answers")],
            LabelKind::Absent
        )
    ),
    task!("rte", "whether a sentence follows from a text", labelled("premise", Some("hypothesis"), &[], ENTAILMENT)),
    task!(
        "wic",
        "whether a word has one meaning in two sentences",
        labelled(
            "sentence1",
            Some("sentence2"),
            &[("word", "word"), ("start1", "start1"), ("end1", "end1"), ("start2", "start2"), ("end2", "end2")],
            YES_NO
        )
    ),
    task!("wsc", "whether a pronoun stands for a noun", labelled("text", None, SPANS, YES_NO)),
    task!("wsc.fixed", "WSC with its indices repaired", labelled("text", None, SPANS, YES_NO)),
    task!("axb", "the broad diagnostic set", labelled("sentence1", Some("sentence2"), &[], ENTAILMENT), "test"),
    task!("axg", "the diagnostic set about gender", labelled("premise", Some("hypothesis"), &[], ENTAILMENT), "test"),
];

const fn labelled(
    text: &'static str,
    text_b: Option<&'static str>,
    fields: &'static [(&'static str, &'static str)],
    label: LabelKind,
) -> Content {
    Content::Labelled(Labelled { text, text_b, fields, label })
}
