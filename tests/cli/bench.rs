//! `synth bench`: figures, files, cells that fail, comparisons.

use crate::place::{Finished, Place};
use serde_json::{Value, json};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A tiny cell.
const TINY: &str = "bench --lengths 8 --batches 2 --vocabulary 11 --warmup 1";
/// Its model, and rounds that take no time.
const AT_ONCE: &str = "--models 16x1x2x32 --repeats 2 --seconds 0";

fn bench(place: &Place, arguments: &str) -> Finished {
    place.synth(&format!("{TINY} {AT_ONCE} {arguments}"))
}

fn cells(finished: &Finished) -> Vec<Value> {
    finished.json()["cells"].as_array().unwrap().clone()
}

/// What the peer prints of the tiny cell.
fn peer(kind: &str, params: u64) -> Value {
    json!({"peer": "torch.compile", "torch": "2.11.0", "device": "cpu", "model": "decoder", "attention": kind,
        "form": "best", "seq_len": 8, "batch": 2, "d_model": 16, "heads": 2, "d_ff": 32, "layers": 1, "vocab": 11,
        "dropout": 0.1, "attention_dropout": 0.1, "precision": "fp32", "tokens_per_s": 16, "step_ms": 1000.0,
        "spread": 0.01, "peak_gib": null, "params": params, "warmup_s": 1.0})
}

/// Parameters of the tiny vanilla model: embedding and positions, attention, feed-forward layer, three norms.
const VANILLA: u64 = (11 + 8) * 16 + 4 * 16 * 16 + 2 * 16 * 32 + 32 + 16 + 3 * 2 * 16;

#[test]
fn a_cell_has_figures() {
    let place = Place::new();
    let finished =
        bench(&place, "--kinds random,vanilla --set model.activation=gelu --what train,decode --new 4 --json");
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    let cells = cells(&finished);
    let told: Vec<_> =
        cells.iter().map(|cell| (cell["task"].as_str().unwrap(), cell["attention"].as_str().unwrap())).collect();
    assert_eq!(told, [("train", "random"), ("train", "vanilla"), ("decode", "random"), ("decode", "vanilla")]);
    for cell in &cells {
        assert_eq!((&cell["status"], &cell["reason"]), (&json!("done"), &Value::Null), "{cell}");
        for figure in ["step_ms", "tokens_per_s", "peak_gib", "tflops", "share_of_limit", "limit_tflops", "start_s"] {
            assert!(cell[figure].as_f64().unwrap() > 0.0, "{figure}: {cell}");
        }
        assert_eq!(
            (&cell["device"], &cell["precision"], &cell["set"]),
            (&json!("cpu"), &json!("fp32"), &json!("model.activation=gelu"))
        );
        let number = |name: &str| cell[name].as_f64().unwrap();
        let tokens = if cell["task"] == "train" { 16.0 } else { 2.0 };
        close(number("tokens_per_s"), tokens / (number("step_ms") / 1e3));
        close(number("tflops"), number("flops") / (number("step_ms") / 1e3) / 1e12);
        close(number("share_of_limit"), number("tflops") / number("limit_tflops"));
    }
    // Per token 2 operations for each weight of the projections, the feed-forward layer and the logits; 2 · 2 · 16 for
    // every key. Training: 8 keys, 16 tokens, three times. Decoding: 2.5 keys on average, 2 tokens.
    let weights = 2.0 * f64::from(4 * 16 * 16 + 2 * 16 * 32 + 16 * 11);
    assert_eq!(cells[1]["flops"].as_f64(), Some(3.0 * 16.0 * (weights + 64.0 * 8.0)));
    assert_eq!(cells[3]["flops"].as_f64(), Some(2.0 * (weights + 64.0 * 2.5)));
    assert_eq!((cells[1]["params"].as_u64(), cells[3]["params"].as_u64()), (Some(VANILLA), Some(VANILLA)));
    assert_eq!((&cells[1]["new"], &cells[3]["new"], &cells[3]["dropout"]), (&Value::Null, &json!(4), &json!(0.0)));
    assert_eq!((&cells[0]["attention_path"], &cells[0]["steps"]), (&json!("shared"), &json!(3)));
}

fn close(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-3, "{found}, expected {expected}");
}

