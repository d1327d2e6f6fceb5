//! What is printed beside results: colours, completions, the doctor.

use crate::place::Place;
use std::process::Command;

#[test]
fn completions_of_each_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let finished = place.succeeds(&format!("completions {shell}"));
        assert!(finished.stdout.contains("synth") && finished.stdout.contains("print-config"), "{shell}");
        assert_eq!(finished.stderr, "");
        place.write(&format!("completions.{shell}"), finished.stdout);
    }
    let checked = Command::new("bash").arg("-n").arg(place.path("completions.bash")).status().unwrap();
    assert!(checked.success());
}

#[test]
fn the_doctor_says_what_there_is() {
    let place = Place::new();
    let finished = place.succeeds("doctor");
    for part in [
        "synth ",
        "libtorch ",
        " expected",
        "cpu ",
        "attention vanilla                    fp32 fused (with dropout blockwise), bf16 ",
        "attention factorized-random+vanilla  fp32 fused (with dropout blockwise), bf16 ",
        "attention random                     fp32 shared, bf16 shared, fp64 shared",
        "rust-sources: not prepared",
    ] {
        assert!(finished.stdout.contains(part), "{part:?} in {}", finished.stdout);
    }
    let findings = place.succeeds("doctor --json").json();
    assert_eq!(findings["libtorch"], findings["libtorch_expected"]);
    assert_eq!(findings["devices"][0]["device"], "cpu");
    assert!(findings["problems"].is_array() && findings["fused_parts"].is_array());
}

#[test]
fn help_and_version_are_results() {
    let place = Place::new();
    for arguments in ["--help", "train --help", "help eval", "data fetch --help", "--version"] {
        let finished = place.succeeds(arguments);
        assert!(!finished.stdout.is_empty() && finished.stderr.is_empty(), "{arguments}");
    }
    assert!(place.succeeds("--help").stdout.contains("[alias: evaluate]"));
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn no_color_means_none() {
    let place = Place::new();
    // script(1) gives a command a terminal.
    let on_a_terminal = |arguments: &str, no_color: bool| {
        let mut command = Command::new("script");
        let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_synth"));
        command.args(["-qec", &line, "/dev/null"]).current_dir(place.path("")).env("OMP_NUM_THREADS", "1");
        command.env("TERM", "xterm").env_remove("NO_COLOR").stdin(std::process::Stdio::null());
        if no_color {
            command.env("NO_COLOR", "1");
        }
        command.output().ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(coloured) = on_a_terminal("train tiny.toml --run coloured", false) else {
        eprintln!("skipped: there is no script(1)");
        return;
    };
    assert!(has_colour(&coloured), "{coloured:?}");
    for arguments in ["train tiny.toml --run plain", "train missing.toml", "train --seed x"] {
        let plain = on_a_terminal(arguments, true).unwrap();
        assert!(!plain.is_empty() && !has_colour(&plain), "{plain:?}");
    }
}

/// Whether a text sets colours or styles: ESC, `[`, digits and semicolons, `m`.
fn has_colour(text: &str) -> bool {
    text.split("\x1b[")
        .skip(1)
        .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}
