use super::*;
use crate::experiment::load::tests::{LEAST, read};

fn refused(sets: &[&str]) -> String {
    read(LEAST, sets).unwrap_err()
}

/// The least experiment with other lines in `[data]`.
fn with_data(data: &str, sets: &[&str]) -> Result<Experiment, String> {
    read(&LEAST.replace("dataset = \"rust-sources\"\n", data), sets)
}

#[test]
fn names_are_names_of_folders() {
    for name in ["a", "A.b_c+d-e", "9", &"a".repeat(200)] {
        assert!(is_name(name), "{name}");
    }
    for name in ["", ".a", "-a", "a/b", "a b", "é", &"a".repeat(201)] {
        assert!(!is_name(name), "{name}");
    }
    assert_eq!(
        refused(&["name=../x"]),
        "--set name=../x: found \"../x\", expected [A-Za-z0-9][A-Za-z0-9._+-]* of at most 200 characters"
    );
    assert_eq!(
        refused(&["name=reference"]),
        "--set name=reference: \"reference\" is kept for committed results; choose another name"
    );
    assert!(refused(&["data.dataset=../x"]).starts_with("--set data.dataset=../x: found \"../x\", expected a name"));
}

#[test]
fn heads_divide_the_width_unless_theirs_is_given() {
    let text = LEAST.replace("heads = 4", "heads = 5");
    assert_eq!(
        read(&text, &[]).unwrap_err(),
        "x.toml:7: model.heads: 5 does not divide model.d_model = 64; change one of them or give model.head_width"
    );
    read(&text, &["model.head_width=16"]).unwrap();
    // The line of d_model where heads is the default.
    let text = LEAST.replace("heads = 4\nd_model = 64", "d_model = 100");
    assert!(read(&text, &[]).unwrap_err().starts_with("x.toml:7: model.heads: 8 does not divide"));
    assert_eq!(
        refused(&["model.d_model=63", "model.heads=3", "model.positions=sinusoidal"]),
        "--set model.d_model=63: found 63, expected an even width for model.positions = \"sinusoidal\""
    );
}

#[test]
fn buckets_of_distances_reach_beyond_the_nearer_half() {
    let relative = ["model.positions=relative", "model.relative_buckets=8"];
    read(LEAST, &[&relative[..], &["model.relative_distance=5"]].concat()).unwrap();
    assert_eq!(
        refused(&[&relative[..], &["model.relative_distance=4"]].concat()),
        "--set model.relative_distance=4: found 4, expected more than half of model.relative_buckets = 8: each of the \
         nearer half is one distance"
    );
    assert!(refused(&["model.relative_buckets=1"]).contains("model.relative_buckets"));
}

#[test]
fn a_stream_in_bfloat16_is_for_products_in_it() {
    let stream = "model.residual_stream=bfloat16";
    let experiment = read(LEAST, &[stream, "train.precision=bf16"]).unwrap();
    assert_eq!(experiment.model.residual_stream, ResidualStream::Bfloat16);
    for precision in ["fp32", "fp64"] {
        assert_eq!(
            refused(&[stream, &format!("train.precision={precision}")]),
            format!(
                "--set {stream}: found \"bfloat16\" beside train.precision = \"{precision}\", expected beside \"bf16\" \
                 only"
            )
        );
        read(LEAST, &["model.residual_stream=float32", &format!("train.precision={precision}")]).unwrap();
    }
    assert!(refused(&["model.residual_stream=float16"]).contains("expected float32, bfloat16"));
}

#[test]
fn kinds_by_layer_are_one_for_each() {
    let layers = "attention.layers=['vanilla', 'random']";
    let hybrid = read(LEAST, &[layers, "model.layers=2"]).unwrap();
    assert_eq!(hybrid.kind(), "1xvanilla.1xrandom");
    assert_eq!(hybrid.default_run(), "1xvanilla.1xrandom-s1");
    assert_eq!(
        refused(&[layers, "model.layers=3"]),
        "--set attention.layers=['vanilla', 'random']: found 2 kinds, expected one per layer, model.layers = 3"
    );
    assert_eq!(
        refused(&[layers, "attention.kind=dense", "model.layers=2"]),
        "--set attention.kind=dense: stands beside attention.layers, expected one of the two"
    );
    assert_eq!(
        refused(&[layers, "attention.decoder=dense", "model.layers=2"]),
        "--set attention.decoder=dense: stands beside attention.layers, expected one of the two"
    );
    let list = vec!["'random', 'vanilla'"; 100].join(", ");
    let long = read(LEAST, &[&format!("attention.layers=[{list}]"), "model.layers=200"]).unwrap();
    assert_eq!(long.default_run(), "hybrid-s1");
}