#[test]
fn both_files_hold_the_rows() {
    let place = Place::new();
    let finished = bench(&place, "--save out.v1 --kinds vanilla --precision fp64");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.contains("| train | vanilla | 2x8   | 16x1x2x32 fp64 | eager |"), "{}", finished.stdout);
    let saved: Value = serde_json::from_str(&place.read("out.v1.json")).unwrap();
    let cell = saved["cells"][0].as_object().unwrap();
    let mut reader = csv::Reader::from_path(place.path("out.v1.csv")).unwrap();
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_string).collect();
    assert_eq!(header, cell.keys().cloned().collect::<Vec<_>>());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1);
    for (name, text) in header.iter().zip(&rows[0]) {
        match &cell[name] {
            Value::Null => assert_eq!(text, "", "{name}"),
            Value::String(expected) => assert_eq!(text, expected, "{name}"),
            Value::Number(expected) => assert_eq!(text.parse::<f64>().ok(), expected.as_f64(), "{name}"),
            other => assert_eq!(text, other.to_string(), "{name}"),
        }
    }
    // The files of one run are what the next compares with.
    let again = bench(&place, "--kinds vanilla --precision fp64 --against out.v1.json --json").json();
    assert_eq!(again["comparisons"]["pairs"][0]["peer_step_ms"], cell["step_ms"]);
}

#[test]
fn a_cell_that_fails_costs_one_row() {
    let place = Place::new();
    let models = "--models 1000000x100x1x1,16x1x2x32 --repeats 1 --seconds 0";
    let finished = place.synth(&format!("{TINY} {models} --kinds vanilla --json --save out"));
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("error: 1 of 2 cells did not end well"), "{}", finished.stderr);
    let cells = cells(&finished);
    let status: Vec<_> = cells.iter().map(|cell| cell["status"].as_str().unwrap()).collect();
    assert_eq!(status, ["out-of-memory", "done"]);
    assert!(cells[0]["reason"].as_str().unwrap().contains("GiB are available") && cells[0]["step_ms"].is_null());
    assert_eq!(place.read("out.csv").lines().count(), 3);

    let finished = bench(&place, "--kinds vanilla --set optimizer.lr=1e30 --json");
    assert_eq!(finished.code, Some(1));
    let cell = &finished.json()["cells"][0];
    assert_eq!((cell["status"].as_str(), cell["step_ms"].as_f64()), (Some("diverged"), None), "{cell}");
}

