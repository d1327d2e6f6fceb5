//! GLUE: nine tasks, MNLI's two validation sets by themselves, and the diagnostic set.

use super::super::shards::SplitFiles;
use super::{Content, Format, HubSet, LabelKind, Labelled, Layout};

const ENTAILMENT: LabelKind = LabelKind::Classes(&["entailment", "not_entailment"]);
const THREE_WAYS: LabelKind = LabelKind::Classes(&["entailment", "neutral", "contradiction"]);
const SENTENCES: [&str; 2] = ["sentence1", "sentence2"];
const PREMISE: [&str; 2] = ["premise", "hypothesis"];

macro_rules! task {
    ($task:literal, $description:literal, $content:expr) => {
        task!($task, $description, $content, "train", "validation", "test")
    };
    ($task:literal, $description:literal, $content:expr, $($split:literal),+) => {
        HubSet {
            name: concat!("glue-", $task),
            description: concat!("GLUE: ", $description),
            repository: "nyu-mll/glue",
            layouts: &[Layout {
                revision: "main",
                format: Format::Parquet,
                splits: &[$(SplitFiles { split: $split, prefix: concat!($task, "/", $split) }),+],
            }],
            content: $content,
            licence: "the task's own; GLUE gives it for research",
            research_only: true,
        }
    };
}

/// Classes have the hub's names and order; labels of the test splits are secret.
pub(super) const SETS: &[HubSet] = &[
    task!("cola", "whether a sentence is grammatical", single(&["unacceptable", "acceptable"])),
    task!("sst2", "phrases of movie reviews, positive or negative", single(&["negative", "positive"])),
    task!(
        "mrpc",
        "whether two sentences of news say the same",
        pair(SENTENCES, LabelKind::Classes(&["not_equivalent", "equivalent"]))
    ),
    task!(
        "qqp",
        "whether two questions ask the same",
        pair(["question1", "question2"], LabelKind::Classes(&["not_duplicate", "duplicate"]))
    ),
    task!("stsb", "how alike two sentences are, from 0 to 5", pair(SENTENCES, LabelKind::Number)),
    task!(
        "mnli",
        "what follows from a sentence",
        pair(PREMISE, THREE_WAYS),
        "train",
        "validation_matched",
        "validation_mismatched",
        "test_matched",
        "test_mismatched"
    ),
    task!("mnli_matched", "MNLI in the genres of training", pair(PREMISE, THREE_WAYS), "validation", "test"),
    task!("mnli_mismatched", "MNLI in other genres", pair(PREMISE, THREE_WAYS), "validation", "test"),
    task!("qnli", "whether a sentence answers a question", pair(["question", "sentence"], ENTAILMENT)),
    task!("rte", "whether a sentence follows from a text", pair(SENTENCES, ENTAILMENT)),
    task!("wnli", "what a pronoun stands for", pair(SENTENCES, LabelKind::Classes(&["not_entailment", "entailment"]))),
    task!("ax", "the diagnostic set, without labels", pair(PREMISE, THREE_WAYS), "test"),
];

const fn single(classes: &'static [&'static str]) -> Content {
    Content::Labelled(Labelled { text: "sentence", text_b: None, fields: &[], label: LabelKind::Classes(classes) })
}

const fn pair([text, text_b]: [&'static str; 2], label: LabelKind) -> Content {
    Content::Labelled(Labelled { text, text_b: Some(text_b), fields: &[], label })
}
