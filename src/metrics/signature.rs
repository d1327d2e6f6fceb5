//! What a figure depends on, in one line that can be printed beside it.

/// How a figure was resampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resampling {
    /// `bs` for bootstrap resampling, `ar` for approximate randomization.
    pub kind: &'static str,
    /// How many resamples or trials.
    pub samples: usize,
    /// The seed of the draws.
    pub seed: u64,
}

/// A signature in sacrebleu's form, `nrefs:1|case:mixed|…|version:synth-0.1.0`.
///
/// `references` is how many every segment has, `None` where the number differs; `settings` are the metric's own.
pub fn signature(
    references: Option<usize>,
    resampling: Option<Resampling>,
    settings: &[(&'static str, String)],
) -> String {
    let mut parts = vec![format!("nrefs:{}", references.map_or("var".to_string(), |count| count.to_string()))];
    if let Some(Resampling { kind, samples, seed }) = resampling {
        parts.push(format!("{kind}:{samples}"));
        parts.push(format!("seed:{seed}"));
    }
    parts.extend(settings.iter().map(|(key, value)| format!("{key}:{value}")));
    parts.push(format!("version:synth-{}", env!("CARGO_PKG_VERSION")));
    parts.join("|")
}

/// How signatures write a switch.
pub fn yes_or_no(on: bool) -> String {
    if on { "yes" } else { "no" }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_in_sacrebleus_order() {
        let resampling = Resampling { kind: "bs", samples: 1000, seed: 12345 };
        let text = signature(None, Some(resampling), &[("case", "mixed".into())]);
        assert!(text.starts_with("nrefs:var|bs:1000|seed:12345|case:mixed|version:synth-"), "{text}");
    }
}
