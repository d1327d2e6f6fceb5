//! Every repository in small: real paths, columns and kinds; two rows or so a split. With each what its splits become.

use super::parquet_file::{Column, file, lists, snappy, texts, zstd};
use super::stand_in::{Content, large, small};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

/// A repository, and what a set out of it is.
pub struct Miniature {
    pub repository: &'static str,
    pub revision: &'static str,
    pub files: Vec<Content>,
    /// The lines of each split.
    pub splits: Vec<(&'static str, Vec<String>)>,
}

/// Files of many rows in two groups, as the hub's are: snappy.
fn parquet(fields: &str, rows: Vec<Column>) -> Vec<u8> {
    file(&format!("message schema {{ {fields} }}"), snappy(), &[rows])
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| line.to_string()).collect()
}

/// Multi30k with so many lines of training.
pub fn multi30k(train: usize) -> Vec<Content> {
    let line = |index: usize| format!("{{\"en\": \"A man {index}.\", \"de\": \"Ein Mann {index}. Ä\"}}\n");
    let lines = |count: usize| (0..count).map(line).collect::<String>();
    vec![
        small(".gitattributes", "*.parquet filter=lfs"),
        small("README.md", "Multi30k"),
        small("test.jsonl", lines(2)),
        large("train.jsonl", lines(train)),
        small("val.jsonl", lines(3)),
    ]
}

/// The repository of a set.
pub fn miniature(set: &str) -> Miniature {
    match set {
        "lm1b" => lm1b(),
        "wikitext-2" => wikitext("wikitext-2-raw-v1", 1),
        "wikitext-103" => wikitext("wikitext-103-raw-v1", 2),
        "c4" => c4(),
        "wmt14-de-en" => wmt14("de"),
        "wmt14-fr-en" => wmt14("fr"),
        "multi30k" => Miniature {
            repository: "bentrevett/multi30k",
            revision: "main",
            files: multi30k(1),
            splits: ["train", "validation", "test"]
                .iter()
                .zip([1, 3, 2])
                .map(|(split, count)| (*split, (0..count).map(multi30k_line).collect()))
                .collect(),
        },
        "cnn-dailymail" => cnn_dailymail(),
        "personachat" => personachat(),
        "ag-news" => reviews(
            "fancyzhx/ag_news",
            &[("train", "data/train"), ("test", "data/test")],
            ["World", "Business"],
            [0, 2],
        ),
        "imdb" => {
            let splits = [
                ("train", "plain_text/train"),
                ("test", "plain_text/test"),
                ("unsupervised", "plain_text/unsupervised"),
            ];
            reviews("stanfordnlp/imdb", &splits, ["neg", "pos"], [0, 1])
        }
        "rotten-tomatoes" => rotten_tomatoes(),
        _ => super::miniature_tasks::miniature(set),
    }
}

fn multi30k_line(index: usize) -> String {
    format!("{{\"source\":\"A man {index}.\",\"target\":\"Ein Mann {index}. Ä\"}}")
}

fn lm1b() -> Miniature {
    let part = |rows: &[&str]| parquet("optional binary text (UTF8);", vec![texts(rows)]);
    Miniature {
        repository: "billion-word-benchmark/lm1b",
        revision: "refs/convert/parquet",
        files: vec![
            large("plain_text/train/0001.parquet", part(&["c"])),
            large("plain_text/train/0000.parquet", part(&["The U.S. said so .", "b"])),
            large("plain_text/train/index.duckdb", "no parquet"),
            large("plain_text/test/0000.parquet", part(&["d"])),
        ],
        splits: vec![
            ("train", owned(&["{\"text\":\"The U.S. said so .\"}", "{\"text\":\"b\"}", "{\"text\":\"c\"}"])),
            ("test", owned(&["{\"text\":\"d\"}"])),
        ],
    }
}

