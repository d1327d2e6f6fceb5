//! Porter's stemmer (Porter, 1980) with the changes that NLTK makes to it.

/// Words that the rules would get wrong.
const IRREGULAR: [(&str, &str); 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// Suffixes that go or change where the rest has a measure above 0.
const STEP_2: [(&str, &str); 21] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
];

/// The same for the third step.
const STEP_3: [(&str, &str); 7] =
    [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

/// Suffixes that go where the rest has a measure above 1; `ion` also needs an s or t before it.
const STEP_4: [&str; 19] = [
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

/// The stem of a word in lower case.
pub fn stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(irregular, _)| *irregular == word) {
        return stem.to_string();
    }
    let mut word: Vec<char> = word.chars().collect();
    if word.len() > 2 {
        for step in [plurals, past_and_progressive, final_y, double_suffixes, step_3, step_4, final_e, double_l] {
            step(&mut word);
        }
    }
    word.into_iter().collect()
}

/// Letter by letter, whether it is a consonant: y is one at the start and behind a vowel.
fn consonants(word: &[char]) -> Vec<bool> {
    let mut consonants: Vec<bool> = Vec::with_capacity(word.len());
    for &letter in word {
        let consonant = match letter {
            'a' | 'e' | 'i' | 'o' | 'u' => false,
            'y' => consonants.last().is_none_or(|before| !before),
            _ => true,
        };
        consonants.push(consonant);
    }
    consonants
}

/// How often a vowel is followed by a consonant.
fn measure(word: &[char]) -> usize {
    consonants(word).windows(2).filter(|pair| !pair[0] && pair[1]).count()
}

/// Whether the word ends as `hop` does, in consonant, vowel, consonant other than w, x, y; or is as `at`.
fn ends_short(word: &[char]) -> bool {
    match (consonants(word).as_slice(), word.last()) {
        ([false, true], _) => true,
        ([.., true, false, true], Some(last)) => !matches!(last, 'w' | 'x' | 'y'),
        _ => false,
    }
}

fn ends_with(word: &[char], suffix: &str) -> bool {
    let count = suffix.chars().count();
    word.len() >= count && word[word.len() - count..].iter().copied().eq(suffix.chars())
}

/// Puts `replacement` in the place of the last `count` letters.
fn replace(word: &mut Vec<char>, count: usize, replacement: &str) {
    word.truncate(word.len() - count);
    word.extend(replacement.chars());
}

/// The first of the rules whose suffix the word has, if the rest has a measure above 0.
fn apply(word: &mut Vec<char>, rules: &[(&str, &str)]) {
    if let Some((suffix, replacement)) = rules.iter().find(|(suffix, _)| ends_with(word, suffix))
        && measure(&word[..word.len() - suffix.len()]) > 0
    {
        replace(word, suffix.len(), replacement);
    }
}

fn plurals(word: &mut Vec<char>) {
    if ends_with(word, "ies") {
        let kept = if word.len() == 4 { "ie" } else { "i" };
        replace(word, 3, kept);
    } else if ends_with(word, "sses") {
        replace(word, 2, "");
    } else if ends_with(word, "s") && !ends_with(word, "ss") {
        replace(word, 1, "");
    }
}

fn past_and_progressive(word: &mut Vec<char>) {
    if ends_with(word, "ied") {
        let kept = if word.len() == 4 { "ie" } else { "i" };
        return replace(word, 3, kept);
    }
    if ends_with(word, "eed") {
        if measure(&word[..word.len() - 3]) > 0 {
            replace(word, 1, "");
        }
        return;
    }
    let suffix = ["ed", "ing"].into_iter().find(|suffix| ends_with(word, suffix));
    let Some(rest) = suffix.map(|suffix| word.len() - suffix.len()) else { return };
    if consonants(&word[..rest]).into_iter().all(|consonant| consonant) {
        return;
    }
    word.truncate(rest);
    let last = word[rest - 1];
    if ["at", "bl", "iz"].into_iter().any(|suffix| ends_with(word, suffix)) {
        word.push('e');
    } else if rest >= 2 && word[rest - 2] == last && consonants(word)[rest - 1] {
        if !matches!(last, 'l' | 's' | 'z') {
            word.pop();
        }
    } else if measure(word) == 1 && ends_short(word) {
        word.push('e');
    }
}

fn final_y(word: &mut Vec<char>) {
    let rest = word.len().saturating_sub(1);
    if ends_with(word, "y") && rest > 1 && consonants(word)[rest - 1] {
        replace(word, 1, "i");
    }
}

fn double_suffixes(word: &mut Vec<char>) {
    if ends_with(word, "alli") && measure(&word[..word.len() - 4]) > 0 {
        replace(word, 2, "");
        return double_suffixes(word);
    }
    if ends_with(word, "logi") {
        // The l counts for the measure.
        if measure(&word[..word.len() - 3]) > 0 {
            replace(word, 1, "");
        }
        return;
    }
    apply(word, &STEP_2);
}

fn step_3(word: &mut Vec<char>) {
    apply(word, &STEP_3);
}

fn step_4(word: &mut Vec<char>) {
    let Some(suffix) = STEP_4.into_iter().find(|suffix| ends_with(word, suffix)) else { return };
    let rest = &word[..word.len() - suffix.len()];
    if measure(rest) > 1 && (suffix != "ion" || matches!(rest.last(), Some('s' | 't'))) {
        replace(word, suffix.len(), "");
    }
}

fn final_e(word: &mut Vec<char>) {
    if ends_with(word, "e") {
        let rest = &word[..word.len() - 1];
        let measure = measure(rest);
        if measure > 1 || measure == 1 && !ends_short(rest) {
            word.pop();
        }
    }
}

fn double_l(word: &mut Vec<char>) {
    if ends_with(word, "ll") && measure(&word[..word.len() - 1]) > 1 {
        word.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stems as NLTK's PorterStemmer gives them.
    #[test]
    fn stems_are_nltks() {
        let cases = "caresses caress ponies poni ties tie cats cat feed feed agreed agre plastered plaster bled bled \
            motoring motor sing sing hopping hop falling fall filing file happy happi enjoy enjoy relational relat \
            conditional condit rationally ration triplicate triplic electrical electr adoption adopt controlling \
            control dying die skies sky by by naïvely naïv yyyed yy geology geolog analogy analog really realli \
            hopefully hope don't don't";
        let words: Vec<&str> = cases.split_whitespace().collect();
        for pair in words.chunks_exact(2) {
            assert_eq!(stem(pair[0]), pair[1], "{}", pair[0]);
        }
    }
}