#[test]
fn a_language_model_is_a_decoder() {
    assert_eq!(
        refused(&["model.architecture=encoder-decoder"]),
        "--set model.architecture=encoder-decoder: found \"encoder-decoder\", expected \"decoder\" for task.kind = \
         \"language-modeling\""
    );
    let unused = ["model.encoder_layers=2", "model.decoder_layers=3", "model.share_embeddings=true"];
    let experiment = read(LEAST, &unused).unwrap();
    assert_eq!(experiment.model.depth(), crate::attention::options::Depth::of_decoder(experiment.model.layers));
    assert!(refused(&["model.encoder_layers=0"]).contains("model.encoder_layers"));
}

/// An encoder-decoder as an experiment of a language model would be checked; no task runs on one by itself.
fn check_of_encoder_decoder(check: fn(&Experiment, &Provenance) -> Result<()>, sets: &[&str]) -> Option<String> {
    let mut experiment = read(LEAST, &[]).unwrap();
    experiment.model.architecture = Architecture::EncoderDecoder;
    experiment.model.layers = 2;
    let table: Table = sets.join("\n").parse().unwrap();
    let mut whole = Table::try_from(&experiment).unwrap();
    for (name, value) in table {
        let inner = whole.get_mut(&name).unwrap().as_table_mut().unwrap();
        inner.extend(value.as_table().unwrap().clone());
    }
    check(&whole.try_into().unwrap(), &Provenance::of_command("test")).err().map(|error| error.to_string())
}

#[test]
fn kinds_by_layer_are_the_encoders_and_then_the_decoders() {
    let of = |sets: &[&str]| check_of_encoder_decoder(check_attention, sets);
    let four = "attention.layers = ['vanilla', 'random', 'dense', 'dense']";
    assert_eq!(of(&[four]), None);
    assert_eq!(of(&["attention.layers = ['vanilla', 'random', 'dense']", "model.decoder_layers = 1"]), None);
    let refused = of(&[four, "model.encoder_layers = 3"]).unwrap();
    assert!(
        refused.ends_with("found 4 kinds, expected one per layer, 3 of the encoder and 2 of the decoder"),
        "{refused}"
    );
    let refused = of(&[four, "attention.encoder = 'dense'"]).unwrap();
    assert!(refused.contains("attention.encoder: stands beside attention.layers"), "{refused}");
}

#[test]
fn buckets_of_an_encoder_are_for_either_side() {
    let of = |buckets: i64| {
        let buckets = format!("model.relative_buckets = {buckets}");
        check_of_encoder_decoder(check_model, &["model.positions = 'relative'", &buckets])
    };
    assert_eq!(of(4), None);
    assert!(of(3).unwrap().contains("found 3, expected at least 4"));
}

#[test]
fn options_of_parts_fit_where_the_part_is_used() {
    let sets = ["attention.dense.shared_query=true", "attention.dense.hidden=8"];
    read(LEAST, &sets).unwrap();
    read(LEAST, &[sets[0], "attention.dense.hidden=16", "attention.kind=dense"]).unwrap();
    assert_eq!(
        refused(&[sets[0], sets[1], "attention.kind=vanilla+dense"]),
        "--set attention.dense.hidden=8: found 8, expected the head's width 16, or none, with \
         attention.dense.shared_query"
    );
    let factors = "attention.factorized-dense.factors=[5, 2]";
    read(LEAST, &[factors, "model.max_length=11"]).unwrap();
    read(LEAST, &[factors, "model.max_length=10", "attention.kind=factorized-dense"]).unwrap();
    assert_eq!(
        refused(&[factors, "model.max_length=11", "attention.cross=factorized-dense"]),
        "--set attention.factorized-dense.factors=[5, 2]: 5 · 2 is less than model.max_length = 11, expected at least \
         that"
    );
    assert_eq!(
        refused(&["attention.factorized-dense.factors=0"]),
        "--set attention.factorized-dense.factors=0: found 0, expected widths of at least 1"
    );
    assert!(refused(&["attention.fixed-random.init_std=-1.0"]).contains("attention.fixed-random.init_std"));
    assert_eq!(
        refused(&["attention.factorized-dense.factors=4.5"]),
        "--set attention.factorized-dense.factors=4.5: found number 4.5, expected an integer or a list of two"
    );
    assert_eq!(
        refused(&["attention.factorized-dense.factors=[4]"]),
        "--set attention.factorized-dense.factors=[4]: found [4], expected an integer or a list of two"
    );
    let zero = "attention.factorized-random.init_std=0";
    read(LEAST, &[zero]).unwrap();
    assert!(refused(&[zero, "attention.kind=factorized-random"]).contains("found 0, expected more"));
}

