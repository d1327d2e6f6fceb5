//! Every real set in `$SYNTH_TEST_DATA` as a language model reads it: an epoch has each token once.

use crate::place::Place;
use crate::real::{keys, real_data};
use serde_json::Value;
use synth::data::batches::BatchSize;
use synth::data::import::{Format, ImportOptions, import};
use synth::data::options::{DataOptions, RowKind, TokenizerKind, TokenizerOptions};
use synth::data::rows::{Batch, IGNORED};
use synth::data::source::Encoding;
use synth::data::splits;
use synth::data::text::Text;
use synth::data::tokenizer::StoredTokenizer;
use synth::tasks::corpus::{Corpus, CorpusOptions, special};

const LONGEST: usize = 128;
const ROWS: usize = 64;

/// How often each token occurs: the bytes, and the end of a record.
type Counts = Vec<u64>;

#[test]
fn texts_pairs_and_dialogues() {
    let Some(data) = real_data() else { return };
    let path = |name: &str| data.join(name).to_str().unwrap().to_string();
    let plain = ImportOptions::default;
    let cut = ImportOptions { split: Some(vec![0.9, 0.1]), ..plain() };
    check("tinyshakespeare", &[path("tinyshakespeare")], cut, &[]);
    check("wikitext-2", &[path("wikitext2-valid-test")], plain(), &[]);
    check("multi30k", &[path("multi30k")], keys("en", "de"), &["source", "target"]);
    check("scitldr", &[path("scitldr-a")], plain(), &["source", "target"]);
    check("dialogsum", &[path("dialogsum")], plain(), &["source", "target"]);
    check("convai2", &[path("convai2-personachat")], plain(), &["history", "reply"]);
}

#[test]
fn labelled_texts() {
    let Some(data) = real_data() else { return };
    let path = |name: &str| data.join(name).to_str().unwrap().to_string();
    let plain = ImportOptions::default;
    check("ag-news", &[path("agnews-small")], plain(), &["text"]);
    check("imdb", &[path("imdb")], plain(), &["text"]);
    check("sst2-sentence", &[path("sst2-sentence")], plain(), &["text"]);
    let mr = ["pos", "neg"].map(|label| format!("{label}={}", path(&format!("sentence-classification/mr.{label}"))));
    check("mr", &mr, ImportOptions { split: Some(vec![0.8, 0.1, 0.1]), ..plain() }, &["text"]);
    let subj = ["subjective", "objective"]
        .map(|label| format!("{label}={}", path(&format!("sentence-classification/subj.{label}"))));
    check("subj", &subj, plain(), &["text"]);
    let latin = |format| ImportOptions { format: Some(format), encoding: Encoding::Latin1, ..plain() };
    let textgcn = path("sentence-classification/mr.textgcn-*.txt");
    check("mr-textgcn", &[textgcn], latin(Format::Textgcn), &["text"]);
    check("trec", &[path("sentence-classification/trec.*")], latin(Format::Trec), &["text", "fine"]);
}

#[test]
fn benchmarks_of_tasks() {
    let Some(data) = real_data() else { return };
    for (task, fields) in [
        ("glue/CoLA", ["text"].as_slice()),
        ("glue/SST-2", &["text"]),
        ("glue/MRPC", &["text", "text_b"]),
        ("glue/STS-B", &["text", "text_b"]),
        ("glue/RTE", &["text", "text_b"]),
        ("glue/WNLI", &["text", "text_b"]),
        ("glue/QNLI", &["text", "text_b"]),
        ("superglue/BoolQ", &["text", "text_b"]),
        ("superglue/CB", &["text", "text_b"]),
        ("superglue/COPA", &["text", "question"]),
        ("superglue/RTE", &["text", "text_b"]),
        ("superglue/WiC", &["text", "text_b", "word"]),
        ("superglue/WSC", &["text"]),
        ("superglue/MultiRC", &["text", "question", "answer"]),
    ] {
        let path = data.join(task).to_str().unwrap().to_string();
        check(&task.replace('/', "-"), &[path], ImportOptions::default(), fields);
    }
}

