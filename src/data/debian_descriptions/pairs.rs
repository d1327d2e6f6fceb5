//! Pairs out of descriptions: sentences and their translations, long descriptions and their synopses.

use super::index::{Description, Descriptions};
use super::sentences::sentences;
use std::collections::BTreeSet;

/// Words of the longest sentence.
const LONGEST: usize = 100;
/// How much longer one side may be, where it has more words than [`SHORT`].
const RATIO: usize = 3;
const SHORT: usize = 6;
/// Words of the shortest long description that is summed up.
const SHORTEST_DOCUMENT: usize = 15;
/// What stands where a translation is missing.
const UNTRANSLATED: &str = "<trans>";

/// A source and its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub source: String,
    pub target: String,
    /// The package that is described, or its source package.
    pub package: String,
    /// The key of the description.
    pub description: String,
}

/// Synopses, and sentences of bodies that have as many paragraphs in both languages, in the order of packages.
pub(super) fn translations(english: &Descriptions, other: &Descriptions, language: &str) -> Vec<Pair> {
    let mut joined: Vec<(&String, &Description, &Description)> =
        english.iter().filter_map(|(key, text)| Some((key, text, other.get(key)?))).collect();
    joined.sort_by(|a, b| (&a.1.package, a.0).cmp(&(&b.1.package, b.0)));
    let mut pairs = Vec::new();
    for (key, source, target) in joined {
        let mut add = |from: &str, to: &str| {
            if fits(from, to) {
                let (package, description) = (source.package.clone(), key.clone());
                pairs.push(Pair { source: from.into(), target: to.into(), package, description });
            }
        };
        add(&source.synopsis, &target.synopsis);
        if source.paragraphs.len() == target.paragraphs.len() {
            for (from, to) in source.paragraphs.iter().zip(&target.paragraphs) {
                align(from, to, &mut add);
            }
        }
    }
    tracing::debug!("{} pairs in en and {language}, doubles among them", pairs.len());
    pairs
}

/// Sentence by sentence where there are as many, else the paragraph as a whole.
fn align(from: &str, to: &str, add: &mut impl FnMut(&str, &str)) {
    let (sources, targets) = (sentences(from), sentences(to));
    match sources.len() == targets.len() {
        true => sources.into_iter().zip(targets).for_each(|(from, to)| add(from, to)),
        false => add(from, to),
    }
}

/// Whether two texts look like translations of each other.
fn fits(from: &str, to: &str) -> bool {
    let [source, target] = [from, to].map(|text| text.split_whitespace().count());
    let (shorter, longer) = (source.min(target), source.max(target));
    let alike = longer <= SHORT || longer <= RATIO * shorter;
    shorter > 0
        && longer <= LONGEST
        && alike
        && from != to
        && ![from, to].iter().any(|text| text.contains(UNTRANSLATED))
}

/// Long descriptions with their synopses, in the order of packages. Of those with the same first paragraph, as packages
/// of one source have them, the first is taken.
pub(super) fn summaries(english: &Descriptions) -> Vec<Pair> {
    let mut sorted: Vec<(&String, &Description)> = english.iter().collect();
    sorted.sort_by(|a, b| (&a.1.package, a.0).cmp(&(&b.1.package, b.0)));
    let mut met = BTreeSet::new();
    let mut pairs = Vec::new();
    for (key, description) in sorted {
        let source = description.paragraphs.join("\n");
        let long = source.split_whitespace().count() >= SHORTEST_DOCUMENT;
        if long && !description.synopsis.is_empty() && met.insert(&description.paragraphs[0]) {
            let (target, package) = (description.synopsis.clone(), description.package.clone());
            pairs.push(Pair { source, target, package, description: key.clone() });
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(package: &str, synopsis: &str, paragraphs: &[&str]) -> Description {
        let paragraphs = paragraphs.iter().map(|text| text.to_string()).collect();
        Description { package: package.into(), synopsis: synopsis.into(), paragraphs }
    }

    fn texts(pairs: &[Pair]) -> Vec<(&str, &str)> {
        pairs.iter().map(|pair| (pair.source.as_str(), pair.target.as_str())).collect()
    }

    #[test]
    fn bodies_are_aligned_by_paragraph_and_sentence() {
        let english = Descriptions::from([
            ("2".to_string(), description("a", "a game", &["One. Two.", "Three. Four."])),
            ("1".to_string(), description("b", "a tool", &["One.", "Two."])),
            ("3".to_string(), description("c", "no translation", &[])),
        ]);
        let german = Descriptions::from([
            ("2".to_string(), description("a", "ein Spiel", &["Eins. Zwei.", "Drei und vier."])),
            ("1".to_string(), description("b", "ein Werkzeug", &["Eins. Zwei."])),
        ]);
        let pairs = translations(&english, &german, "de");
        let expected = [
            ("a game", "ein Spiel"),
            ("One.", "Eins."),
            ("Two.", "Zwei."),
            ("Three. Four.", "Drei und vier."),
            ("a tool", "ein Werkzeug"),
        ];
        assert_eq!(texts(&pairs), expected);
    }

    #[test]
    fn what_is_no_translation_is_left_out() {
        let words = |count: usize| "word ".repeat(count);
        assert!(fits("a", "b") && fits("a", "b c d e") && fits(&words(10), &words(30)));
        assert!(!fits("same", "same") && !fits("", "b") && !fits("a", "<trans> b"));
        assert!(!fits(&words(2), &words(7)) && !fits(&words(100), &words(101)));
    }

    #[test]
    fn long_descriptions_are_summed_up_once() {
        let long = "word ".repeat(14) + "end";
        let english = Descriptions::from([
            ("1".to_string(), description("b", "second", &[&long])),
            ("2".to_string(), description("a", "first", &[&long])),
            ("3".to_string(), description("c", "short", &["one"])),
            ("4".to_string(), description("d", "its headers", &[&long, "Headers."])),
        ]);
        assert_eq!(texts(&summaries(&english)), [(long.as_str(), "first")]);
    }
}
