use super::*;
use crate::data::options::TokenizerOptions;

const TEXT: &str = "it's the text, the very text:\n  naïve caf\u{e9}s and 日本語 in 1999\r\n\n\tthe end of the text\n";

fn options(kind: TokenizerKind) -> TokenizerOptions {
    TokenizerOptions { kind, vocab_size: Some(300), min_frequency: 1, ..Default::default() }
}

fn trained(kind: TokenizerKind, text: &str) -> Tokenizer {
    Tokenizer::of_text(&options(kind), text).unwrap()
}

const KINDS: [TokenizerKind; 5] =
    [TokenizerKind::Bpe, TokenizerKind::Unigram, TokenizerKind::Word, TokenizerKind::Char, TokenizerKind::Byte];

#[test]
fn bytes_and_back() {
    let tokenizer = Tokenizer::byte();
    assert_eq!(tokenizer.encode("aé"), [0x61, 0xc3, 0xa9]);
    assert_eq!(tokenizer.decode(&[0x61, 0xc3, 0xa9]), "aé");
    assert_eq!(tokenizer.decode(&[0x61, 0xc3, 0x62, 300]), "a\u{fffd}b\u{fffd}");
    assert_eq!(tokenizer.vocab_size(), 256);
    assert_eq!((tokenizer.unknown(), tokenizer.unknown_parts("é").len()), (None, 0));
}

#[test]
fn characters_and_back() {
    let tokenizer = trained(TokenizerKind::Char, "öbacab\n");
    assert_eq!(tokenizer.vocab_size(), 6);
    assert_eq!(tokenizer.encode("\nabcö"), [1, 2, 3, 4, 5]);
    assert_eq!(tokenizer.encode("xa"), [0, 2]);
    assert_eq!(Vec::from_iter(tokenizer.unknown_parts("zaxbx\u{10ffff}")), ["x", "z", "\u{10ffff}"]);
    assert_eq!(tokenizer.unknown(), Some(0));
    assert_eq!(tokenizer.decode(&tokenizer.encode("cab\n öxa")), "cab\n\u{fffd}ö\u{fffd}a");
    assert_eq!(tokenizer.decode(&[99]), "\u{fffd}");
    assert!(Tokenizer::of_text(&options(TokenizerKind::Char), "").is_err());
}

#[test]
fn words_and_back() {
    let rare = TokenizerOptions { min_frequency: 2, ..options(TokenizerKind::Word) };
    let tokenizer = Tokenizer::of_text(&rare, "b a\u{3000} b c\nb a d\n").unwrap();
    let vocabulary = tokenizer.to_json().unwrap();
    assert_eq!(vocabulary, "{\"kind\":\"word\",\"vocabulary\":[\"<unknown word>\",\"b\",\"\\n\",\"a\"]}\n");
    let ids = tokenizer.encode("  a\tb  x \n\nb ");
    assert_eq!(ids, [3, 1, 0, 2, 2, 1]);
    assert_eq!(tokenizer.decode(&ids), "a b \u{fffd}\n\nb");
    assert_eq!(Vec::from_iter(tokenizer.unknown_parts("  a x x y")), ["x", "y"]);
    assert!(Tokenizer::of_text(&rare, "a b c").is_err());
    let two = TokenizerOptions { vocab_size: Some(2), ..rare };
    assert_eq!(Tokenizer::of_text(&two, "b a b a a").unwrap().encode("a b"), [1, 0]);
}

#[test]
fn byte_pairs_give_every_text_back() {
    let tokenizer = trained(TokenizerKind::Bpe, &TEXT.repeat(3));
    assert!((257..=300).contains(&tokenizer.vocab_size()));
    for text in [TEXT, "", " ", "never seen: Ω \u{10ffff}\0\u{85}", "the the\n\n\n the"] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text)), text);
    }
    assert!(tokenizer.encode(" text the").len() < 5, "frequent words are short");
    assert_eq!(trained(TokenizerKind::Bpe, &TEXT.repeat(3)).to_json().unwrap(), tokenizer.to_json().unwrap());
}

/// The library's own tokenizer of the same vocabulary and merges.
#[test]
fn byte_pairs_are_cut_as_the_tokenizers_library_does() {
    let ours = trained(TokenizerKind::Bpe, &TEXT.repeat(5));
    let Model::BytePair(model) = &ours.model else { panic!() };
    let vocab: serde_json::Map<_, _> = model.vocabulary().iter().cloned().zip((0..).map(|id: u32| id.into())).collect();
    let json = serde_json::json!({
        "version": "1.0",
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "vocab": vocab, "merges": model.merges() },
    });
    let theirs: tokenizers::Tokenizer = json.to_string().parse().unwrap();
    for text in [TEXT, "another text, other  words\n\n\nthe end's 12 naïve ends "] {
        assert_eq!(ours.encode(text), theirs.encode(text, false).unwrap().get_ids(), "{text}");
    }
}

#[test]
fn unigram_pieces_and_back() {
    let tokenizer = trained(TokenizerKind::Unigram, &TEXT.repeat(3));
    assert_eq!(tokenizer.decode(&tokenizer.encode(TEXT)), TEXT);
    assert_eq!(tokenizer.decode(&tokenizer.encode("the ΩΩ end")), "the \u{fffd} end");
    assert_eq!(Vec::from_iter(tokenizer.unknown_parts("the ΩΩ end")), ["ΩΩ"]);
    let many: String = (0..400).filter_map(|i| char::from_u32(0x4e00 + i)).collect();
    let error = Tokenizer::of_text(&options(TokenizerKind::Unigram), &many).err().unwrap();
    assert!(error.to_string().contains("has 400 characters"), "{error}");
}