/// Imports a set and goes through all of its batches: of each of these fields, in blocks and in records.
fn check(name: &str, paths: &[String], options: ImportOptions, fields: &[&str]) {
    let place = Place::new();
    let card = import(name, paths, &options, &place.path("data")).unwrap();
    assert_eq!(card.shape.is_none(), fields.is_empty(), "{name}: {:?}", card.shape);
    let fields = if fields.is_empty() { vec![None] } else { fields.iter().copied().map(Some).collect() };
    for field in fields {
        for rows in [RowKind::Blocks, RowKind::Records] {
            check_rows(&place, name, field, rows);
        }
    }
}

fn check_rows(place: &Place, name: &str, field: Option<&str>, rows: RowKind) {
    let (root, folder) = (place.path("data"), place.path("tokens"));
    let (dataset, taken) = (Some(name.to_string()), field.map(str::to_string));
    let data = DataOptions { dataset, field: taken, rows, ..Default::default() };
    splits::check(&data, &root).unwrap();
    let splits = splits::load(&data, &root, &["train", "validation", "test"]).unwrap();
    let (_, any) = splits.named().next().unwrap();
    let options = TokenizerOptions { kind: TokenizerKind::Byte, ..Default::default() };
    let tokenizer = StoredTokenizer::prepare(&options, special(&data), any, &folder).unwrap();
    let (longest, batch) = (LONGEST, BatchSize::Rows(ROWS));
    let options = CorpusOptions { data: &data, tokenizer: &tokenizer, longest, batch, seed: 1, folder: &folder };
    let corpus = Corpus::new(&splits, &options).unwrap();
    let what = format!("{name} {field:?} {rows:?}");
    if let Some(order) = &corpus.train {
        let expected = expected(&splits.train.clone().unwrap(), field, rows);
        let mut counts = vec![0; 257];
        let batches = order.examples().div_ceil(order.examples_per_batch());
        for number in 0..batches {
            // The last batch of blocks goes on with the next epoch.
            let left = order.examples() - number * order.examples_per_batch();
            let most = if rows == RowKind::Blocks { left.min(ROWS as u64) as usize } else { ROWS };
            add(&order.batch(number).unwrap(), most, &mut counts);
        }
        assert!(counts == expected, "{what}: the train split");
    }
    for (split, evaluation) in &corpus.held_out {
        let (_, text) = splits.named().find(|(name, _)| *name == split.name()).unwrap();
        let (mut counts, mut seen) = (vec![0; 257], Vec::new());
        for number in 0..evaluation.count() {
            let (batch, numbers) = evaluation.batch(number).unwrap();
            add(&batch, batch.rows, &mut counts);
            seen.extend(numbers);
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..evaluation.rows().count()), "{what}: {}", split.name());
        assert!(counts == expected(text, field, rows), "{what}: {}", split.name());
    }
}

/// Counts the targets of the first rows of a batch.
fn add(batch: &Batch, rows: usize, counts: &mut Counts) {
    let targets = &batch.targets[..rows.min(batch.rows) * batch.length];
    targets.iter().filter(|target| **target != IGNORED).for_each(|target| counts[*target as usize] += 1);
}

/// The tokens to be predicted, from the set's file as it lies there.
fn expected(text: &Text, field: Option<&str>, rows: RowKind) -> Counts {
    let file = std::fs::read_to_string(&text.files[0]).unwrap();
    let texts: Vec<String> = match field {
        Some(field) => file.lines().filter_map(|line| field_of(&serde_json::from_str(line).unwrap(), field)).collect(),
        None => file.split_inclusive('\n').map(|line| line.to_string()).collect(),
    };
    let mut counts = vec![0; 257];
    let mut add = |text: &str| text.bytes().for_each(|byte| counts[byte as usize] += 1);
    match rows {
        RowKind::Records => {
            let texts = texts.iter().map(|text| if field.is_none() { text.trim_end_matches('\n') } else { text });
            let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
            texts.iter().for_each(|text| add(text));
            counts[256] = texts.len() as u64;
        }
        RowKind::Blocks => {
            for text in &texts {
                add(text);
                if field.is_some() && !text.ends_with('\n') {
                    add("\n");
                }
            }
            // Nothing comes before the first byte.
            let first = texts[0].bytes().next().unwrap_or(b'\n');
            counts[first as usize] -= 1;
        }
    }
    counts
}

fn field_of(record: &Value, field: &str) -> Option<String> {
    match record.get(field)? {
        Value::Array(lines) => Some(lines.iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n")),
        value => Some(value.as_str().unwrap().to_string()),
    }
}
