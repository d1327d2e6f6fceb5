use super::encode::prepare_with;
use super::*;
use crate::data::options::{TokenizerKind, TokenizerOptions};
use crate::data::text::{Flow, Text, survey_files};
use crate::data::tokenizer::{Special, Tokenizer};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const IN_MEMORY: usize = 1 << 30;

struct Set {
    folder: TempDir,
    content: String,
    text: Text,
}

/// A text of many pieces.
fn set() -> Set {
    let content: String =
        (0..40_000).map(|i| format!("line {i} holds\u{a0}{} and 日本\n\n", i * 7919 % 1000)).collect();
    of(&content)
}

fn of(content: &str) -> Set {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.txt");
    fs::write(&path, content).unwrap();
    Set { text: survey_files(vec![path]).unwrap(), folder, content: content.into() }
}

fn tokenizer(kind: TokenizerKind, special: &[Special], text: &str) -> Tokenizer {
    let options = TokenizerOptions { kind, vocab_size: Some(400), min_frequency: 1, ..Default::default() };
    Tokenizer::train(&options, special, std::iter::once(Ok(text.to_string()))).unwrap()
}

fn job<'a>(set: &'a Set, tokenizer: &'a Tokenizer, folder: &'a Path) -> Job<'a> {
    let sha256 = "of a tokenizer";
    Job { text: &set.text, tokenizer, tokenizer_sha256: sha256, flow: Flow::Running, end: None, measured: None, folder }
}

fn ids(tokens: &Tokens) -> Vec<u32> {
    let mut ids = Vec::new();
    tokens.read(0..tokens.count(), &mut ids).unwrap();
    ids.into_iter().map(|id| id as u32).collect()
}