#[test]
fn tokens_cover_the_text() {
    for kind in KINDS {
        let tokenizer = trained(kind, &TEXT.repeat(2));
        for text in [TEXT, " a  ", "unseen Ω words \n\n", "\n"] {
            let mut out = Encoded::default();
            tokenizer.encoder().append(text, &mut out);
            assert_eq!(out.bytes.iter().sum::<u32>() as usize, text.len(), "{kind:?} {text:?}");
            assert_eq!(out.ids.len(), out.bytes.len());
            assert!(out.ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
        }
    }
}

#[test]
fn a_border_changes_no_token() {
    let text = TEXT.repeat(2);
    for kind in KINDS {
        let tokenizer = trained(kind, &text);
        let whole = tokenizer.encode(&text);
        let mut left = text.as_str();
        while let Some(border) = pattern::last_border(left) {
            left = &text[..border];
            assert_eq!(
                [tokenizer.encode(left), tokenizer.encode(&text[border..])].concat(),
                whole,
                "{kind:?} {border}"
            );
        }
    }
}

#[test]
fn special_tokens_come_last_and_are_no_text() {
    for kind in KINDS {
        let text = TEXT.repeat(2) + "</s> <s>";
        let special = [Special::Begin, Special::End];
        let tokenizer = Tokenizer::train(&options(kind), &special, std::iter::once(Ok(text.clone()))).unwrap();
        let [begin, end] = special.map(|token| tokenizer.special(token).unwrap());
        assert_eq!((begin as usize, end as usize), (tokenizer.vocab_size() - 2, tokenizer.vocab_size() - 1));
        assert_eq!(tokenizer.special(Special::Mask), None);
        let ids = tokenizer.encode(&text);
        assert!(ids.iter().all(|id| *id < begin));
        let ids = [vec![begin], ids.clone(), vec![end]].concat();
        assert_eq!(tokenizer.decode(&ids), tokenizer.decode(&ids[1..ids.len() - 1]));
        assert!(Tokenizer::from_json(&tokenizer.to_json().unwrap()).unwrap() == tokenizer, "{kind:?}");
    }
}

#[test]
fn json_and_back() {
    for (kind, json) in [
        (TokenizerKind::Byte, "{\"kind\":\"byte\"}\n"),
        (TokenizerKind::Char, "{\"kind\":\"char\",\"vocabulary\":[\"<unknown>\",\"\\n\",\"\\\"\",\"a\",\"é\"]}\n"),
    ] {
        let tokenizer = trained(kind, "aé\"\n");
        assert_eq!(tokenizer.to_json().unwrap(), json);
        assert!(Tokenizer::from_json(json).unwrap() == tokenizer);
    }
}

#[test]
fn other_json_is_an_error() {
    let bpe = trained(TokenizerKind::Bpe, "aaaa aaaa").to_json().unwrap();
    let unigram = trained(TokenizerKind::Unigram, "abc abc").to_json().unwrap();
    for (json, expected) in [
        (r#"{"kind":"char","vocabulary":["<unknown>","b","a"]}"#, "vocabulary[2]"),
        (r#"{"kind":"char","vocabulary":["<unknown>","a","a"]}"#, "vocabulary[2]"),
        (r#"{"kind":"char","vocabulary":["<unknown>","ab"]}"#, "vocabulary[1]"),
        (r#"{"kind":"char","vocabulary":["a"]}"#, "vocabulary[0]"),
        (r#"{"kind":"char","vocabulary":[]}"#, "vocabulary[0]"),
        (r#"{"kind":"char"}"#, "vocabulary"),
        (r#"{"kind":"bpe"}"#, "vocabulary"),
        (r#"{"kind":"runes"}"#, "runes"),
        (r#"{"kind":"word","vocabulary":["<unknown word>","a","a"]}"#, "an entry twice"),
        (r#"{"kind":"byte","special":["</s>","</s>"]}"#, "an entry twice"),
        (r#"{"kind":"byte","special":["<end>"]}"#, "<end>"),
        (r#"{"kind":"byte","vocabulary":[]}"#, "vocabulary"),
        ("{", "not a tokenizer"),
        (&bpe.replace("a a", "a q q"), "merges do not fit"),
        (&bpe.replace("\"a a\"", "\"aa\""), "merges[0]"),
        (&bpe.replace("\"!\"", "\"aaa\""), "255 of the 256 bytes"),
        (&bpe.replace("\"aa\"", "\" \""), "GPT-2's alphabet"),
        (&unigram.replace("\"<unknown>\"", "\"x\""), "vocabulary[0]"),
        (&unigram.replace("\"<unknown>\",", ""), "vocabulary[0]"),
    ] {
        let message = format!("{:#}", Tokenizer::from_json(json).err().unwrap());
        assert!(message.contains(expected), "{json}: {message}");
    }
}

#[test]
fn one_vocabulary_or_two() {
    let text = |text: &str| std::iter::once(Ok(text.to_string()));
    for joint in [true, false] {
        let options = options(TokenizerKind::Char);
        let tokenizers = Tokenizers::train(joint, &options, &[Special::End], text("abc"), text("xy")).unwrap();
        let sizes = (tokenizers.source().vocab_size(), tokenizers.target().vocab_size());
        assert_eq!(sizes, if joint { (7, 7) } else { (5, 4) });
        assert!(Tokenizers::from_json(&tokenizers.to_json().unwrap()).unwrap() == tokenizers);
    }
    let error = Tokenizers::from_json(r#"{"kind":"separate","source":{"kind":"byte"}}"#).err().unwrap();
    assert!(error.to_string().contains("no tokenizer of the target"), "{error}");
}
