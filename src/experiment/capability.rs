//! What a configuration asks of kinds of attention that they cannot do, or of a machine that none can hold. Such an
//! experiment is refused; as a cell of a sweep it is skipped, and the others run.

use super::provenance::Provenance;
use super::schema::Experiment;
use crate::attention::{Kind, Part};
use crate::data::options::RowKind;
use anyhow::Result;

/// Refuses what cannot be done.
pub(super) fn check(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    check_kinds(experiment, origins)?;
    check_length(experiment, origins)?;
    check_sizes(experiment, origins)
}

/// What the kinds declare, against what the task needs.
fn check_kinds(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    // Every task writes from left to right.
    let causal = true;
    let padding = experiment.data.rows == RowKind::Records;
    let (attention, depth) = (&experiment.attention, experiment.model.depth());
    // What stands after the end of a source is always hidden.
    let over_sources =
        attention.encoder_layers(depth).into_iter().chain(attention.cross_kind(depth).map(|kind| (kind, 1)));
    let needs = attention.decoder_layers(depth).into_iter().map(|(kind, _)| (kind, causal, padding));
    for (kind, causal, padding) in needs.chain(over_sources.map(|(kind, _)| (kind, false, true))) {
        if let Some(lack) = lack(kind, causal, padding) {
            return Err(origins.refusal("attention.kind", lack));
        }
    }
    Ok(())
}

/// What a kind lacks of what is needed.
fn lack(kind: Kind, causal: bool, padding: bool) -> Option<String> {
    let can = kind.capabilities();
    let needs = [
        (
            causal && !can.causal,
            "keep a position from seeing later ones",
            "every task needs, as it writes from left to right",
        ),
        (padding && !can.padding, "leave padding out", "rows of unequal length need"),
    ];
    let (_, what, who) = needs.into_iter().find(|(lacks, ..)| *lacks)?;
    Some(format!("{kind} cannot {what}, which {who}; expected another kind"))
}

/// The longest input of a kind whose tables are of a given size.
fn check_length(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let (model, attention) = (&experiment.model, &experiment.attention);
    let (a, b) = attention.factorized_dense.widths(model.max_length);
    let used = attention.uses(Part::FactorizedDense, model.depth());
    if used && a.checked_mul(b).is_some_and(|reach| reach < model.max_length) {
        let what = format!("{a} · {b} is less than model.max_length = {}, expected at least that", model.max_length);
        return Err(origins.refusal_of(&["attention.factorized-dense.factors", "model.max_length"], what));
    }
    Ok(())
}

/// Sizes are multiplied as i64 from here on; what no machine holds is refused before it overflows.
fn check_sizes(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let (model, train) = (&experiment.model, &experiment.train);
    let (length, depth) = (model.max_length, model.depth());
    let layers = depth.encoder.saturating_add(depth.decoder);
    let attention = &experiment.attention;
    let used = |part: Part, width: i64| if attention.uses(part, depth) { width } else { 1 };
    let hidden = used(Part::Dense, attention.dense.hidden.unwrap_or(model.head_width()));
    let (a, b) = attention.factorized_dense.widths(length);
    let factor = used(Part::FactorizedDense, a.max(b));
    let rank = used(Part::FactorizedRandom, attention.factorized_random.rank);
    let products = [
        ("model.d_model", [model.d_model, model.d_model, layers, 1]),
        ("model.d_ff", [model.d_model, model.d_ff(), layers, 1]),
        ("model.head_width", [model.d_model, model.heads, model.head_width(), layers]),
        ("model.max_length", [length, length, model.heads, layers]),
        ("attention.dense.hidden", [model.d_model.max(length), model.heads, hidden, layers]),
        ("attention.factorized-dense.factors", [model.d_model, model.heads, factor, layers]),
        ("attention.factorized-random.rank", [length, model.heads, rank, layers]),
        ("model.max_length", [length, model.d_model, 1, 1]),
        ("model.relative_buckets", [model.relative_buckets, length, 2, 1]),
        ("train.batch_size", [train.batch_size.unwrap_or(32), length, model.d_model, train.accumulate]),
        ("train.batch_tokens", [train.batch_tokens.unwrap_or(1), model.d_model, train.accumulate, 1]),
    ];
    for (key, factors) in products {
        // Sixteen bytes an element leave room for gradients and moments.
        let product = factors.iter().try_fold(16_i64, |product, factor| product.checked_mul(*factor));
        if product.is_none() {
            return Err(origins
                .refusal(key, "makes more than 2^59 elements with the other sizes, expected what a machine can hold"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_can_all_that_is_needed_today() {
        assert!(Kind::all().all(|kind| lack(kind, true, true).is_none()));
    }
}
