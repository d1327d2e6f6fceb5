//! The names that become folders: of experiments, runs, cells and datasets.

use anyhow::Result;

/// What names look like.
pub const NAME_PATTERN: &str = "[A-Za-z0-9][A-Za-z0-9._+-]*";

/// Bytes of the longest name: names become names of folders, which file systems keep below 256 bytes.
pub const LONGEST_NAME: usize = 200;

/// Whether `name` matches [`NAME_PATTERN`] and has at most [`LONGEST_NAME`] bytes.
pub fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
}

/// Refuses what is no valid name. `what` says whose name it is and where it is given, as in
/// "the run's name (--run)".
pub fn check_name(what: &str, name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    crate::refuse!(
        "{what} is {name:?}: expected a letter or digit, then letters, digits, '.', '_', '+' or '-', at most {LONGEST_NAME}; choose another"
    )
}

/// Refuses what is no valid name of an experiment.
pub fn check_experiment(name: &str) -> Result<()> {
    check_name("the experiment's name (`name`)", name)?;
    // results/reference/ is no experiment: it holds the measured results that are committed.
    if name == "reference" {
        crate::refuse!(
            "the experiment's name (`name`) is \"reference\", which is kept for reference results; choose another"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    #[test]
    fn names_are_letters_digits_and_four_signs() {
        for name in ["a", "7", "random+vanilla-s1", "multi30k_en.de", &"x".repeat(200)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "-x", "a/b", "a b", "é", "a\n", "_a", "+a", &"x".repeat(201)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_refusal_is_one_line_that_shows_the_name() {
        let error = check_name("the run's name (--run)", "a\nb").unwrap_err();
        assert_eq!(exit::code(&error), 2);
        assert!(error.to_string().starts_with(r#"the run's name (--run) is "a\nb": expected"#));
        assert_eq!(error.to_string().lines().count(), 1);
    }

    #[test]
    fn reference_is_no_experiment() {
        assert_eq!(exit::code(&check_experiment("reference").unwrap_err()), 2);
        assert!(check_experiment("reference-2").is_ok());
    }
}