fn token_files(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn threads_memory_and_files_give_the_same_ids() {
    let set = set();
    for kind in [TokenizerKind::Byte, TokenizerKind::Char, TokenizerKind::Word, TokenizerKind::Bpe] {
        let tokenizer = tokenizer(kind, &[], &set.content);
        let whole = tokenizer.encode(&set.content);
        for (threads, in_memory) in [(1, IN_MEMORY), (3, IN_MEMORY), (2, 1000)] {
            let cache = set.folder.path().join(format!("{kind:?}"));
            let tokens = prepare_with(&job(&set, &tokenizer, &cache), threads, in_memory).unwrap();
            assert_eq!(tokens.count(), whole.len() as u64);
            assert!(ids(&tokens) == whole, "{kind:?}, {threads} threads, {in_memory} bytes in memory");
            assert_eq!(token_files(&cache).len(), usize::from(in_memory == 1000));
        }
    }
}

#[test]
fn a_file_is_taken_where_it_is_whole_and_made_anew_where_not() {
    let set = set();
    let tokenizer = tokenizer(TokenizerKind::Bpe, &[], &set.content[..10_000]);
    let cache = set.folder.path().join("cache");
    let measured = Some(MeasuredRows { length: 100, end: None });
    let job = Job { measured, ..job(&set, &tokenizer, &cache) };
    let first = prepare_with(&job, 2, 0).unwrap();
    let [file] = &token_files(&cache)[..] else { panic!() };
    let bytes = fs::read(file).unwrap();
    assert_eq!(first.measures().len() as u64, (first.count() - 1).div_ceil(100));
    // It is taken as it is: the text is not looked at.
    let gone = set.folder.path().join("gone.txt");
    fs::rename(set.folder.path().join("text.txt"), &gone).unwrap();
    let second = prepare_with(&job, 2, 0).unwrap();
    assert!(ids(&first) == ids(&second) && first.measures() == second.measures());
    fs::rename(gone, set.folder.path().join("text.txt")).unwrap();
    for damaged in [bytes[..bytes.len() - 1].to_vec(), bytes[..20].to_vec(), [&[1], &bytes[1..]].concat(), vec![]] {
        fs::write(file, damaged).unwrap();
        assert!(ids(&prepare_with(&job, 1, 0).unwrap()) == ids(&first));
        assert!(fs::read(file).unwrap() == bytes, "one thread or two, it is the same file");
    }
    // Everything that ids follow from is in the name.
    prepare_with(&Job { tokenizer_sha256: "another", ..job }, 2, 0).unwrap();
    assert_eq!(token_files(&cache).len(), 2);
    let mut wild = bytes.clone();
    wild[file::HEADER..file::HEADER + 2].copy_from_slice(&[255, 255]);
    fs::write(file, wild).unwrap();
    let error = prepare_with(&self::job(&set, &tokenizer, &cache), 1, 0).unwrap().read(0..1, &mut Vec::new());
    assert!(error.is_ok(), "another job's file");
    let job = Job { measured, ..self::job(&set, &tokenizer, &cache) };
    let error = prepare_with(&job, 1, 0).unwrap().read(0..1, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("ids outside the vocabulary"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_done_without() {
    let set = set();
    let tokenizer = tokenizer(TokenizerKind::Bpe, &[], &set.content[..10_000]);
    let below_a_file = set.folder.path().join("text.txt/cache");
    let measured = Some(MeasuredRows { length: 100, end: None });
    let tokens = prepare_with(&Job { measured, ..job(&set, &tokenizer, &below_a_file) }, 2, 1000).unwrap();
    let job = Job { measured, ..job(&set, &tokenizer, set.folder.path()) };
    let expected = prepare_with(&job, 2, IN_MEMORY).unwrap();
    assert!(ids(&tokens) == ids(&expected) && tokens.measures() == expected.measures());
}

#[test]
fn no_tokens_are_kept_of_a_text_that_changed() {
    let set = set();
    let cache = set.folder.path().join("cache");
    for content in [set.content[..set.content.len() - 9].to_string(), set.content.replace("line 39999", "line 3999x")] {
        fs::write(&set.text.files[0], content).unwrap();
        let error = prepare_with(&job(&set, &Tokenizer::byte(), &cache), 2, 0).unwrap_err().to_string();
        assert!(error.contains("text.txt changed while it was read"), "{error}");
        assert_eq!(token_files(&cache).len(), 0);
    }
}

#[test]
fn nothing_is_left_of_a_text_that_breaks_off() {
    let mut set = set();
    let tokenizer = Tokenizer::byte();
    fs::write(&set.text.files[0], [set.content.as_bytes(), b"\xff"].concat()).unwrap();
    set.text.range.end += 1;
    let cache = set.folder.path().join("cache");
    let error = prepare_with(&job(&set, &tokenizer, &cache), 2, 0).unwrap_err().to_string();
    assert!(error.contains("text.txt is not UTF-8"), "{error}");
    assert_eq!(token_files(&cache).len(), 0);
}

#[test]
fn records_end_with_their_token() {
    let set = of("a b\n\nc\nlonger line\n");
    let tokenizer = tokenizer(TokenizerKind::Byte, &[Special::End], "");
    let end = tokenizer.special(Special::End);
    let measured = Some(MeasuredRows { length: 4, end });
    let job = Job { flow: Flow::Records, end, measured, ..job(&set, &tokenizer, set.folder.path()) };
    let tokens = prepare_with(&job, 2, IN_MEMORY).unwrap();
    let expected: Vec<u32> =
        "|a b|c|longer line|".bytes().map(|byte| if byte == b'|' { 256 } else { byte.into() }).collect();
    assert_eq!(ids(&tokens), expected);
    // Rows: `a b|`, `c|`, `long`, `er l`, `ine|`.
    let measure = |bytes, words| Measure { bytes, words };
    assert_eq!(tokens.measures(), [measure(4, 3), measure(2, 2), measure(4, 1), measure(4, 1), measure(4, 1)]);
}

#[test]
fn white_space_that_is_no_token_counts_with_the_end() {
    let set = of(" = a = \n \nb c\n");
    let tokenizer = tokenizer(TokenizerKind::Word, &[Special::End], "a b c =");
    let end = tokenizer.special(Special::End);
    let measured = Some(MeasuredRows { length: 9, end });
    let job = Job { flow: Flow::Records, end, measured, ..job(&set, &tokenizer, set.folder.path()) };
    let tokens = prepare_with(&job, 2, IN_MEMORY).unwrap();
    let measure = |bytes, words| Measure { bytes, words };
    assert_eq!(tokens.measures(), [measure(8, 4), measure(2, 1), measure(4, 3)]);
    assert_eq!(tokens.count(), 9);
}

/// Rows of a text measured as each prefix of the text without its first token is counted.
#[test]
fn rows_measure_bytes_and_words_of_the_predicted_text() {
    for content in ["one two\u{3000}three\n\n four é日本\tfive ", "日本 x", "\u{3000}a b", " a", "ab\ncd\n"] {
        let set = of(content);
        for kind in [TokenizerKind::Byte, TokenizerKind::Char, TokenizerKind::Word, TokenizerKind::Bpe] {
            let tokenizer = tokenizer(kind, &[], content);
            let measured = Some(MeasuredRows { length: 1, end: None });
            let job = Job { measured, ..job(&set, &tokenizer, set.folder.path()) };
            let tokens = prepare_with(&job, 1, IN_MEMORY).unwrap();
            let mut out = crate::data::tokenizer::Encoded::default();
            tokenizer.encoder().append(content, &mut out);
            let first = out.bytes[0] as usize;
            let (mut sum, mut end) = (Measure::default(), first);
            for (measure, bytes) in tokens.measures().iter().zip(&out.bytes[1..]) {
                sum += *measure;
                end += *bytes as usize;
            }
            let predicted = String::from_utf8_lossy(&content.as_bytes()[first..end]);
            let words = predicted.split_whitespace().count() + predicted.matches('\n').count();
            assert_eq!((sum.bytes as usize, sum.words as usize), (end - first, words), "{kind:?} {content:?}");
        }
    }
}

#[test]
fn ids_take_as_many_bytes_as_they_need() {
    for (largest, bytes) in [(255, 1), (256, 2), (65_535, 2), (65_536, 4)] {
        let stored = [0, largest, 1];
        let tokens = Tokens::of(&stored);
        assert_eq!((ids(&tokens), tokens.width as u32), (stored.to_vec(), bytes));
        assert!(tokens.read(2..4, &mut Vec::new()).is_err());
    }
}
