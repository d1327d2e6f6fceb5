//! Figures that `golden/make_golden.py` made with the reference programs.

use serde_json::Value;
use std::slice::from_ref;
use synth::metrics::bleu::Bleu;
use synth::metrics::chrf::Chrf;
use synth::metrics::cider::CiderD;
use synth::metrics::corpus::Corpus;
use synth::metrics::embedding::{EmbeddingAverage, Vectors};
use synth::metrics::meteor::MeteorExactStem;
use synth::metrics::rouge::{Overlap, Rouge};
use synth::metrics::segments::{SegmentMetric, Statistics};
use synth::metrics::significance::{self, Draws};
use synth::metrics::squad::Squad;
use synth::metrics::ter::Ter;
use synth::metrics::{accuracy, correlation, distinct, f1, matthews, multirc};

/// Points; the programs themselves agree with each other no better.
const TOLERANCE: f64 = 1e-9;

fn parse(text: &str) -> Vec<Value> {
    match serde_json::from_str(text).unwrap() {
        Value::Array(values) => values,
        value => vec![value],
    }
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Hypotheses beside lists of references.
fn parallel<'a>(hypotheses: &'a Value, lists: &'a [Value]) -> Corpus<'a> {
    let (hypotheses, lists) = (strings(hypotheses), lists.iter().map(strings).collect::<Vec<_>>());
    let references = (0..hypotheses.len()).map(|i| lists.iter().map(|list| list[i]).collect()).collect();
    Corpus::new(hypotheses, references).unwrap()
}

fn corpus(value: &Value) -> Corpus<'_> {
    parallel(&value["hypotheses"], value["references"].as_array().unwrap())
}

/// The metric that a name of the golden file stands for, such as `bleu 13a lc exp`.
fn metric<'a>(name: &str, corpus: &Corpus<'a>) -> Box<dyn SegmentMetric + 'a> {
    let rouge = |overlap, stemmer| Box::new(Rouge::new(overlap, stemmer == "stem", None));
    match name.split(' ').collect::<Vec<_>>()[..] {
        ["bleu", tokenizer, case, smooth] => Box::new(Bleu {
            tokenizer: tokenizer.parse().unwrap(),
            smoothing: smooth.parse().unwrap(),
            lowercase: case == "lc",
            ..Bleu::default()
        }),
        ["chrf", case] => Box::new(Chrf { word_order: 0, lowercase: case == "lc" }),
        ["chrf++", case] => Box::new(Chrf { word_order: 2, lowercase: case == "lc" }),
        ["ter"] => Box::new(Ter),
        ["rouge1", stemmer] => rouge(Overlap::Rouge1, stemmer),
        ["rouge2", stemmer] => rouge(Overlap::Rouge2, stemmer),
        ["rougeL", stemmer] => rouge(Overlap::RougeL, stemmer),
        ["rougeLsum", stemmer] => rouge(Overlap::RougeLsum, stemmer),
        ["meteor-exact-stem"] => Box::new(MeteorExactStem),
        ["cider-d"] => Box::new(CiderD::new(&corpus.references)),
        ["squad-f1"] => Box::new(Squad::F1),
        ["squad-em"] => Box::new(Squad::ExactMatch),
        _ => panic!("{name} is no metric"),
    }
}

