//! `synth generate` with a model of a task that has a source and a target: a line of outputs for a line.

use super::{RUN, place, sources, with_learned, with_run};
use crate::place::{Finished, Place};
use serde_json::Value;

const GENERATE: &str = "generate results/pairs/vanilla-s1 --quiet";

/// A run in float64, in which sums hardly depend on their order.
fn learned() -> Place {
    with_learned(100, "--set train.precision=fp64")
}

fn lines(finished: &Finished) -> Vec<String> {
    finished.stdout.lines().map(str::to_string).collect()
}

/// The object that `--json` prints.
fn json(place: &Place, input: &str, options: &str) -> Value {
    place.succeeds_on(input, &format!("{GENERATE} --json {options}")).json()
}

/// Text and score of the outputs for each line.
fn outputs(place: &Place, input: &str, options: &str) -> Vec<Vec<(String, f64)>> {
    let object = json(place, input, options);
    let outputs = |line: &Value| {
        let outputs = line["outputs"].as_array().unwrap().iter();
        outputs
            .map(|output| (output["text"].as_str().unwrap().to_string(), output["score"].as_f64().unwrap()))
            .collect()
    };
    object["lines"].as_array().unwrap().iter().map(outputs).collect()
}

#[test]
fn what_else_is_in_a_file_changes_no_output() {
    let place = learned();
    let input = sources(200, 21);
    for options in ["", "--greedy", "--temperature 1 --samples 2"] {
        let together = outputs(&place, &input, options);
        assert_eq!(together.len(), 200);
        // Draws go with the number of a line: other lines after it, or longer ones, change nothing.
        let alone = |number: usize| {
            let line: String = input.split_inclusive('\n').nth(number).unwrap().into();
            outputs(&place, &line, options).remove(0)
        };
        let numbers = if options.contains("samples") { vec![0] } else { vec![0, 64, 199] };
        for number in numbers {
            for ((text, score), (other, single)) in together[number].iter().zip(alone(number)) {
                assert_eq!(*text, other, "line {number} {options}");
                assert!((score - single).abs() < 1e-12, "line {number} {options}: {score} and {single}");
            }
        }
        let reordered: String = input.split_inclusive('\n').rev().collect();
        let reordered = outputs(&place, &reordered, options);
        for (found, expected) in reordered.iter().rev().zip(&together).filter(|_| !options.contains("samples")) {
            assert!(found[0].0 == expected[0].0 && (found[0].1 - expected[0].1).abs() < 1e-12, "{options}");
        }
    }
    let plain = lines(&place.succeeds_on(&input, GENERATE));
    assert_eq!(plain, outputs(&place, &input, "").into_iter().map(|mut line| line.remove(0).0).collect::<Vec<_>>());
}

#[test]
fn a_wider_search_finds_what_the_model_holds_likelier() {
    let place = learned();
    let input = sources(40, 31);
    let mean = |options: &str| {
        let scores = outputs(&place, &input, &format!("--length-penalty 0.6 {options}"));
        scores.iter().map(|line| line[0].1).sum::<f64>() / scores.len() as f64
    };
    let (wide, narrow) = (mean("--beam 4"), mean("--beam 1"));
    assert!(wide >= narrow, "{wide} and {narrow}");
    assert_eq!(mean("--greedy"), narrow);
    let texts = |options: &str| lines(&place.succeeds_on(&input, &format!("{GENERATE} {options}")));
    let greedy = texts("--greedy");
    for same in ["--beam 1", "--temperature 0", "--top-k 1 --seed 5", "--top-p 0.0000001"] {
        assert_eq!(texts(same), greedy, "{same}");
    }
    let own = texts("");
    assert_ne!(own, greedy);
    assert_eq!(own, texts("--beam 4 --length-penalty 0.6"));
}

#[test]
fn several_outputs_of_a_line_come_best_first() {
    let place = learned();
    let input = sources(20, 41);
    let finished = place.succeeds_on(&input, &format!("{GENERATE} --n-best 3 --scores --beam 5"));
    let rows: Vec<Vec<&str>> = finished.stdout.lines().map(|line| line.split('\t').collect()).collect();
    let expected = outputs(&place, &input, "--n-best 3 --beam 5");
    let expected = (1..).zip(&expected).flat_map(|(number, line)| line.iter().map(move |output| (number, output)));
    let expected: Vec<_> =
        expected.map(|(number, (text, score))| [number.to_string(), format!("{score:.6}"), text.clone()]).collect();
    assert_eq!(rows, expected);
    assert_eq!(rows.len(), 60);
    for line in rows.chunks(3) {
        let scores: Vec<f64> = line.iter().map(|row| row[1].parse().unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
        let mut texts: Vec<&str> = line.iter().map(|row| row[2]).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 3);
    }
    let best = place.succeeds_on(&input, &format!("{GENERATE} --scores --beam 5")).stdout;
    let firsts: String = rows.chunks(3).map(|line| format!("{}\t{}\n", line[0][1], line[0][2])).collect();
    assert_eq!(best, firsts);
}

