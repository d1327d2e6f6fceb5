//! The models that are trained and measured: few of them, in which any two choices meet.

use crate::experiment::Experiment;
use crate::text::sentences;

/// What differs between the trained models; any two choices meet in one of them (tested below).
pub type Case = [&'static str; 9];

/// Kind, positions, embeddings, tokenizer, widths, last block, precision, checkpoint and source of the texts.
pub const CASES: [Case; 10] = [
    ["random", "none", "untied", "byte", "default", "shorter", "fp64", "best", "path"],
    ["vanilla", "learned", "tied", "char", "own", "whole", "fp32", "last", "path"],
    ["random", "sinusoidal", "untied", "char", "own", "whole", "fp64", "best", "files"],
    ["vanilla", "sinusoidal", "tied", "byte", "default", "shorter", "fp32", "last", "glob"],
    ["random", "learned", "tied", "byte", "own", "shorter", "fp32", "best", "files"],
    ["vanilla", "none", "untied", "char", "default", "whole", "fp64", "last", "glob"],
    ["vanilla", "learned", "tied", "byte", "default", "whole", "fp64", "last", "files"],
    ["random", "learned", "untied", "char", "own", "shorter", "fp32", "best", "glob"],
    ["random", "none", "tied", "byte", "own", "shorter", "fp32", "last", "files"],
    ["vanilla", "sinusoidal", "untied", "byte", "own", "whole", "fp32", "best", "path"],
];

const MAX_LENGTH: usize = 24;

/// An experiment of the case, whose best checkpoint is an early one, so that it differs from the last.
pub fn experiment(case: Case) -> Experiment {
    let [_, _, _, tokenizer, _, last_block, _, _, source] = case;
    let model = model_keys(case);
    let mut keys: Vec<(&str, &str)> = model.iter().map(|(key, value)| (*key, value.as_str())).collect();
    keys.extend([
        ("optimizer.lr", "0.02"),
        ("train.steps", "20"),
        ("train.batch_size", "8"),
        ("train.eval_every", "5"),
        ("train.best", "{ metric = \"loss\", mode = \"max\" }"),
    ]);
    let (train, validation) = (sentences(1, 3000), validation_text(tokenizer, last_block));
    let (whole, shares) = in_one(&train, &validation);
    let (first, second) = validation.split_at(validation.find('.').expect("sentences"));
    let texts: Vec<(&str, &str)> = match source {
        "path" => vec![("whole.txt", &whole)],
        "glob" => vec![("train.txt", &train), ("part-2.txt", second), ("part-10.txt", first)],
        _ => vec![("train.txt", &train), ("validation.txt", &validation)],
    };
    keys.extend(match source {
        "path" => [("data.path", "\"whole.txt\""), ("data.split", &shares)],
        "glob" => [("data.train", "\"train.txt\""), ("data.validation", "\"part-*.txt\"")],
        _ => [("data.train", "\"train.txt\""), ("data.validation", "\"validation.txt\"")],
    });
    Experiment::new(&texts, &keys)
}

fn model_keys(case: Case) -> Vec<(&'static str, String)> {
    let [kind, positions, tied, tokenizer, widths, _, precision, _, _] = case;
    let mut keys = vec![
        ("attention.kind", format!("{kind:?}")),
        ("attention.random.init_std", "0.7".to_owned()),
        ("model.positions", format!("{positions:?}")),
        ("model.tie_embeddings", (tied == "tied").to_string()),
        ("model.layers", "2".to_owned()),
        ("model.d_model", "12".to_owned()),
        ("model.heads", "3".to_owned()),
        ("model.max_length", MAX_LENGTH.to_string()),
        ("tokenizer.kind", format!("{tokenizer:?}")),
        ("train.precision", format!("{precision:?}")),
    ];
    if widths == "own" {
        keys.extend([("model.head_width", "5".to_owned()), ("model.d_ff", "20".to_owned())]);
    }
    keys
}

/// A text with a character that no train text has, whose targets fill whole blocks or leave a shorter one.
fn validation_text(tokenizer: &str, last_block: &str) -> String {
    let mut text = format!("é {}Ω said Ωmega\n", sentences(2, 600));
    let left_over = |text: &str| {
        let tokens = if tokenizer == "byte" { text.len() } else { text.chars().count() };
        (tokens - 1) % MAX_LENGTH
    };
    while (left_over(&text) == 0) != (last_block == "whole") {
        text.push('x');
    }
    text
}

/// One text that holds both, and the shares that cut it between them.
fn in_one(train: &str, validation: &str) -> (String, String) {
    let (first, second) = (train.chars().count() as f64, validation.chars().count() as f64);
    // The half keeps the border clear of rounding.
    let share = (first + 0.5) / (first + second);
    (format!("{train}{validation}"), format!("[{share:?}, {:?}]", 1.0 - share))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn any_two_choices_meet_in_a_case() {
        let choices = CASES[0].len();
        let count = |index: usize| CASES.iter().map(|case| case[index]).collect::<HashSet<_>>().len();
        for (first, second) in (0..choices).flat_map(|second| (0..second).map(move |first| (first, second))) {
            let met: HashSet<_> = CASES.iter().map(|case| (case[first], case[second])).collect();
            assert_eq!(met.len(), count(first) * count(second), "choices {first} and {second}");
        }
    }
}
