//! Tables by position: cut at their top-left corner for shorter inputs, and never exceeded.

use crate::attention_layers::{D_MODEL, EVALUATION, MAX_LENGTH, difference, normal};
use crate::each_layer;
use synth::attention::{Mask, TokenMixer};

#[test]
fn shorter_inputs_take_the_top_left_corner() {
    each_layer(|layer| {
        let x = normal("x", &[2, MAX_LENGTH, D_MODEL]);
        let scores = |n, m| {
            let (x, memory) = (x.narrow(1, 0, n), x.narrow(1, 0, m));
            layer.attention.scores(&x, &memory, None, EVALUATION).unwrap().materialise(m)
        };
        let whole = scores(MAX_LENGTH, MAX_LENGTH);
        for (n, m) in [(4, 4), (1, 1), (3, 7), (7, 3)] {
            let corner = whole.narrow(2, 0, n).narrow(3, 0, m);
            assert!(difference(&scores(n, m), &corner) < 1e-12, "{}: {n} × {m}", layer.name);
        }
        let output = |n| layer.attention.forward(&x.narrow(1, 0, n), &Mask::causal(), EVALUATION).unwrap();
        assert!(difference(&output(MAX_LENGTH).narrow(1, 0, 4), &output(4)) < 1e-12, "{}", layer.name);
    });
}

#[test]
fn longer_inputs_are_refused_where_tables_end() {
    each_layer(|layer| {
        let of_length = |length| normal("x", &[1, length, D_MODEL]);
        let (long, short) = (of_length(MAX_LENGTH + 1), of_length(2));
        for (x, memory) in [(&long, &long), (&long, &short), (&short, &long)] {
            let answer = layer.attention.attend_to(x, memory, None, &Mask::default(), EVALUATION);
            assert_eq!(answer.is_err(), layer.kind.capabilities().length_bound, "{}", layer.name);
            if let Err(error) = answer {
                let message =
                    format!("an input of {} tokens is longer than model.max_length = {MAX_LENGTH}", MAX_LENGTH + 1);
                assert_eq!(error.to_string(), message);
            }
        }
    });
}