#[test]
fn data_has_one_source() {
    assert_eq!(
        with_data("", &[]).unwrap_err(),
        "x.toml:4: data: no source found, expected dataset, path with split, or train"
    );
    assert_eq!(
        with_data("dataset = \"d\"\ntrain = \"t\"\n", &[]).unwrap_err(),
        "x.toml:6: data.train: stands beside data.dataset, expected one of data.dataset, data.path and data.train"
    );
    assert_eq!(
        with_data("dataset = \"d\"\ntest = \"t\"\n", &[]).unwrap_err(),
        "x.toml:6: data.test: stands beside data.dataset, expected beside data.train only"
    );
    assert_eq!(with_data("train = \"\"\n", &[]).unwrap_err(), "x.toml:5: data.train: found \"\", expected a path");
    with_data("train = \"a\"\ntest = \"b\"\n", &[]).unwrap();
}

#[test]
fn split_goes_with_path_and_sums_to_one() {
    assert_eq!(
        refused(&["data.split=[0.9, 0.1]"]),
        "--set data.split=[0.9, 0.1]: no data.path found, expected split beside path only"
    );
    assert_eq!(
        with_data("path = \"a\"\n", &[]).unwrap_err(),
        "x.toml:4: data.split: missing, expected shares such as [0.9, 0.1] beside data.path"
    );
    for split in ["[1.0]", "[0.9, 0.2]", "[1.0, 0.0]", "[1.5, -0.5]", "[0.25, 0.25, 0.25, 0.25]", "[]"] {
        let error = with_data(&format!("path = \"a\"\nsplit = {split}\n"), &[]).unwrap_err();
        let expected =
            format!("x.toml:6: data.split: found {split}, expected two or three shares above 0 with the sum 1");
        assert_eq!(error, expected);
    }
    with_data("path = \"a\"\nsplit = [0.8, 0.1, 0.1]\n", &[]).unwrap();
}

#[test]
fn training_has_one_length_and_may_be_shorter_than_its_warmup() {
    assert_eq!(
        refused(&["train.steps=5", "train.epochs=2"]),
        "--set train.epochs=2: stands beside train.steps, expected one of the two"
    );
    assert_eq!(
        read(&LEAST.replace("steps = 10\n", ""), &[]).unwrap_err(),
        "x.toml:9: train: no length found, expected train.steps or train.epochs"
    );
    assert_eq!(
        refused(&["optimizer.schedule.kind=inverse-sqrt"]),
        "--set optimizer.schedule.kind=inverse-sqrt: optimizer.schedule.warmup: found 0, expected at least 1 for the \
         schedule \"inverse-sqrt\""
    );
    read(LEAST, &["optimizer.schedule.warmup=11"]).unwrap();
}

#[test]
fn schedules_have_what_they_need_and_nothing_of_others() {
    let cycle = "optimizer.schedule.kind=one-cycle";
    assert_eq!(
        refused(&[cycle]),
        format!(
            "--set {cycle}: optimizer.schedule.warmup: found 0, expected at least 1 for the schedule \"one-cycle\""
        )
    );
    read(LEAST, &[cycle, "optimizer.schedule.warmup=1"]).unwrap();
    read(LEAST, &["optimizer.schedule.kind=linear"]).unwrap();
    let constant = "optimizer.schedule.constant=2";
    assert_eq!(
        refused(&[constant]),
        format!(
            "--set {constant}: stands beside the schedule \"cosine\", expected beside \"inverse-sqrt\" only; give the \
             peak as optimizer.lr"
        )
    );
    read(LEAST, &[constant, "optimizer.schedule.kind=inverse-sqrt", "optimizer.schedule.warmup=4"]).unwrap();
}

