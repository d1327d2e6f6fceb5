//! The texts of the splits, found as `[data]` says.

use std::path::{Path, PathBuf};

use crate::config::Config;

/// The text of a split, `train`, `validation` or `test`.
pub fn split_text(config: &Config, split: &str) -> String {
    match config.text("data.path") {
        Some(path) => share(&read(Path::new(path)), &config.numbers("data.split").expect("data.split"), split),
        None => files_text(config.required_text(&format!("data.{split}"))),
    }
}

/// The text of the files that a path or a glob names.
pub fn files_text(pattern: &str) -> String {
    matches(pattern).iter().map(|path| read(path)).collect()
}

/// The part of a text that is a split's. A share ends at the characters times the sum of the shares up to it,
/// rounded down; where the sum is a hair short of a whole number of characters (0.7 + 0.1), that number is meant.
fn share(text: &str, shares: &[f64], split: &str) -> String {
    let position = ["train", "validation", "test"].iter().position(|name| *name == split).expect("a split");
    let characters: Vec<char> = text.chars().collect();
    let border = |shares: &[f64]| (characters.len() as f64 * shares.iter().sum::<f64>() + 1e-6).floor() as usize;
    characters[border(&shares[..position])..border(&shares[..=position])].iter().collect()
}

/// The files that a path names, where its last part may hold one `*`, in order of name.
fn matches(pattern: &str) -> Vec<PathBuf> {
    let pattern = Path::new(pattern);
    let name = pattern.file_name().and_then(|name| name.to_str()).expect("a file name");
    let Some((start, end)) = name.split_once('*') else { return vec![pattern.to_owned()] };
    let folder = pattern.parent().expect("an absolute path").read_dir().expect("a readable folder");
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.expect("a readable entry").path()).collect();
    paths.retain(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with(start) && n.ends_with(end))
    });
    paths.sort();
    paths
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a text is readable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_of_characters_and_leave_none_out() {
        let text = "äbcdefghijk";
        let parts: Vec<String> =
            ["train", "validation", "test"].map(|split| share(text, &[0.5, 0.3, 0.2], split)).to_vec();
        assert_eq!(parts, ["äbcde", "fgh", "ijk"]);
    }
}
