//! The choices of a training that meet each other two by two.

use crate::pairs::covering;
use crate::variants::Key;

/// The levels of a factor, each by its keys.
type Factor = &'static [&'static [Key]];

/// The six that are promised first, then others that they may depend on.
const FACTORS: [Factor; 14] = [
    &[&[("model.norm", "\"layer\"")], &[("model.norm", "\"rms\"")]],
    &[&[("model.norm_position", "\"pre\"")], &[("model.norm_position", "\"post\"")]],
    &[
        &[("model.activation", "\"relu\"")],
        &[("model.activation", "\"gelu\"")],
        &[("model.activation", "\"gelu-tanh\"")],
        &[("model.activation", "\"swiglu\"")],
    ],
    &[
        &[("model.positions", "\"learned\"")],
        &[("model.positions", "\"sinusoidal\"")],
        &[("model.positions", "\"relative\""), ("model.relative_buckets", "5"), ("model.relative_distance", "16")],
        &[("model.positions", "\"none\"")],
    ],
    &[
        &[("optimizer.kind", "\"adamw\""), ("optimizer.lr", "0.01")],
        &[
            ("optimizer.kind", "\"adafactor\""),
            ("optimizer.lr", "0.1"),
            ("optimizer.adafactor.min_factored", "4"),
            ("optimizer.adafactor.beta1", "0.9"),
            // Far below any gradient but those that are 0 but for rounding, of which it leaves nothing to speak of.
            ("optimizer.adafactor.eps", "[1e-18, 1e-3]"),
        ],
        &[
            ("optimizer.kind", "\"sgd\""),
            ("optimizer.lr", "0.1"),
            ("optimizer.momentum", "0.9"),
            ("optimizer.nesterov", "true"),
        ],
    ],
    &[
        &[("optimizer.schedule.kind", "\"constant\"")],
        &[("optimizer.schedule.kind", "\"linear\""), ("optimizer.schedule.warmup_start", "0.2")],
        &[("optimizer.schedule.kind", "\"cosine\"")],
        &[("optimizer.schedule.kind", "\"inverse-sqrt\"")],
        &[("optimizer.schedule.kind", "\"one-cycle\"")],
    ],
    &[
        &[("attention.kind", "\"vanilla\"")],
        &[("attention.kind", "\"dense\"")],
        &[("attention.kind", "\"random\"")],
        &[("attention.kind", "\"random+vanilla\"")],
        &[("attention.kind", "\"factorized-random+vanilla\""), ("attention.factorized-random.rank", "3")],
    ],
    &[
        &[("model.bias", "true"), ("attention.bias", "true"), ("attention.dense.bias", "true")],
        &[("model.bias", "false")],
    ],
    &[&[("model.tie_embeddings", "true")], &[("model.tie_embeddings", "false")]],
    &[&[("model.init", "\"fan-in\"")], &[("model.init", "\"gpt2\"")], &[("model.init", "\"xavier\"")]],
    &[&[("train.accumulate", "1")], &[("train.accumulate", "3")]],
    &[&[], &[("train.label_smoothing", "0.1"), ("train.z_loss", "1e-3")]],
    &[
        &[("model.d_model", "8"), ("model.heads", "2")],
        &[("model.d_model", "12"), ("model.heads", "3"), ("model.d_ff", "20")],
        &[("model.d_model", "8"), ("model.heads", "4"), ("model.head_width", "3")],
    ],
    &[&[("optimizer.clip_norm", "0")], &[("optimizer.clip_norm", "0.5"), ("train.ema", "0.9")]],
];

/// The keys of trainings in which any two choices meet.
pub fn trainings() -> Vec<Vec<Key>> {
    let keys = |row: Vec<usize>| FACTORS.iter().zip(row).flat_map(|(factor, level)| factor[level]).copied().collect();
    covering(&FACTORS.map(<[_]>::len)).into_iter().map(keys).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_two_choices_meet_in_a_training() {
        let trainings = trainings();
        let has = |keys: &Vec<Key>, level: &[Key]| level.iter().all(|key| keys.contains(key));
        for (index, first) in FACTORS.iter().enumerate() {
            for (one, other) in FACTORS[..index]
                .iter()
                .flat_map(|second| first.iter().flat_map(move |one| second.iter().map(move |other| (one, other))))
            {
                let met = trainings.iter().any(|keys| has(keys, one) && has(keys, other));
                assert!(met, "{one:?} and {other:?}");
            }
        }
        // What is promised, by its names.
        let values = |key: &str, values: &[&str]| {
            let value = |value: &&str| (key.to_owned(), format!("{value:?}"));
            values.iter().map(value).collect::<Vec<_>>()
        };
        let promised = [
            values("model.norm", &["layer", "rms"]),
            values("model.norm_position", &["pre", "post"]),
            values("model.activation", &["relu", "gelu", "gelu-tanh", "swiglu"]),
            values("model.positions", &["learned", "sinusoidal", "relative", "none"]),
            values("optimizer.kind", &["adamw", "adafactor", "sgd"]),
            values("optimizer.schedule.kind", &["constant", "linear", "cosine", "inverse-sqrt", "one-cycle"]),
        ];
        let chosen = |keys: &Vec<Key>, (key, value): &(String, String)| keys.contains(&(key.as_str(), value.as_str()));
        for (index, first) in promised.iter().enumerate() {
            for (one, other) in promised[..index]
                .iter()
                .flat_map(|second| first.iter().flat_map(move |one| second.iter().map(move |other| (one, other))))
            {
                assert!(trainings.iter().any(|keys| chosen(keys, one) && chosen(keys, other)), "{one:?} and {other:?}");
            }
        }
    }
}
