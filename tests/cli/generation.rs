//! `synth generate`: what it prints, what its options do, and what it refuses.

use crate::place::{Place, RUN};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};

const GENERATE: &str = "generate results/tiny/vanilla-s1 --quiet";

/// The continuations that `--json` gives.
fn continuations(place: &Place, stdin: &str, options: &str) -> Vec<String> {
    let printed = place.succeeds_on(stdin, &format!("{GENERATE} --json {options}")).json();
    let generations = printed["generations"].as_array().unwrap();
    generations.iter().map(|generation| generation["continuation"].as_str().unwrap().to_string()).collect()
}

#[test]
fn prompts_are_continued_in_order() {
    let place = Place::with_run();
    // A model needs no text to go on.
    fs::remove_file(place.path("text.txt")).unwrap();
    let finished = place.succeeds_on("line 1\n\nno newline", &format!("{GENERATE} --samples 2 --max-tokens 5"));
    assert_eq!(finished.stderr, "");
    let json =
        place.succeeds_on("line 1\n\nno newline", &format!("{GENERATE} --samples 2 --max-tokens 5 --json")).json();
    let generations = json["generations"].as_array().unwrap();
    let prompts: Vec<&str> = generations.iter().map(|generation| generation["prompt"].as_str().unwrap()).collect();
    assert_eq!(prompts, ["line 1", "line 1", "\n", "\n", "no newline", "no newline"]);
    let text = |key: &str, i: usize| generations[i][key].as_str().unwrap().to_string();
    let texts: Vec<String> = (0..6).map(|i| text("prompt", i) + &text("continuation", i)).collect();
    assert_eq!(finished.stdout, texts.join("\n---\n") + "\n");
    assert_ne!(texts[0], texts[1]);
}

#[test]
fn the_object_tells_how_it_was_made() {
    let place = Place::with_run();
    let options = "--temperature 0.5 --top-k 20 --top-p 0.9 --max-tokens 7 --checkpoint last";
    let json = place.succeeds_on("a\nb", &format!("{GENERATE} --whole-input --json {options}")).json();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    let sampling = ["seed", "temperature", "top_k", "top_p", "max_tokens"];
    let expected = [&["run", "checkpoint", "step", "weights"][..], &sampling, &["generations"]].concat();
    assert_eq!(keys, expected);
    assert!(json["run"].as_str().unwrap().ends_with(RUN));
    assert_eq!((&json["checkpoint"], &json["step"], &json["seed"]), (&"step-6".into(), &6.into(), &1.into()));
    assert_eq!((&json["temperature"], &json["top_k"], &json["top_p"]), (&0.5.into(), &20.into(), &0.9.into()));
    assert_eq!((&json["generations"][0]["prompt"], &json["generations"][0]["tokens"]), (&"a\nb".into(), &7.into()));
    assert_eq!(json["generations"].as_array().unwrap().len(), 1);
    let plain = place.succeeds_on("a", &format!("{GENERATE} --json --max-tokens 1")).json();
    assert!(plain["top_k"].is_null() && plain["top_p"].is_null());
    assert_eq!((&plain["temperature"], &plain["weights"]), (&1.0.into(), &"trained".into()));
}

#[test]
fn the_seed_decides_and_other_prompts_do_not() {
    let place = Place::with_run();
    let own = continuations(&place, "a\nb", "");
    assert_eq!(continuations(&place, "a\nb", "--seed 1"), own);
    assert_eq!(continuations(&place, "a\nb\nc\nd", "")[..2], own);
    assert_ne!(continuations(&place, "a\nb", "--seed 2"), own);
    let twice = continuations(&place, "a\na", "");
    assert_ne!(twice[0], twice[1]);
    // More than go through the model at once.
    let mut many = continuations(&place, "a", "--samples 40 --max-tokens 40");
    many.sort();
    many.dedup();
    assert_eq!(many.len(), 40);
}

#[test]
fn greedy_takes_the_likeliest_whatever_the_seed() {
    let place = Place::with_run();
    let greedy = continuations(&place, "line", "--greedy");
    for same in ["--temperature 0 --seed 7", "--top-k 1", "--top-p 0.000001 --seed 3"] {
        assert_eq!(continuations(&place, "line", same), greedy, "{same}");
    }
    assert_ne!(continuations(&place, "line", ""), greedy);
}

#[test]
fn texts_may_be_longer_than_the_context() {
    let place = Place::with_run();
    let prompt = "a prompt of more than 16 bytes";
    let long = continuations(&place, prompt, "--greedy --max-tokens 100");
    assert_eq!(long, continuations(&place, &prompt[prompt.len() - 16..], "--greedy --max-tokens 100"));
    let json = place.succeeds_on(prompt, &format!("{GENERATE} --json")).json();
    assert_eq!((&json["generations"][0]["prompt"], &json["generations"][0]["tokens"]), (&prompt.into(), &200.into()));
}

#[test]
fn every_precision_and_other_kinds() {
    let place = Place::new();
    let narrow = "train.precision=bf16 --set model.residual_stream=bfloat16";
    let sets = ["train.precision=bf16", narrow, "train.precision=fp64", "attention.kind=random+vanilla"];
    for (i, set) in sets.iter().enumerate() {
        place.succeeds(&format!("train tiny.toml --run run{i} --set {set}"));
        let options = "--max-tokens 40 --samples 2 --device cpu --json";
        let json = place.succeeds_on("line", &format!("generate results/tiny/run{i} {options}")).json();
        assert_eq!(json["generations"][1]["tokens"], 40, "{set}");
    }
}