/// Blank lines are empty rows there; the original has a blank in them.
fn wikitext(config: &str, parts: usize) -> Miniature {
    let rows = ["", " = Valkyria Chronicles III = \n", "", " Senjō no Valkyria 3 : <unk> \n"];
    let part = || file("message schema { optional binary text (UTF8); }", zstd(), &[vec![texts(&rows)]]);
    let train = (0..parts).map(|index| large(&format!("{config}/train-{index:05}-of-{parts:05}.parquet"), part()));
    let rest = ["validation", "test"].map(|split| large(&format!("{config}/{split}-00000-of-00001.parquet"), part()));
    // Another configuration lies beside it.
    let other = large("wikitext-2-v1/train-00000-of-00001.parquet", "another configuration");
    let lines = [" ", " = Valkyria Chronicles III = ", " ", " Senjō no Valkyria 3 : <unk> "];
    Miniature {
        repository: "Salesforce/wikitext",
        revision: "main",
        files: train.chain(rest).chain([other]).collect(),
        splits: vec![("train", owned(&lines.repeat(parts))), ("validation", owned(&lines)), ("test", owned(&lines))],
    }
}

fn c4() -> Miniature {
    let part = |texts: &[&str]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        for text in texts {
            let row =
                serde_json::json!({"text": text, "timestamp": "2019-04-25T12:57:54Z", "url": "https://a.example/"});
            writeln!(encoder, "{row}").unwrap();
        }
        encoder.finish().unwrap()
    };
    Miniature {
        repository: "allenai/c4",
        revision: "main",
        files: vec![
            large("en/c4-train.00001-of-00002.json.gz", part(&["c"])),
            large("en/c4-train.00000-of-00002.json.gz", part(&["Beginners BBQ\nClass", "b"])),
            large("en/c4-validation.00000-of-00001.json.gz", part(&["d"])),
            large("en.noblocklist/c4-train.00000-of-00001.json.gz", "another configuration"),
            large("realnewslike/c4-train.00000-of-00001.json.gz", "another configuration"),
        ],
        splits: vec![
            ("train", owned(&["{\"text\":\"Beginners BBQ\\nClass\"}", "{\"text\":\"b\"}", "{\"text\":\"c\"}"])),
            ("validation", owned(&["{\"text\":\"d\"}"])),
        ],
    }
}

fn wmt14(language: &str) -> Miniature {
    let fields =
        format!("optional group translation {{ optional binary {language} (UTF8); optional binary en (UTF8); }}");
    let part = |number: usize| {
        let (other, english) = (format!("anders {number}"), format!("other {number}"));
        parquet(&fields, vec![texts(&[&other, "ja"]), texts(&[&english, "yes"])])
    };
    let lines = |number: usize| {
        let first = format!("{{\"source\":\"other {number}\",\"target\":\"anders {number}\"}}");
        vec![first, "{\"source\":\"yes\",\"target\":\"ja\"}".to_string()]
    };
    let config = format!("{language}-en");
    let parts = 3;
    let mut files: Vec<Content> = (0..parts)
        .map(|index| large(&format!("{config}/train-{index:05}-of-{parts:05}.parquet"), part(index)))
        .collect();
    files.push(large(&format!("{config}/validation-00000-of-00001.parquet"), part(7)));
    files.push(large(&format!("{config}/test-00000-of-00001.parquet"), part(8)));
    files.push(large("cs-en/train-00000-of-00001.parquet", "another pair"));
    Miniature {
        repository: "wmt/wmt14",
        revision: "main",
        files,
        splits: vec![("train", (0..parts).flat_map(lines).collect()), ("validation", lines(7)), ("test", lines(8))],
    }
}

fn cnn_dailymail() -> Miniature {
    let fields = "optional binary article (UTF8); optional binary highlights (UTF8); optional binary id (UTF8);";
    let part = || parquet(fields, vec![texts(&["By . A. B. (CNN) -- c"]), texts(&["d .\ne ."]), texts(&["00f"])]);
    let file = |path: &str| large(path, part());
    let line = "{\"source\":\"By . A. B. (CNN) -- c\",\"target\":\"d .\\ne .\"}";
    Miniature {
        repository: "abisee/cnn_dailymail",
        revision: "main",
        files: vec![
            file("1.0.0/train-00000-of-00003.parquet"),
            file("3.0.0/train-00000-of-00002.parquet"),
            file("3.0.0/train-00001-of-00002.parquet"),
            file("3.0.0/validation-00000-of-00001.parquet"),
            file("3.0.0/test-00000-of-00001.parquet"),
        ],
        splits: vec![("train", owned(&[line, line])), ("validation", owned(&[line])), ("test", owned(&[line]))],
    }
}

