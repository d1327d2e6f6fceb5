//! Deterministic text: sentences of short words with umlauts, accents, wide spaces and empty lines.

const WORDS: [&str; 16] = [
    "the", "cat", "über", "naïve", "runs", "jumps", "a", "I", "to", "blue", "dog's", "garçon", "sleeps", "and", "né",
    "slowly",
];

/// Sentences of at least `characters` characters in all, the same for the same `seed`.
pub fn sentences(seed: u64, characters: usize) -> String {
    let mut draw = draws(seed);
    let mut text = String::new();
    while text.chars().count() < characters {
        let words: Vec<&str> = (0..3 + draw(6)).map(|_| WORDS[draw(WORDS.len()).min(draw(WORDS.len()))]).collect();
        text += &words.join(if draw(9) == 0 { "\u{2003}" } else { " " });
        text += [".\n", ".\n", ", ", "?\r\n", "!\n\n"][draw(5)];
    }
    text
}

/// A linear congruential generator: the function returned draws a number below its argument.
fn draws(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

/// So many lines of so many words to so many.
pub fn lines(seed: u64, count: usize, [least, most]: [usize; 2]) -> String {
    let mut draw = draws(seed);
    let mut line = || {
        (0..least + draw(most + 1 - least)).map(|_| WORDS[draw(WORDS.len()).min(draw(WORDS.len()))]).collect::<Vec<_>>()
    };
    (0..count).map(|_| line().join(" ") + "\n").collect()
}
