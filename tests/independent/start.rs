//! Where a run starts: its weights, and the order in which it reads its text.

use crate::data::split_text;
use crate::experiment::{Experiment, evaluated};
use crate::folder::number;
use crate::measure::{blocks, figures, mean_loss};
use crate::model::rebuilt;
use crate::plan::Plan;
use crate::random::{initial, order};
use crate::text::sentences;

/// Keys of a run that changes nothing: its rate is 0, and so is its weight decay, which the rate scales.
const STANDING_STILL: [(&str, &str); 8] = [
    ("data.path", "\"text.txt\""),
    ("data.split", "[0.7, 0.3]"),
    ("tokenizer.kind", "\"char\""),
    ("model.layers", "3"),
    ("model.d_model", "8"),
    ("model.heads", "2"),
    ("model.dropout", "0.0"),
    ("optimizer.lr", "0.0"),
];

#[test]
fn the_initial_weights_follow_from_seed_and_name() {
    let vanilla = ["\"vanilla\"", "true", "\"fp32\"", "3"];
    let random = ["\"random\"", "false", "\"fp64\"", "4"];
    for [kind, tied, precision, head_width] in [vanilla, random] {
        check_start(&[
            ("attention.kind", kind),
            ("attention.random.init_std", "0.4"),
            ("model.head_width", head_width),
            ("model.tie_embeddings", tied),
            ("train.precision", precision),
        ]);
    }
}

#[test]
fn the_initial_weights_of_every_part_follow_from_seed_and_name() {
    let all = [
        ("attention.kind", "\"vanilla+dense+factorized-dense+random+fixed-random+factorized-random\""),
        ("attention.mixture.per", "\"head\""),
        ("attention.bias", "true"),
        ("attention.dense.bias", "true"),
        ("attention.dense.hidden", "3"),
        ("attention.random.init_std", "0.4"),
        ("attention.fixed-random.init_std", "0.5"),
        ("attention.factorized-random.init_std", "0.6"),
        ("attention.factorized-random.rank", "5"),
    ];
    check_start(&[&all[..], &[("model.init", "\"fan-in\""), ("train.precision", "\"fp64\"")]].concat());
    let shared = ("attention.dense.shared_output", "true");
    check_start(&[&all[..], &[shared, ("model.init", "\"gpt2\""), ("train.precision", "\"fp32\"")]].concat());
}

#[test]
fn the_initial_weights_of_a_uniform_start_follow_from_seed_and_name() {
    let all = ("attention.kind", "\"vanilla+dense+factorized-dense+random+factorized-random\"");
    for (precision, positions, norm, tied) in
        [("fp64", "learned", "rms", "false"), ("fp32", "relative", "layer", "true")]
    {
        let [precision, positions, norm] = [precision, positions, norm].map(|text| format!("{text:?}"));
        check_start(&[
            all,
            ("attention.bias", "true"),
            ("attention.dense.hidden", "3"),
            ("model.init", "\"xavier\""),
            ("model.positions", &positions),
            ("model.norm", &norm),
            ("model.norm_position", "\"post\""),
            ("model.activation", "\"swiglu\""),
            ("model.tie_embeddings", tied),
            ("train.precision", &precision),
        ]);
    }
}

#[test]
fn relative_positions_start_alike_whatever_else_starts() {
    for init in ["\"fan-in\"", "\"gpt2\""] {
        check_start(&[
            ("model.init", init),
            ("model.positions", "\"relative\""),
            ("model.relative_buckets", "6"),
            ("model.relative_distance", "20"),
            ("model.activation", "\"swiglu\""),
            ("train.precision", "\"fp64\""),
        ]);
    }
}

/// Compares all tensors of a run that changed none.
fn check_start(keys: &[(&str, &str)]) {
    let common = [("seed", "77"), ("model.max_length", "9"), ("train.steps", "1")];
    let keys = [&STANDING_STILL[..], &common, keys].concat();
    let run = Experiment::new(&[("text.txt", &sentences(4, 500))], &keys).train();
    let plan = Plan::new(&run.config(), run.tokenizer().vocabulary_size());
    let tensors = run.tensors("step-1", "model");
    assert_eq!(tensors.len(), plan.shapes().len());
    let single = run.config().required_text("train.precision") == "fp32";
    for (name, shape) in plan.shapes() {
        let expected = initial(&plan, 77, &name, &shape);
        let rounded = |value: f64| if single { f64::from(value as f32) } else { value };
        assert_eq!(tensors[&name].shape, shape, "{name}");
        for (found, expected) in tensors[&name].values.iter().zip(expected.into_iter().map(rounded)) {
            assert!((found - expected).abs() <= 1e-15 * expected.abs(), "{name}: {found} against {expected}");
        }
    }
}

#[test]
fn each_epoch_reads_the_blocks_in_its_own_order() {
    let more = [
        ("seed", "77"),
        ("model.max_length", "11"),
        ("train.precision", "\"fp64\""),
        ("train.steps", "100"),
        ("train.batch_size", "1"),
        ("train.log_every", "1"),
    ];
    let run = Experiment::new(&[("text.txt", &sentences(5, 500))], &[&STANDING_STILL[..], &more].concat()).train();
    let model = rebuilt(&run, "step-100", |x| x);
    let stream = run.tokenizer().tokens(&split_text(&run.config(), "train"));
    let blocks = blocks(&stream, 11);
    let epochs = (0..).flat_map(|epoch| order(77, epoch, blocks.len()));
    let rows = run.rows("train");
    assert!(rows.len() > 2 * blocks.len(), "two epochs and more");
    for (row, block) in rows.iter().zip(epochs) {
        let loss = mean_loss(&model, &blocks[block..=block]);
        assert!((number(row, "loss") - loss).abs() < 1e-12, "step {}: block {block} was expected", row["step"]);
    }
}

#[test]
fn the_unknown_character_is_predicted_as_the_replacement_character() {
    let more = [
        ("seed", "5"),
        ("model.max_length", "16"),
        ("model.tie_embeddings", "false"),
        ("train.precision", "\"fp64\""),
        ("train.steps", "1"),
    ];
    let run = Experiment::new(&[("text.txt", &"né ".repeat(300))], &[&STANDING_STILL[..], &more].concat()).train();
    evaluated(&run, "last", "validation");
    let text = split_text(&run.config(), "validation");
    let ours = figures(&rebuilt(&run, "step-1", |x| x), &run.tokenizer(), &text);
    assert!(ours.predictions.contains('\u{fffd}'), "a model that has learned nothing predicts all characters");
    assert_eq!(run.text("eval/validation.predictions.txt"), ours.predictions);
}