/// `synth bench` over two tiny cells that take seconds, and the process id of the first once that has begun.
fn with_first_cell(place: &Place, arguments: &str) -> (Child, i32) {
    let line = format!("{TINY} --models 16x1x2x32 --seconds 4 --repeats 1 --kinds vanilla,random {arguments}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.args(line.split_whitespace()).current_dir(place.path("")).env("OMP_NUM_THREADS", "1");
    command.env("CUDA_VISIBLE_DEVICES", "").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let begun = Instant::now();
    loop {
        assert!(child.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(50), "no cell has begun");
        for process in fs::read_to_string(&children).unwrap_or_default().split_whitespace() {
            let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
            if line.contains("\"kind\":\"vanilla\"") {
                return (child, process.parse().unwrap());
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn kill(signal: &str, process: i32) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

#[test]
fn a_cell_that_is_killed_costs_one_row() {
    let place = Place::new();
    let (bench, cell) = with_first_cell(&place, "--json");
    kill("-KILL", cell);
    let output = bench.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let rows = serde_json::from_slice::<Value>(&output.stdout).unwrap()["cells"].clone();
    assert_eq!((&rows[0]["status"], &rows[1]["status"]), (&json!("failed"), &json!("done")), "{rows}");
    assert!(rows[0]["reason"].as_str().unwrap().starts_with("SIGKILL"), "{rows}");
}

#[test]
fn a_signal_ends_the_cell_and_the_benchmark() {
    let place = Place::new();
    let (bench, _) = with_first_cell(&place, "--save out");
    kill("-INT", bench.id() as i32);
    let output = bench.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.ends_with("stopped by SIGINT; 0 of 2 cells were measured\n"), "{stderr}");
    let saved: Value = serde_json::from_str(&place.read("out.json")).unwrap();
    assert_eq!((&saved["cells"][0]["status"], saved["cells"].as_array().unwrap().len()), (&json!("stopped"), 1));
}

#[test]
fn a_peers_lines_stand_beside_the_cells() {
    let place = Place::new();
    let error = json!({"peer": "torch.compile", "attention": "dense", "form": "flex", "seq_len": 8, "batch": 2,
        "error": "NoValidChoicesError: none"});
    let mut other = peer("random", 1);
    other["batch"] = 3.into();
    place.write("peer.jsonl", format!("{}\n\n{error}\n{other}\n", peer("vanilla", VANILLA)));
    let finished = bench(&place, "--against peer.jsonl --json");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let object = finished.json();
    let pairs = object["comparisons"]["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 1, "{pairs:?}");
    let pair = &pairs[0];
    assert_eq!(
        (&pair["peer"], &pair["counts"], &pair["refused"]),
        (&json!("torch.compile best"), &json!(true), &Value::Null)
    );
    close(pair["ratio"].as_f64().unwrap(), 1000.0 / object["cells"][0]["step_ms"].as_f64().unwrap());
    assert_eq!(object["comparisons"]["without_figures"][0]["reason"], "NoValidChoicesError: none");

    let table = bench(&place, "--kinds vanilla --against peer.jsonl").stdout;
    for part in [
        "times as fast",
        "| torch.compile best | train | vanilla | 2x8   |     1000 |",
        "dense 2x8: NoValidChoicesError",
    ] {
        assert!(table.contains(part), "{part:?} in {table}");
    }
}

#[test]
fn another_model_is_refused_with_both_figures() {
    let place = Place::new();
    place.write("peer.jsonl", format!("{}\n", peer("vanilla", VANILLA + 1)));
    let finished = bench(&place, "--kinds vanilla --against peer.jsonl");
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let both = format!("another model: {} parameters there, {VANILLA} here", VANILLA + 1);
    assert!(finished.error_line().contains(&both), "{}", finished.stderr);
    assert!(finished.stdout.contains("refused") && finished.stdout.contains(&both), "{}", finished.stdout);
    // The peer's position table is one of the parameters.
    let finished = bench(&place, "--kinds vanilla --set model.positions=none --against peer.jsonl");
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
}

#[test]
fn stored_figures_need_a_control() {
    let place = Place::new();
    let mut stored = peer("vanilla", VANILLA);
    stored["driver"] = "580.1".into();
    place.write("stored.jsonl", format!("{stored}\n"));
    let standing = |control: &str| {
        let finished = bench(&place, &format!("--kinds vanilla --against stored.jsonl {control} --json"));
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let pair = finished.json()["comparisons"]["pairs"][0].clone();
        (pair["counts"].as_bool().unwrap(), pair["remark"].as_str().unwrap_or_default().to_string())
    };
    let (counts, remark) = standing("");
    assert!(!counts && remark.contains("not taken in this run"), "{remark}");
    for (step_ms, agrees) in [(1040.0, true), (1060.0, false)] {
        let mut now = peer("vanilla", VANILLA);
        now["step_ms"] = step_ms.into();
        place.write("now.jsonl", format!("{now}\n"));
        let (counts, remark) = standing("--control now.jsonl");
        assert_eq!(counts, agrees, "{remark}");
        assert!(
            remark.contains(if agrees { "+4.0%, within 5%" } else { "+6.0%, more than 5%: not comparable" }),
            "{remark}"
        );
    }
}

#[test]
fn arguments_that_are_wrong_show_before_any_cell() {
    let place = Place::new();
    place.write("empty.jsonl", "");
    place.write("folder/x", "");
    let cases: [(&str, &[&str]); 19] = [
        ("--kinds denes", &["\"denes\" is no kind of attention", "expected all, vanilla, dense"]),
        ("--kinds random+random", &["names random twice"]),
        ("--what sleep", &["'sleep'", "train"]),
        ("--lengths 0", &["'0'", "--lengths"]),
        ("--batches x", &["'x'", "--batches"]),
        ("--models 512x6x8", &["'512x6x8'", "such as 512x6x8x2048"]),
        ("--models 30x1x4x8", &["--models 30x1x4x8: model.heads: 4 does not divide model.d_model = 30"]),
        ("--lengths 4000000000 --batches 4000000000", &["--lengths 4000000000", "expected what a machine can hold"]),
        ("--precision fp16", &["'fp16'", "expected bf16, fp32 or fp64"]),
        ("--dropout 1", &["'1'", "expected a number from 0 to 0.99"]),
        ("--what decode --lengths 8 --new 9", &["--new 9: more than the length 8"]),
        ("--set model.layers=2", &["--set model.layers=2: model.layers is given by --models"]),
        ("--set seed=2", &["--set seed=2: expected a key below model, attention, optimizer, train"]),
        ("--set model.haed_width=2", &["--set model.haed_width=2: unknown key; did you mean \"head_width\"?"]),
        ("--device cuda", &["--device cuda:0: ", "CUDA"]),
        ("--control now.jsonl", &["--against"]),
        ("--against missing.json", &["missing.json: ", "expected a saved benchmark or JSON lines"]),
        ("--save missing/out", &["there is no folder missing"]),
        ("--save folder/..", &["--save folder/.."]),
    ];
    for (arguments, expected) in cases {
        let finished = place.synth(&format!("bench {arguments}"));
        assert_eq!(finished.code, Some(2), "{arguments}: {}", finished.stderr);
        assert!(expected.iter().all(|part| finished.stderr.contains(part)), "{arguments}: {}", finished.stderr);
        assert_eq!(finished.stdout, "", "{arguments}");
    }
    place.fails("bench --against empty.jsonl", 1, &["empty.jsonl holds no measurements"]);
}
