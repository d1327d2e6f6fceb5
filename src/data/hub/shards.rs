//! Which of a repository's files make up a split: found in its listing, and all there.

use super::listing::{Listing, Sibling};
use anyhow::{Result, bail, ensure};

/// The files of a split, by what stands before and behind the number of a part. All forms of the hub are known:
/// `<prefix>.<extension>`, `<prefix>-NNNNN-of-MMMMM.<extension>` (or with a dot before the number, or with a hash
/// behind it), and `<prefix>/NNNN.<extension>`, that of the hub's own conversions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitFiles {
    /// The split's name in the prepared set.
    pub split: &'static str,
    /// The path up to the number.
    pub prefix: &'static str,
}

/// Which part of a split a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// The one of this index, out of so many.
    Of(usize, usize),
    /// The one of this index; nobody says out of how many.
    Numbered(usize),
}

impl SplitFiles {
    /// The files in order of number; none where the repository has no such split.
    ///
    /// # Errors
    /// A part that is missing or there twice.
    pub fn find<'a>(&self, listing: &'a Listing, extension: &str) -> Result<Vec<&'a Sibling>> {
        let part = |sibling: &'a Sibling| Some((part(&sibling.path, self.prefix, extension)?, sibling));
        let mut parts: Vec<(Part, &Sibling)> = listing.siblings.iter().filter_map(part).collect();
        parts.sort_by_key(|(part, _)| part.index());
        let total = match parts.first() {
            None => return Ok(Vec::new()),
            Some((Part::Whole, _)) => 1,
            Some((Part::Of(_, total), _)) => *total,
            Some((Part::Numbered(_), _)) => parts.len(),
        };
        let (prefix, found) = (self.prefix, parts.len());
        if let Some(missing) = (0..total).find(|index| !parts.iter().any(|(part, _)| part.index() == *index)) {
            let missing = self.name(parts[0].0, &parts[0].1.path, missing, extension);
            bail!("{missing} is missing; {found} of {total} files of the split are there");
        }
        let alike = parts.iter().all(|(part, _)| part.form() == parts[0].0.form());
        ensure!(found == total && alike, "{prefix}: {found} files where {total} were expected: {}", names(&parts));
        Ok(parts.into_iter().map(|(_, sibling)| sibling).collect())
    }

    /// The name of another file of the split, by one that is there.
    fn name(&self, part: Part, path: &str, index: usize, extension: &str) -> String {
        let prefix = self.prefix;
        let separator = path[prefix.len()..].chars().next().unwrap_or('-');
        match part {
            Part::Whole => format!("{prefix}.{extension}"),
            Part::Of(_, total) => format!("{prefix}{separator}{index:05}-of-{total:05}.{extension}"),
            Part::Numbered(_) => format!("{prefix}/{index:04}.{extension}"),
        }
    }
}

fn names(parts: &[(Part, &Sibling)]) -> String {
    parts.iter().take(4).map(|(_, sibling)| sibling.path.as_str()).collect::<Vec<_>>().join(", ")
}

impl Part {
    fn index(self) -> usize {
        match self {
            Self::Whole => 0,
            Self::Of(index, _) | Self::Numbered(index) => index,
        }
    }

    /// What the files of one split have in common.
    fn form(self) -> (u8, usize) {
        match self {
            Self::Whole => (0, 0),
            Self::Of(_, total) => (1, total),
            Self::Numbered(_) => (2, 0),
        }
    }
}

/// Which part a path is; none where it is none of this split.
fn part(path: &str, prefix: &str, extension: &str) -> Option<Part> {
    let number = path.strip_prefix(prefix)?.strip_suffix(extension)?.strip_suffix('.')?;
    if number.is_empty() {
        return Some(Part::Whole);
    }
    if let Some(index) = number.strip_prefix('/') {
        return digits(index, 4).map(Part::Numbered);
    }
    let (index, rest) = number.strip_prefix(['-', '.'])?.split_once("-of-")?;
    let (total, hash) = rest.split_once('-').map_or((rest, None), |(total, hash)| (total, Some(hash)));
    let hash_fits = hash.is_none_or(|hash| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hash_fits.then_some(Part::Of(digits(index, 5)?, digits(total, 5)?))
}

/// A number written with `count` digits or one more.
fn digits(text: &str, count: usize) -> Option<usize> {
    let fits = (count..=count + 1).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(paths: &[&str], prefix: &'static str, extension: &str) -> Result<Vec<String>> {
        let siblings = paths.iter().map(|path| Sibling { path: path.to_string(), ..Sibling::default() }).collect();
        let listing = Listing { commit: "c".into(), siblings };
        let found = SplitFiles { split: "train", prefix }.find(&listing, extension)?;
        Ok(found.into_iter().map(|sibling| sibling.path.clone()).collect())
    }

    #[test]
    fn parts_are_found_in_every_form_and_order() {
        for (paths, prefix, extension) in [
            (&["train.parquet"][..], "train", "parquet"),
            (&["a/train-00000-of-00002.parquet", "a/train-00001-of-00002.parquet"], "a/train", "parquet"),
            (&["a/train-00000-of-00001-0123456789abcdef.parquet"], "a/train", "parquet"),
            (&["en/c4-train.00000-of-00002.json.gz", "en/c4-train.00001-of-00002.json.gz"], "en/c4-train", "json.gz"),
            (&["full/train/0000.parquet", "full/train/0001.parquet"], "full/train", "parquet"),
        ] {
            let mut listed: Vec<&str> = paths.iter().rev().copied().collect();
            listed.extend(["README.md", "a/validation-00000-of-00001.parquet", "train.csv", "a/train-x-of-y.parquet"]);
            listed.extend(["full/train/index.duckdb", "en/c4-train.00000-of-00002.json.gz.md5", "a/train2.parquet"]);
            assert_eq!(find(&listed, prefix, extension).unwrap(), paths, "{prefix}");
        }
        assert_eq!(find(&["b/train.parquet"], "a/train", "parquet").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_is_an_error() {
        for (paths, expected) in [
            (
                &["t-00000-of-00003.parquet", "t-00002-of-00003.parquet"][..],
                "t-00001-of-00003.parquet is missing; 2 of 3 files",
            ),
            (&["t-00001-of-00002.parquet"], "t-00000-of-00002.parquet is missing; 1 of 2"),
            (&["t/0000.parquet", "t/0002.parquet"], "t/0001.parquet is missing"),
            (&["t-00000-of-00001.parquet", "t.parquet"], "2 files where 1 were expected"),
            (&["t-00000-of-00001.parquet", "t-00000-of-00002.parquet", "t-00001-of-00002.parquet"], "3 files where"),
            (&["t-00000-of-00000.parquet"], "1 files where 0"),
        ] {
            let message = find(paths, "t", "parquet").unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