#[test]
fn characters_that_the_tokenizer_lacks() {
    let place = Place::new();
    place.write("text.txt", "abcdef ghi ".repeat(100));
    place.succeeds("train tiny.toml --set tokenizer.kind=char");
    let finished = place.succeeds_on("aßb\nß\u{1b}", &format!("{GENERATE} --max-tokens 300 --temperature 9"));
    let warnings: Vec<&str> = finished.stderr.lines().collect();
    let [warning] = warnings[..] else { panic!("{}", finished.stderr) };
    assert!(warning.contains("lacks '\\u{1b}', 'ß': read as"), "{warning}");
    assert!(finished.stdout.starts_with("aßb"));
    assert!(!finished.stdout.contains('\u{fffd}'), "{}", finished.stdout);
    place.fails_on("a\n\nb", GENERATE, 2, &["line 2 of stdin is empty", "no line break"]);
}

#[test]
fn prompts_that_are_none() {
    let place = Place::with_run();
    for options in ["", "--whole-input"] {
        place.fails_on("", &format!("{GENERATE} {options}"), 2, &["stdin is empty", "synth generate RUN"]);
    }
    place.fails_on(b"ab\xff", GENERATE, 1, &["stdin is not UTF-8 text", "offset 2"]);
}

#[test]
fn options_that_are_none() {
    let place = Place::with_run();
    for (options, expected) in [
        ("--temperature -1", "expected a number of 0 or more"),
        ("--temperature nan", "expected a number of 0 or more"),
        ("--temperature inf", "expected a number of 0 or more"),
        ("--top-p 0", "expected a number above 0, at most 1"),
        ("--top-p 1.01", "expected a number above 0, at most 1"),
        ("--top-p x", "expected a number above 0, at most 1"),
        ("--top-k 0", "0 is not in 1.."),
        ("--samples 0", "0 is not in 1.."),
        ("--max-tokens 0", "0 is not in 1.."),
        ("--greedy --temperature 1", "cannot be used with"),
        ("--seed x", "'x' for '--seed <N>'"),
        ("--device gpu", "expected auto, cpu, cuda or cuda:N"),
        ("--device cuda:99", "--device cuda:99: "),
        ("--checkpoint newest", "expected best, last or a name such as step-100"),
        ("--checkpoint step-999", "there are: step-6"),
    ] {
        place.fails_on("a", &format!("{GENERATE} {options}"), 2, &[expected]);
    }
    place.fails_on("a", "generate results/tiny/none", 2, &["results/tiny/none does not exist"]);
    place.fails_on("a", "generate tiny.toml", 2, &["tiny.toml is no folder"]);
}

#[test]
fn damaged_runs() {
    let place = Place::with_run();
    let weights = format!("{RUN}/checkpoints/step-6/model.safetensors");
    let bytes = fs::read(place.path(&weights)).unwrap();
    place.write(&weights, &bytes[..bytes.len() - 7]);
    place.fails_on("a", GENERATE, 1, &["step-6", "model.safetensors is damaged", "--checkpoint"]);
    // Every weight a NaN, behind the header.
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    place.write(&weights, [&bytes[..header], &vec![0xff; bytes.len() - header]].concat());
    place.fails_on("a", GENERATE, 1, &["logits are not finite"]);
    fs::remove_file(place.path(RUN).join("tokenizer.json")).unwrap();
    place.fails_on("a", GENERATE, 1, &["cannot read", "tokenizer.json"]);
}

/// `synth` with more prompts than can be continued in minutes.
fn endless(place: &Place) -> Child {
    place.write("prompts.txt", "a\n".repeat(50_000));
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.args(GENERATE.split_whitespace()).current_dir(place.path("")).env("OMP_NUM_THREADS", "1");
    command.stdin(fs::File::open(place.path("prompts.txt")).unwrap());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn first_line(stdout: &mut impl BufRead) {
    let mut line = String::new();
    assert!(stdout.read_line(&mut line).unwrap() > 0);
}

fn end(mut child: Child) -> (ExitStatus, String) {
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (child.wait().unwrap(), stderr)
}

#[test]
fn a_signal_ends_it() {
    let place = Place::with_run();
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = endless(&place);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        first_line(&mut stdout);
        assert!(Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap().success());
        std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
        let (status, stderr) = end(child);
        assert_eq!(status.code(), Some(code), "{stderr}");
        assert!(stderr.starts_with(&format!("stopped by SIG{name}: printed ")), "{stderr}");
        assert!(stderr.trim_end().ends_with(" of 50000") && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn it_ends_with_its_reader() {
    let place = Place::with_run();
    let mut child = endless(&place);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    first_line(&mut stdout);
    drop(stdout);
    let (status, stderr) = end(child);
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn a_person_at_a_terminal_is_told_what_to_do() {
    let place = Place::with_run();
    let line = format!("{} generate {RUN} --max-tokens 3", env!("CARGO_BIN_EXE_synth"));
    // script(1) gives a command a terminal; the byte 4 is Ctrl-D.
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(place.path("")).env("OMP_NUM_THREADS", "1");
    let Ok(mut child) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        eprintln!("skipped: there is no script(1)");
        return;
    };
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut told = String::new();
    stdout.read_line(&mut told).unwrap();
    assert!(told.contains("reading prompts, one per line, until Ctrl-D"), "{told:?}");
    child.stdin.take().unwrap().write_all(b"line\n\x04").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success() && rest.matches("line").count() >= 2, "{rest:?}");
}

#[test]
fn help_and_completions_list_it() {
    let place = Place::new();
    assert!(place.succeeds("--help").stdout.contains("generate"));
    let help = place.succeeds("generate --help").stdout;
    for part in ["max_length", "--whole-input", "--max-tokens", "--temperature", "--top-k", "--top-p", "--samples"] {
        assert!(help.contains(part), "{part} in {help}");
    }
    assert!(place.succeeds("completions bash").stdout.contains("whole-input"));
}