#[test]
fn optimizers_have_options_that_fit() {
    let (nesterov, sgd) = ("optimizer.nesterov=true", "optimizer.kind=sgd");
    assert_eq!(
        refused(&[nesterov, sgd]),
        format!(
            "--set {nesterov}: found true without a momentum, expected beside optimizer.momentum above 0; give one, such \
             as 0.9"
        )
    );
    read(LEAST, &[nesterov, sgd, "optimizer.momentum=0.9"]).unwrap();
    let (eps, adafactor) = ("optimizer.adafactor.eps=[0, 0.001]", "optimizer.kind=adafactor");
    assert_eq!(
        refused(&[eps, adafactor]),
        format!(
            "--set {eps}: found [0.0, 0.001], expected a first number of at least 1e-37: gradients are divided by its root"
        )
    );
    // Nobody's business where another rule runs: a sweep over rules shares one base.
    read(LEAST, &[eps, nesterov]).unwrap();
    for kind in [OptimizerKind::Adamw, OptimizerKind::Adafactor, OptimizerKind::Sgd] {
        assert_eq!(read(LEAST, &[&format!("optimizer.kind={}", kind.name())]).unwrap().optimizer.kind, kind);
    }
    assert!(refused(&["train.ema=1"]).starts_with("--set train.ema=1: "));
}

#[test]
fn batches_are_counted_one_way_and_hold_a_block() {
    assert_eq!(
        refused(&["train.batch_size=1", "train.batch_tokens=512"]),
        "--set train.batch_tokens=512: stands beside train.batch_size, expected at most one of the two"
    );
    assert_eq!(
        refused(&["train.batch_tokens=255"]),
        "--set train.batch_tokens=255: found 255, expected room for the longest row, model.max_length = 256"
    );
    read(LEAST, &["train.batch_tokens=256"]).unwrap();
}

#[test]
fn the_best_needs_a_metric_and_a_validation_split() {
    assert_eq!(
        refused(&["train.best.metric=bleu"]),
        "--set train.best.metric=bleu: found \"bleu\", expected loss, perplexity, bits_per_byte, accuracy"
    );
    let alone = "train = \"a\"\n";
    let missing = "no validation split to measure on; give data.validation or leave this out";
    assert_eq!(with_data(alone, &["train.patience=1"]).unwrap_err(), format!("--set train.patience=1: {missing}"));
    assert_eq!(with_data(alone, &["train.samples=1"]).unwrap_err(), format!("--set train.samples=1: {missing}"));
    assert_eq!(
        with_data(alone, &["train.best.metric=perplexity"]).unwrap_err(),
        format!("--set train.best.metric=perplexity: train.best: {missing}")
    );
    with_data(alone, &["train.best.metric=loss"]).unwrap();
    read(LEAST, &["train.patience=1", "train.best.metric=perplexity"]).unwrap();
}

#[test]
fn absurd_sizes_are_refused_and_not_overflowed() {
    // Fits into the arithmetic; whether it fits into memory is another check.
    read(LEAST, &["model.d_model=100000000"]).unwrap();
    let too_large = "makes more than 2^59 elements with the other sizes, expected what a machine can hold";
    for set in [
        "model.d_model=9223372036854775804",
        "model.d_ff=9223372036854775807",
        "model.head_width=9223372036854775807",
        "model.max_length=9223372036854775807",
        "train.batch_size=9223372036854775807",
        "train.batch_tokens=9223372036854775807",
    ] {
        assert_eq!(refused(&[set]), format!("--set {set}: {too_large}"));
    }
    let all = ["model.layers=9223372036854775807", "train.accumulate=9223372036854775807"];
    assert!(refused(&all).contains(too_large));
}

#[test]
fn outputs_end_are_measured_and_have_embeddings() {
    let pairs = ["task.kind=translation", "model.architecture=encoder-decoder"];
    let read = |sets: &[&str]| read(LEAST, &[&pairs, sets].concat());
    assert_eq!(
        read(&["decode.max_length=3", "decode.min_length=4"]).unwrap_err(),
        "--set decode.min_length=4: found 4, expected at most decode.max_length = 3"
    );
    assert_eq!(
        read(&["train.best.metric=bleu", "train.eval_generate=false"]).unwrap_err(),
        "--set train.best.metric=bleu: found \"bleu\", expected with train.eval_generate = true only"
    );
    let shared = read(&["tokenizer.joint=false", "model.share_embeddings=true"]).unwrap_err();
    assert!(
        shared.starts_with("--set model.share_embeddings=true: found true beside tokenizer.joint = false"),
        "{shared}"
    );
    for allowed in [
        &["decode.max_length=3", "decode.min_length=3"],
        &["train.best.metric=accuracy", "train.eval_generate=false"],
        &["tokenizer.joint=false", "model.share_embeddings=false"],
    ] {
        read(allowed).unwrap();
    }
    assert!(!read(&["tokenizer.joint=false"]).unwrap().shares_embeddings());
}
