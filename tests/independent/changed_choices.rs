//! The comparison fails where one choice is another than the run's, however little.

use crate::fifty_updates::trained;
use crate::repetition::differences;
use crate::variants::Key;

const ADAFACTOR: &[Key] = &[
    ("train.steps", "8"),
    ("train.label_smoothing", "0.1"),
    ("train.z_loss", "1e-3"),
    ("model.d_model", "8"),
    ("model.heads", "2"),
    ("model.norm", "\"rms\""),
    ("model.norm_position", "\"post\""),
    ("model.activation", "\"swiglu\""),
    ("model.positions", "\"relative\""),
    ("model.relative_buckets", "5"),
    ("model.relative_distance", "16"),
    ("model.bias", "false"),
    ("optimizer.kind", "\"adafactor\""),
    ("optimizer.lr", "0.05"),
    ("optimizer.adafactor.min_factored", "4"),
    ("optimizer.adafactor.beta1", "0.9"),
    ("optimizer.schedule.kind", "\"linear\""),
    ("optimizer.schedule.warmup_start", "0.2"),
    ("train.ema", "0.9"),
];

const ADAMW: &[Key] = &[
    ("train.steps", "8"),
    ("model.d_model", "8"),
    ("model.heads", "2"),
    ("model.norm_position", "\"post\""),
    ("model.activation", "\"gelu\""),
    ("model.bias", "false"),
    ("optimizer.lr", "0.02"),
    ("optimizer.schedule.kind", "\"one-cycle\""),
];

const SGD: &[Key] = &[
    ("train.steps", "8"),
    ("model.d_model", "8"),
    ("model.heads", "2"),
    ("model.positions", "\"sinusoidal\""),
    ("optimizer.kind", "\"sgd\""),
    ("optimizer.lr", "0.3"),
    ("optimizer.momentum", "0.9"),
    ("optimizer.nesterov", "true"),
    ("optimizer.clip_norm", "0.5"),
    ("optimizer.schedule.kind", "\"cosine\""),
];

#[test]
fn adafactor_agrees_with_no_other_choice() {
    check(
        ADAFACTOR,
        &[
            ("model.norm", "\"layer\""),
            ("model.activation", "\"gelu\""),
            ("model.relative_distance", "9"),
            ("optimizer.lr", "0.050001"),
            ("optimizer.weight_decay", "0.101"),
            ("optimizer.adafactor.decay_exponent", "0.801"),
            ("optimizer.adafactor.clip_threshold", "0.999"),
            ("optimizer.adafactor.scale_by_parameter", "false"),
            ("optimizer.adafactor.min_factored", "9"),
            ("optimizer.adafactor.beta1", "0.901"),
            ("optimizer.adafactor.eps", "[1e-9, 1e-3]"),
            ("optimizer.schedule.kind", "\"cosine\""),
            ("optimizer.schedule.final_fraction", "0.101"),
            ("optimizer.schedule.warmup", "4"),
            ("optimizer.schedule.warmup_start", "0.201"),
            ("train.label_smoothing", "0.101"),
            ("train.z_loss", "1.01e-3"),
        ],
    );
}

#[test]
fn adamw_agrees_with_no_other_choice() {
    check(
        ADAMW,
        &[
            ("model.norm", "\"rms\""),
            ("model.activation", "\"gelu-tanh\""),
            ("optimizer.betas", "[0.90001, 0.98]"),
            ("optimizer.betas", "[0.9, 0.98001]"),
            ("optimizer.eps", "2e-8"),
            ("optimizer.schedule.warmup", "6"),
            ("optimizer.schedule.kind", "\"linear\""),
            ("train.label_smoothing", "1e-4"),
            ("train.z_loss", "1e-5"),
        ],
    );
}

#[test]
fn sgd_agrees_with_no_other_choice() {
    check(
        SGD,
        &[
            ("optimizer.momentum", "0.90001"),
            ("optimizer.momentum", "0.0"),
            ("optimizer.nesterov", "false"),
            ("optimizer.clip_norm", "0.50001"),
            ("optimizer.schedule.kind", "\"linear\""),
            ("optimizer.schedule.kind", "\"inverse-sqrt\""),
            ("model.positions", "\"none\""),
        ],
    );
}

#[test]
fn an_average_agrees_with_no_other_share() {
    let run = trained(ADAFACTOR);
    let differences = differences(&run, &run.config().with("train.ema", "0.90001"));
    assert!(differences["loss"] <= 1e-8, "the average changes no training");
    assert!(differences["validation"] > 1e-8, "validation takes the average");
}

fn check(keys: &[Key], others: &[Key]) {
    let run = trained(keys);
    assert!(differences(&run, &run.config())["loss"] <= 1e-8, "{keys:?}");
    for (key, other) in others {
        let loss = differences(&run, &run.config().with(key, other))["loss"];
        assert!(loss > 1e-8, "{key} = {other} would change the losses by {loss:e} only");
    }
}