#[test]
fn scores_of_hard_lines() {
    let mut compared = 0;
    for value in parse(include_str!("golden/texts.json")) {
        let corpus = corpus(&value);
        for (name, expected) in value["scores"].as_object().unwrap() {
            let metric = metric(name, &corpus);
            let statistics = Statistics::measure(metric.as_ref(), &corpus, &|_| ());
            let close = |found: f64, expected: f64| (found - expected).abs() < TOLERANCE;
            let (found, expected_score) = (statistics.score(metric.as_ref()), expected["corpus"].as_f64().unwrap());
            assert!(close(found, expected_score), "{name}: {found}, expected {expected_score}");
            let lines = statistics.sentence_scores(metric.as_ref());
            for (i, (found, expected)) in lines.into_iter().zip(numbers(&expected["lines"])).enumerate() {
                let (own, others) = (corpus.hypotheses[i], &corpus.references[i]);
                assert!(close(found, expected), "{name}: {found}, expected {expected} of {own:?} beside {others:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 2000, "{compared}");
}

/// A line of 10,000 words and one that differs, by the recipe of `make_golden.py`.
fn long_lines() -> (String, String) {
    let mut state = 1_u64;
    let draw = |_| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        format!("w{}", (state >> 16) % 500)
    };
    let reference: Vec<String> = (0..10_000).map(draw).collect();
    let kept = reference.iter().enumerate().filter(|(at, _)| at % 7 != 0).map(|(_, word)| word);
    let changed = kept.enumerate().map(|(at, word)| if at % 13 == 0 { format!("x{}", at % 11) } else { word.clone() });
    let mut hypothesis: Vec<String> = changed.collect();
    (0..hypothesis.len() - 1).step_by(17).for_each(|at| hypothesis.swap(at, at + 1));
    (hypothesis.join(" "), reference.join(" "))
}

#[test]
fn scores_of_lines_of_10_000_words() {
    let (hypothesis, reference) = long_lines();
    let corpus = Corpus::new(vec![&hypothesis], vec![vec![&reference]]).unwrap();
    let scores = parse(include_str!("golden/long.json")).remove(0);
    for (name, expected) in scores.as_object().unwrap() {
        let metric = metric(name, &corpus);
        let found = Statistics::measure(metric.as_ref(), &corpus, &|_| ()).score(metric.as_ref());
        let expected = expected.as_f64().unwrap();
        assert!((found - expected).abs() < TOLERANCE, "{name}: {found}, expected {expected}");
    }
    assert_eq!(scores.as_object().unwrap().len(), 7);
}

/// Metrics whose reference program is no package: their formula in numpy, scikit-learn and NLTK.
#[test]
fn scores_by_formula() {
    let value = parse(include_str!("golden/lists.json")).remove(0);
    let close = |name: &str, found: f64, expected: &Value| {
        let expected = expected.as_f64().unwrap();
        assert!((found - expected).abs() < TOLERANCE, "{name}: {found}, expected {expected}");
    };
    let answers = &value["multirc"];
    let [predicted, expected] =
        ["predicted", "expected"].map(|key| serde_json::from_value::<Vec<Vec<bool>>>(answers[key].clone()).unwrap());
    close("multirc-f1a", multirc::f1a(&predicted, &expected), &answers["scores"]["multirc-f1a"]);
    close("multirc-em", multirc::exact_match(&predicted, &expected), &answers["scores"]["multirc-em"]);

    let corpus = corpus(&value["texts"]);
    for (order, name) in [(1, "distinct-1"), (2, "distinct-2")] {
        close(name, distinct::distinct(&corpus.hypotheses, order), &value["texts"]["distinct"][name]);
    }
    let embedding = &value["texts"]["embedding"];
    let vectors = embedding["vectors"].as_object().unwrap();
    let line = |(word, numbers): (&String, &Value)| {
        let numbers: Vec<String> = numbers.as_array().unwrap().iter().map(Value::to_string).collect();
        format!("{word} {}\n", numbers.join(" "))
    };
    let wanted = vectors.keys().cloned().collect();
    let file: String = vectors.iter().map(line).collect();
    let metric = EmbeddingAverage { vectors: Vectors::read(file.as_bytes(), &wanted).unwrap() };
    let statistics = Statistics::measure(&metric, &corpus, &|_| ());
    close("embedding-average", statistics.score(&metric), &embedding["scores"]["corpus"]);
    let lines = statistics.sentence_scores(&metric);
    lines
        .iter()
        .zip(embedding["scores"]["lines"].as_array().unwrap())
        .for_each(|(found, line)| close("line", *found, line));
}

#[test]
fn scores_of_labels_and_numbers() {
    for value in parse(include_str!("golden/labels.json")) {
        let (predicted, expected) = (strings(&value["predicted"]), strings(&value["expected"]));
        for (name, score) in value["scores"].as_object().unwrap() {
            let parsed = |labels: &[&str]| labels.iter().map(|label| label.parse().unwrap()).collect::<Vec<f64>>();
            let found = match name.as_str() {
                "accuracy" => accuracy::accuracy(&predicted, &expected),
                "f1" => f1::f1(&value["positive"].as_str().unwrap(), &predicted, &expected),
                "macro-f1" => f1::macro_f1(&predicted, &expected),
                "matthews" => matthews::matthews(&predicted, &expected),
                "pearson" => correlation::pearson(&parsed(&predicted), &parsed(&expected)).unwrap(),
                _ => correlation::spearman(&parsed(&predicted), &parsed(&expected)).unwrap(),
            };
            let score = score.as_f64().unwrap();
            assert!((found - score).abs() < TOLERANCE, "{name}: {found}, expected {score}");
        }
    }
}

/// Intervals and p-values are sacrebleu's but for sampling error. Both sides draw; the file holds the mean of five
/// runs, so that the error is mostly ours: below 0.02 for a p-value of about 0.1 and 1,000 samples (two standard
/// errors), and a tenth of a half width.
#[test]
fn comparisons_of_systems() {
    let value = &parse(include_str!("golden/systems.json"))[0];
    let [system, baseline] = ["system", "baseline"].map(|name| parallel(&value[name], from_ref(&value["references"])));
    for (name, expected) in [("bleu 13a mixed exp", "bleu"), ("chrf mixed", "chrf"), ("ter", "ter")] {
        let metric = metric(name, &system);
        let metric = metric.as_ref();
        let own = Statistics::measure(metric, &system, &|_| ());
        let other = Statistics::measure(metric, &baseline, &|_| ());
        let close = |what: &str, found: f64, expected: &Value, tolerance: f64| {
            let expected = expected.as_f64().unwrap();
            assert!((found - expected).abs() < tolerance, "{name}, {what}: {found}, expected {expected}");
        };
        let (bootstrap, randomization) = (&value["bs"][expected], &value["ar"][expected]);
        close("score", own.score(metric), &bootstrap["score"], TOLERANCE);
        close("baseline", other.score(metric), &bootstrap["baseline"], TOLERANCE);

        let draws = Draws { samples: 1000, seed: significance::SEED };
        let found = significance::paired_bootstrap(metric, &own, &other, draws, &|_| ());
        close("p", found.p_value, &bootstrap["p_value"], 0.03);
        let interval = found.interval.unwrap();
        let half_width = bootstrap["half_width"].as_f64().unwrap();
        close("mean", interval.mean, &bootstrap["mean"], 0.1 * half_width);
        close("half width", interval.half_width(), &bootstrap["half_width"], 0.1 * half_width);
        assert_eq!(significance::confidence(metric, &own, draws, &|_| ()), interval, "the same resamples");

        let draws = Draws { samples: 10_000, seed: significance::SEED };
        let found = significance::paired_randomization(metric, &own, &other, draws, &|_| ());
        close("p by randomization", found.p_value, &randomization["p_value"], 0.015);
    }
}

#[test]
fn a_system_beside_itself_differs_by_chance() {
    let value = &parse(include_str!("golden/systems.json"))[0];
    let corpus = parallel(&value["system"], from_ref(&value["references"]));
    let statistics = Statistics::measure(&Bleu::default(), &corpus, &|_| ());
    let draws = Draws { samples: 200, seed: 1 };
    for test in [significance::paired_bootstrap, significance::paired_randomization] {
        let found = test(&Bleu::default(), &statistics, &statistics, draws, &|_| ());
        // No difference is above none: as in sacrebleu, only the real one counts.
        assert!((found.p_value - 1.0 / 201.0).abs() < 1e-12, "{}", found.p_value);
    }
}
