//! `match_parameters`: beside each cell a vanilla Transformer of as many parameters, its feed-forward layers grown.

use super::file::Variant;
use crate::experiment::Experiment;
use crate::experiment::keys::{overlap, remove};
use crate::experiment::overrides::Override;
use crate::experiment::provenance::Origin;
use crate::model::Vocabularies;
use crate::model::options::ModelOptions;
use crate::model::size::model_size;
use toml::Value;

/// What `match_parameters` takes, and what the names of such cells begin with.
pub const NAME: &str = "vanilla-control";

/// Differences from here on are told with a warning.
pub const TOLERANCE: f64 = 0.01;

/// The keys that say which kind each attention is.
const KINDS: [&str; 5] =
    ["attention.kind", "attention.encoder", "attention.decoder", "attention.cross", "attention.layers"];
/// Vocabularies of both are the same, so that any does.
const VOCABULARY: i64 = 256;

/// What a baseline is matched to.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// The cell whose parameters are matched.
    pub of: String,
    /// The width of the baseline's feed-forward layers.
    pub d_ff: i64,
    /// Parameters more than that cell's, negative where they are fewer.
    pub more: i128,
    /// The same as a share of that cell's.
    pub share: f64,
}

/// The baseline of the cell `variant`, whose experiment is `cell` and would be `vanilla` with vanilla attention. `None`
/// where that is what it is.
pub(super) fn control(
    variant: &Variant,
    of: &str,
    cell: &Experiment,
    vanilla: &Experiment,
) -> Option<(Variant, Control)> {
    if cell.attention.all_layers(cell.model.depth()) == vanilla.attention.all_layers(vanilla.model.depth()) {
        return None;
    }
    let count = |experiment: &Experiment, model: &ModelOptions| {
        model_size(model, &experiment.attention, Vocabularies::joint(VOCABULARY)).total as i128
    };
    let target = count(cell, &cell.model);
    let grown = |d_ff: i64| count(vanilla, &ModelOptions { d_ff: Some(d_ff), ..vanilla.model.clone() });
    let d_ff = nearest(target, grown);
    let more = grown(d_ff) - target;
    let mut variant = vanilla_variant(variant);
    variant.name = Some(format!("{NAME}-{of}"));
    variant.settings.retain(|setting| setting.key != "model.d_ff");
    variant.settings.push(own("model.d_ff", Value::Integer(d_ff)));
    let share = more as f64 / target.max(1) as f64;
    Some((variant, Control { of: of.to_owned(), d_ff, more, share }))
}

/// The same cell with vanilla attention in every layer.
pub(super) fn vanilla_variant(variant: &Variant) -> Variant {
    let mut settings: Vec<Override> = variant.settings.clone();
    settings.retain(|setting| !KINDS.contains(&setting.key.as_str()));
    for setting in &mut settings {
        if let Value::Table(table) = &mut setting.value {
            let below = KINDS.iter().filter(|key| overlap(key, &setting.key));
            below.filter_map(|key| key.strip_prefix(&format!("{}.", setting.key))).for_each(|key| remove(table, key));
        }
    }
    settings.push(own("attention.kind", Value::String("vanilla".into())));
    Variant { name: variant.name.clone(), settings }
}

fn own(key: &str, value: Value) -> Override {
    Override { key: key.to_owned(), origin: Origin::Set(format!("{key}={value}")), value }
}

/// The width, 1 or more, at which the count, which grows with it, is nearest to `target`.
fn nearest(target: i128, count: impl Fn(i64) -> i128) -> i64 {
    let (base, step) = (count(1), count(2) - count(1));
    let above = (target - base).max(0);
    // Counts are linear in the width.
    let whole = (above + step / 2) / step.max(1);
    i64::try_from(whole).unwrap_or(i64::MAX / 2) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::load::tests::experiment;

    fn matched(sets: &[&str]) -> Option<(Variant, Control)> {
        let settings: Vec<Override> = sets.iter().map(|text| Override::parse(text).unwrap()).collect();
        let vanilla_sets: Vec<&str> = sets.iter().copied().filter(|set| !set.starts_with("attention.")).collect();
        let variant = Variant { name: Some("a".into()), settings };
        control(&variant, "a", &experiment(sets), &experiment(&vanilla_sets))
    }

    #[test]
    fn the_baseline_has_as_many_parameters() {
        for sets in [
            &["attention.kind=random+vanilla"][..],
            &["attention.kind=random"],
            &["attention.kind=dense", "model.activation=swiglu", "model.bias=false"],
            &["attention.kind=factorized-random+dense+vanilla", "model.layers=3"],
        ] {
            let (variant, control) = matched(sets).unwrap();
            assert!(control.share.abs() < 0.01, "{sets:?}: {control:?}");
            assert_eq!(variant.name.as_deref(), Some("vanilla-control-a"));
            let texts: Vec<String> = variant.settings.iter().map(Override::text).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (baseline, cell) = (experiment(&texts), experiment(sets));
            assert_eq!((baseline.kind().as_str(), baseline.model.d_ff()), ("vanilla", control.d_ff));
            let total = |it: &Experiment| model_size(&it.model, &it.attention, Vocabularies::joint(900)).total as i128;
            assert_eq!(total(&baseline) - total(&cell), control.more, "{sets:?}");
            // No other width is nearer.
            let step = total(&experiment(&[&texts[..], &["model.d_ff=2"]].concat()))
                - total(&experiment(&[&texts[..], &["model.d_ff=1"]].concat()));
            assert!(control.more.abs() * 2 <= step, "{control:?} {step}");
        }
    }

    #[test]
    fn a_vanilla_cell_is_its_own_baseline() {
        assert!(matched(&["attention.kind=vanilla"]).is_none());
        assert!(matched(&[]).is_none());
    }

    #[test]
    fn kinds_by_layer_make_way() {
        let sets = ["attention.layers=[\"random\", \"random\", \"random\", \"random\", \"vanilla\", \"vanilla\"]"];
        let (variant, _) = matched(&sets).unwrap();
        let keys: Vec<&str> = variant.settings.iter().map(|setting| setting.key.as_str()).collect();
        assert_eq!(keys, ["attention.kind", "model.d_ff"]);
        let settings = vec![Override::parse("attention={kind=\"random\", dropout=0.2}").unwrap()];
        let variant = vanilla_variant(&Variant { name: None, settings });
        let texts: Vec<String> = variant.settings.iter().map(Override::text).collect();
        assert_eq!(texts[1], "attention.kind=vanilla");
        assert!(texts[0].contains("dropout") && !texts[0].contains("random"), "{texts:?}");
    }

    #[test]
    fn a_target_below_every_width_takes_the_least() {
        assert_eq!(nearest(5, |width| 10 + 3 * i128::from(width)), 1);
        assert_eq!(nearest(24, |width| 10 + 3 * i128::from(width)), 5);
        assert_eq!(nearest(26, |width| 10 + 3 * i128::from(width)), 5);
        assert_eq!(nearest(27, |width| 10 + 3 * i128::from(width)), 6);
    }
}