const PERSONA_LINES: [&str; 2] = [
    "{\"persona\":[\"I like to ski.\"],\"history\":[\"Hi!\"],\"reply\":\"Hello.\",\"candidates\":[\"No.\",\"Hello.\"]}",
    "{\"persona\":[\"I like to ski.\"],\"history\":[\"Hi!\",\"Hello.\",\"So?\"],\"reply\":\"Yes.\",\"candidates\":[\"x\",\"Yes.\"]}",
];

fn personachat() -> Miniature {
    let dialogue = serde_json::json!({"personality": ["I like to ski."], "utterances": [
        {"candidates": ["No.", "Hello."], "history": ["Hi!"]},
        {"candidates": ["x", "Yes."], "history": ["Hi!", "Hello.", "So?"]},
    ]});
    let json = |count: usize| serde_json::to_string(&vec![dialogue.clone(); count]).unwrap();
    Miniature {
        repository: "bavard/personachat_truecased",
        revision: "main",
        files: vec![
            small("personachat_truecased.py", "import datasets"),
            large("personachat_truecased_full_train.json", json(2)),
            large("personachat_truecased_full_valid.json", json(1)),
            large("personachat_truecased_sample_train.json", "another configuration"),
        ],
        splits: vec![("train", owned(&PERSONA_LINES.repeat(2))), ("validation", owned(&PERSONA_LINES))],
    }
}

/// The hub's own conversion of PersonaChat.
pub fn converted_personachat() -> Miniature {
    let list = |name: &str| {
        format!("optional group {name} (LIST) {{ repeated group list {{ optional binary element (UTF8); }} }}")
    };
    let fields = format!(
        "{} {} {} optional int32 conv_id; optional int32 utterance_idx;",
        list("personality"),
        list("candidates"),
        list("history")
    );
    let part = || {
        let columns = vec![
            lists(&[&["I like to ski."], &["I like to ski."]]),
            lists(&[&["No.", "Hello."], &["x", "Yes."]]),
            lists(&[&["Hi!"], &["Hi!", "Hello.", "So?"]]),
            Column::Ints(vec![0, 0]),
            Column::Ints(vec![0, 1]),
        ];
        parquet(&fields, columns)
    };
    Miniature {
        repository: "bavard/personachat_truecased",
        revision: "refs/convert/parquet",
        files: vec![large("full/train/0000.parquet", part()), large("full/validation/0000.parquet", part())],
        splits: vec![("train", owned(&PERSONA_LINES)), ("validation", owned(&PERSONA_LINES))],
    }
}

/// Texts in classes; those without a label have −1.
fn reviews(
    repository: &'static str,
    splits: &[(&'static str, &str)],
    classes: [&str; 2],
    labels: [i64; 2],
) -> Miniature {
    let part = |labels: [i64; 2]| {
        let columns = vec![texts(&["one", "two<br />"]), Column::Longs(labels.to_vec())];
        parquet("optional binary text (UTF8); optional int64 label;", columns)
    };
    let lines = |known: bool| match known {
        true => vec![
            format!("{{\"text\":\"one\",\"label\":\"{}\"}}", classes[0]),
            format!("{{\"text\":\"two<br />\",\"label\":\"{}\"}}", classes[1]),
        ],
        false => owned(&["{\"text\":\"one\"}", "{\"text\":\"two<br />\"}"]),
    };
    let mut miniature = Miniature { repository, revision: "main", files: Vec::new(), splits: Vec::new() };
    for (split, prefix) in splits {
        let known = *split != "unsupervised";
        let labels = if known { labels } else { [-1, -1] };
        miniature.files.push(large(&format!("{prefix}-00000-of-00001.parquet"), part(labels)));
        miniature.splits.push((split, lines(known)));
    }
    miniature
}

/// Whose files have no number.
fn rotten_tomatoes() -> Miniature {
    let splits = [("train", "train"), ("validation", "validation"), ("test", "test")];
    let mut miniature = reviews("cornell-movie-review-data/rotten_tomatoes", &splits, ["pos", "neg"], [1, 0]);
    for file in &mut miniature.files {
        file.path = file.path.replace("-00000-of-00001", "");
    }
    miniature
}
