//! GLUE and SuperGLUE in small: the columns of every task.

use super::miniatures::Miniature;
use super::parquet_file::{Column, file, lists, snappy, texts};
use super::stand_in::large;

/// A task: its columns but the label, and what two rows become.
struct Task {
    fields: &'static str,
    columns: Vec<Column>,
    /// Without their labels.
    lines: [&'static str; 2],
    /// The labels of the two rows, in the files and in the records.
    labels: [(f32, &'static str); 2],
}

const THREE_SPLITS: &[&str] = &["train", "validation", "test"];
const ENTAILMENT: [(f32, &str); 2] = [(0.0, "\"entailment\""), (1.0, "\"not_entailment\"")];
const TRUTH: [(f32, &str); 2] = [(0.0, "\"False\""), (1.0, "\"True\"")];
const PAIR: [&str; 2] = [r#"{"text":"a 1","text_b":"b 1"}"#, r#"{"text":"a 2","text_b":"b 2"}"#];

/// The repository of `glue-…` or `super-glue-…`.
pub fn miniature(set: &str) -> Miniature {
    let (repository, name) = match set.strip_prefix("super-glue-") {
        Some(name) => ("aps/super_glue", name),
        None => ("nyu-mll/glue", set.strip_prefix("glue-").unwrap()),
    };
    let task = if repository == "nyu-mll/glue" { glue(name) } else { super_glue(name) };
    let mut miniature = Miniature { repository, revision: "main", files: Vec::new(), splits: Vec::new() };
    for &split in splits(name) {
        let known = !split.starts_with("test") && name != "record";
        miniature.files.push(large(&format!("{name}/{split}-00000-of-00001.parquet"), part(&task, name, known)));
        miniature.splits.push((split, lines(&task, known)));
    }
    miniature
}

fn splits(name: &str) -> &'static [&'static str] {
    match name {
        "mnli" => &["train", "validation_matched", "validation_mismatched", "test_matched", "test_mismatched"],
        "mnli_matched" | "mnli_mismatched" => &["validation", "test"],
        "ax" | "axb" | "axg" => &["test"],
        _ => THREE_SPLITS,
    }
}

fn part(task: &Task, name: &str, known: bool) -> Vec<u8> {
    let labels = task.labels.map(|(label, _)| if known { label } else { -1.0 });
    let (kind, column) = match name {
        "stsb" => ("optional float label;", Column::Floats(labels.to_vec())),
        _ => ("optional int64 label;", Column::Longs(labels.map(|label| label as i64).to_vec())),
    };
    let mut columns = task.columns.clone();
    let kind = if name == "record" { "" } else { kind };
    columns.extend((name != "record").then_some(column));
    file(&format!("message schema {{ {} {kind} }}", task.fields), snappy(), &[columns])
}

fn lines(task: &Task, known: bool) -> Vec<String> {
    let line = |(line, (_, label)): (&&str, &(f32, &str))| match known {
        true => format!("{},\"label\":{label}}}", line.strip_suffix('}').unwrap()),
        false => line.to_string(),
    };
    task.lines.iter().zip(&task.labels).map(line).collect()
}

fn a() -> Column {
    texts(&["a 1", "a 2"])
}

fn b() -> Column {
    texts(&["b 1", "b 2"])
}

fn index() -> Column {
    Column::Ints(vec![0, 1])
}

fn pair(fields: &'static str, labels: [(f32, &'static str); 2]) -> Task {
    Task { fields, columns: vec![a(), b(), index()], lines: PAIR, labels }
}

fn single(labels: [(f32, &'static str); 2]) -> Task {
    let fields = "optional binary sentence (UTF8); optional int32 idx;";
    Task { fields, columns: vec![a(), index()], lines: [r#"{"text":"a 1"}"#, r#"{"text":"a 2"}"#], labels }
}

const SENTENCES: &str = "optional binary sentence1 (UTF8); optional binary sentence2 (UTF8); optional int32 idx;";
const PREMISE: &str = "optional binary premise (UTF8); optional binary hypothesis (UTF8); optional int32 idx;";

fn glue(name: &str) -> Task {
    match name {
        "cola" => single([(0.0, "\"unacceptable\""), (1.0, "\"acceptable\"")]),
        "sst2" => single([(0.0, "\"negative\""), (1.0, "\"positive\"")]),
        "mrpc" => pair(SENTENCES, [(0.0, "\"not_equivalent\""), (1.0, "\"equivalent\"")]),
        "qqp" => pair(
            "optional binary question1 (UTF8); optional binary question2 (UTF8); optional int32 idx;",
            [(0.0, "\"not_duplicate\""), (1.0, "\"duplicate\"")],
        ),
        "stsb" => pair(SENTENCES, [(3.8, "3.8"), (5.0, "5.0")]),
        "qnli" => {
            pair("optional binary question (UTF8); optional binary sentence (UTF8); optional int32 idx;", ENTAILMENT)
        }
        "rte" => pair(SENTENCES, ENTAILMENT),
        "wnli" => pair(SENTENCES, [(0.0, "\"not_entailment\""), (1.0, "\"entailment\"")]),
        "ax" | "mnli" | "mnli_matched" | "mnli_mismatched" => {
            pair(PREMISE, [(1.0, "\"neutral\""), (2.0, "\"contradiction\"")])
        }
        _ => panic!("no such task: {name}"),
    }
}

fn super_glue(name: &str) -> Task {
    match name {
        "boolq" => Task {
            fields: "optional binary question (UTF8); optional binary passage (UTF8); optional int32 idx;",
            columns: vec![b(), a(), index()],
            lines: PAIR,
            labels: TRUTH,
        },
        "cb" => pair(PREMISE, [(1.0, "\"contradiction\""), (2.0, "\"neutral\"")]),
        "rte" | "axg" => pair(PREMISE, ENTAILMENT),
        "axb" => pair(SENTENCES, ENTAILMENT),
        "copa" => copa(),
        "multirc" => multirc(),
        "record" => record(),
        "wic" => wic(),
        "wsc" | "wsc.fixed" => wsc(),
        _ => panic!("no such task: {name}"),
    }
}

fn copa() -> Task {
    Task {
        fields: "optional binary premise (UTF8); optional binary choice1 (UTF8); optional binary choice2 (UTF8);
            optional binary question (UTF8); optional int32 idx;",
        columns: vec![a(), b(), texts(&["c 1", "c 2"]), texts(&["cause", "effect"]), index()],
        lines: [
            r#"{"text":"a 1","choice1":"b 1","choice2":"c 1","question":"cause"}"#,
            r#"{"text":"a 2","choice1":"b 2","choice2":"c 2","question":"effect"}"#,
        ],
        labels: [(0.0, "\"choice1\""), (1.0, "\"choice2\"")],
    }
}

fn multirc() -> Task {
    Task {
        fields: "optional binary paragraph (UTF8); optional binary question (UTF8); optional binary answer (UTF8);
            optional group idx { optional int32 paragraph; optional int32 question; optional int32 answer; }",
        columns: vec![a(), b(), texts(&["c 1", "c 2"]), index(), Column::Ints(vec![7, 7]), index()],
        lines: [
            r#"{"text":"a 1","question":"b 1","answer":"c 1","group":7}"#,
            r#"{"text":"a 2","question":"b 2","answer":"c 2","group":7}"#,
        ],
        labels: TRUTH,
    }
}

/// Answers are an empty list where they are secret; there is no label.
fn record() -> Task {
    Task {
        fields: "optional binary passage (UTF8); optional binary query (UTF8);
            optional group entities (LIST) { repeated group list { optional binary element (UTF8); } }
            optional group entity_spans {
                optional group text (LIST) { repeated group list { optional binary element (UTF8); } } }
            optional group answers (LIST) { repeated group list { optional binary element (UTF8); } }
            optional group idx { optional int32 passage; optional int32 query; }",
        columns: vec![
            a(),
            b(),
            lists(&[&["e", "f"], &["e"]]),
            lists(&[&["e"], &["e"]]),
            lists(&[&["f"], &[]]),
            index(),
            index(),
        ],
        lines: [
            r#"{"text":"a 1","query":"b 1","entities":["e","f"],"answers":["f"]}"#,
            r#"{"text":"a 2","query":"b 2","entities":["e"]}"#,
        ],
        labels: TRUTH,
    }
}

fn wic() -> Task {
    let numbers = || Column::Ints(vec![3, 4]);
    Task {
        fields:
            "optional binary word (UTF8); optional binary sentence1 (UTF8); optional binary sentence2 (UTF8);
            optional int32 start1; optional int32 start2; optional int32 end1; optional int32 end2; optional int32 idx;",
        columns: vec![texts(&["w", "v"]), a(), b(), index(), index(), numbers(), numbers(), index()],
        lines: [
            r#"{"text":"a 1","text_b":"b 1","word":"w","start1":0,"end1":3,"start2":0,"end2":3}"#,
            r#"{"text":"a 2","text_b":"b 2","word":"v","start1":1,"end1":4,"start2":1,"end2":4}"#,
        ],
        labels: TRUTH,
    }
}

fn wsc() -> Task {
    Task {
        fields: "optional binary text (UTF8); optional int32 span1_index; optional int32 span2_index;
            optional binary span1_text (UTF8); optional binary span2_text (UTF8); optional int32 idx;",
        columns: vec![a(), index(), Column::Ints(vec![5, 6]), texts(&["Mark", "Pete"]), texts(&["He", "him"]), index()],
        lines: [
            r#"{"text":"a 1","span1_text":"Mark","span1_index":0,"span2_text":"He","span2_index":5}"#,
            r#"{"text":"a 2","span1_text":"Pete","span1_index":1,"span2_text":"him","span2_index":6}"#,
        ],
        labels: TRUTH,
    }
}