#[test]
fn draws_follow_from_the_seed_and_the_number_of_the_line() {
    let place = with_run();
    let input = sources(4, 51);
    let drawn = |input: &str, options: &str| {
        lines(&place.succeeds_on(input, &format!("{GENERATE} --temperature 1 --max-tokens 8 {options}")))
    };
    let own = drawn(&input, "");
    assert_eq!(drawn(&input, "--seed 1"), own);
    assert_eq!(drawn(&format!("{input}gnu hen dog dog elk\n"), "")[..4], own);
    assert_ne!(drawn(&input, "--seed 2"), own);
    let twice = drawn("ant\nant\n", "");
    assert_ne!(twice[0], twice[1]);
    let object = json(&place, &input, "--temperature 0.5 --top-k 20 --top-p 0.9 --samples 3 --seed 7 --max-tokens 8");
    let draws = &object["draws"];
    assert_eq!((&draws["seed"], &draws["temperature"], &draws["samples"]), (&7.into(), &0.5.into(), &3.into()));
    assert_eq!((&draws["top_k"], &draws["top_p"], &draws["max_length"]), (&20.into(), &0.9.into(), &8.into()));
    assert!(object.get("decode").is_none());
    assert!(object["lines"].as_array().unwrap().iter().all(|line| line["outputs"].as_array().unwrap().len() == 3));
    let numbers = drawn(&input, "--samples 3")
        .iter()
        .map(|line| line.split('\t').next().unwrap().to_string())
        .collect::<Vec<_>>();
    // A drawn line break is printed as a space, so that a line stays one.
    assert_eq!(numbers, ["1", "1", "1", "2", "2", "2", "3", "3", "3", "4", "4", "4"]);
}

#[test]
fn the_object_tells_how_outputs_were_made() {
    let place = with_run();
    let object = json(&place, "ant\n\n", "--beam 3 --n-best 2 --min-tokens 2 --max-tokens 5 --checkpoint last");
    let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["run", "checkpoint", "step", "weights", "decode", "lines"]);
    assert_eq!((&object["checkpoint"], &object["step"]), (&"step-6".into(), &6.into()));
    let expected = serde_json::json!({
        "beam": 3, "length_penalty": 0.6, "length_formula": "gnmt", "max_length": 5, "min_length": 2, "no_repeat_ngram": 0,
    });
    assert_eq!(object["decode"], expected);
    let [line, empty] = &object["lines"].as_array().unwrap()[..] else { panic!("{object}") };
    assert_eq!((&line["source"], line["outputs"].as_array().unwrap().len()), (&"ant".into(), 2));
    let output = &line["outputs"][0];
    let keys: Vec<&String> = output.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["text", "score", "log_probability", "tokens", "ended"]);
    let tokens = output["tokens"].as_u64().unwrap();
    assert!((2..=5).contains(&tokens), "{tokens}");
    let length = tokens as f64 + f64::from(u8::from(output["ended"] == true));
    let divisor = ((5.0 + length) / 6.0).powf(0.6);
    let expected = output["log_probability"].as_f64().unwrap() / divisor;
    assert!((output["score"].as_f64().unwrap() - expected).abs() < 1e-9, "{output}");
    let nothing = serde_json::json!({ "text": "", "score": 0.0, "log_probability": 0.0, "tokens": 0, "ended": true });
    assert_eq!(empty["outputs"][0], nothing);
}

#[test]
fn lines_of_any_form_have_outputs_and_what_happened_is_said_once() {
    let place = with_run();
    let long = "ant bee cat dog elk fox gnu hen";
    let input = format!("ant bee\r\n\n{long}\n\n{long} {long}\ngnu");
    let finished = place.succeeds_on(&input, "generate results/pairs/vanilla-s1 --max-tokens 3");
    let printed = lines(&finished);
    assert_eq!(printed.len(), 6);
    assert!(printed[1].is_empty() && printed[3].is_empty(), "{printed:?}");
    let warnings: Vec<&str> = finished.stderr.lines().collect();
    let [empty, cut, unended] = warnings[..] else { panic!("{}", finished.stderr) };
    assert!(empty.ends_with("empty lines, whose outputs are empty, too: 2"), "{empty}");
    assert!(cut.ends_with("lines of more than the 24 tokens that are read, which were cut: 2"), "{cut}");
    assert!(unended.contains("without an end (--max-tokens): 4"), "{unended}");
    // What is cut is what stands behind the first tokens; a carriage return before a line feed is no part of a line.
    let same = format!("ant bee\n\n{}\n\n{}\ngnu\n", &long[..23], &long[..23]);
    assert_eq!(place.succeeds_on(&same, &format!("{GENERATE} --max-tokens 3")).stdout, finished.stdout);
    let whole = place.succeeds_on("ant\nbee\n", &format!("{GENERATE} --whole-input --json")).json();
    assert_eq!(whole["lines"][0]["source"], "ant\nbee");
    assert_eq!(whole["lines"].as_array().unwrap().len(), 1);
}

#[test]
fn no_option_leads_out_of_bounds() {
    let place = with_run();
    let longest = json(&place, "ant\n", "--max-tokens 100000 --min-tokens 100000 --beam 2");
    assert_eq!(longest["lines"][0]["outputs"][0]["tokens"], 23, "{longest}");
    let varied = json(&place, "ant\nbee gnu\n", "--no-repeat-ngram 1 --min-tokens 20");
    for line in varied["lines"].as_array().unwrap() {
        assert!(line["outputs"][0]["tokens"].as_u64().unwrap() >= 20, "{line}");
    }
    // More hypotheses than the model has tokens.
    let wide = json(&place, "ant\n", "--beam 1024 --n-best 1024 --max-tokens 1");
    // Any of 256 bytes, or none.
    assert_eq!(wide["lines"][0]["outputs"].as_array().unwrap().len(), 257);
}

#[test]
fn turns_of_a_dialogue_stand_on_a_line() {
    let place = place(48);
    let talks = |count: usize| {
        (0..count)
            .map(|i| format!("1 ant bee\tgnu\n2 {}\then\n", "dog ".repeat(1 + i % 3).trim_end()))
            .collect::<String>()
    };
    place.write("train.txt", talks(15));
    place.write("valid.txt", talks(3));
    place.succeeds("data import talk train.txt valid.txt --format convai2");
    let replaced = super::EXPERIMENT.lines().filter(|line| !line.contains(".src")).collect::<Vec<_>>().join("\n");
    let toml =
        replaced.replace("translation", "dialogue").replace("[data]", "[data]\ndataset = \"talk\"\nhistory_turns = 2");
    place.write("talk.toml", toml);
    place.succeeds("train talk.toml --quiet");
    let turns = place.succeeds_on("dog\tant bee\then\nant bee\then\n", GENERATE);
    let replies = lines(&turns);
    assert_eq!(replies[0], replies[1], "the two newest turns count");
    place.succeeds(&format!("eval {RUN} --quiet"));
    let predicted = place.read(&format!("{RUN}/eval/validation.predictions.txt"));
    let input = ["dog", "dog dog", "dog dog dog"].map(|said| format!("ant bee\nant bee\tgnu\t{said}\n")).concat();
    assert_eq!(place.succeeds_on(&input, GENERATE).stdout, predicted);
}

#[test]
fn tabs_in_the_lines_of_a_file_are_tabs() {
    let place = place(0);
    let source = "ant\tbee\ngnu\t\then\ndog\n".repeat(16);
    for split in ["train", "validation", "test"] {
        place.write(&format!("{split}.src"), &source);
        place.write(&format!("{split}.tgt"), "yes\nno\nwhy\n".repeat(16));
    }
    place.succeeds("train pairs.toml --quiet --set task.kind=dialogue");
    place.succeeds(&format!("eval {RUN} --split test --quiet"));
    let printed = place.succeeds(&format!("{GENERATE} test.src")).stdout;
    assert_eq!(printed, place.read(&format!("{RUN}/eval/test.predictions.txt")));
}

#[test]
fn options_that_are_none() {
    let place = with_run();
    for (options, expected) in [
        ("--beam 0", "0 is not in 1..=1024"),
        ("--beam x", "'x' for '--beam <N>'"),
        ("--n-best 5", "--n-best 5: beam search keeps 4 hypotheses; give --beam 5, too"),
        ("--beam 2 --n-best 3", "beam search keeps 2 hypotheses"),
        ("--greedy --n-best 2", "--n-best 2: --greedy makes one output"),
        ("--greedy --beam 2", "cannot be used with"),
        ("--beam 2 --temperature 1", "--beam: it is about beam search, and --temperature asks for draws"),
        ("--n-best 2 --top-k 3", "--n-best: it is about beam search, and --top-k asks for draws"),
        ("--length-penalty 1 --samples 2", "--length-penalty: it is about beam search, and --samples"),
        ("--length-penalty -1", "expected a number of 0 or more"),
        ("--min-tokens 4 --max-tokens 3", "--min-tokens, --max-tokens: "),
    ] {
        place.fails_on("ant\n", &format!("{GENERATE} {options}"), 2, &[expected]);
    }
    place.fails_on("", GENERATE, 2, &["stdin is empty: expected a source per line"]);
    place.fails_on("", &format!("{GENERATE} nothing.txt"), 2, &["no such file: nothing.txt"]);
    place.fails_on(b"ant\xff\n", GENERATE, 1, &["stdin is not UTF-8 text", "offset 3"]);
    place.succeeds("train tiny.toml --quiet");
    for option in ["--beam 2", "--n-best 2", "--scores"] {
        let name = option.split(' ').next().unwrap();
        place.fails_on("a\n", &format!("generate results/tiny/vanilla-s1 {option}"), 2, &[name, "language model"]);
    }
}
