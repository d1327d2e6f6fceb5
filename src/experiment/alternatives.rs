//! Keys of which one takes the place of others: `train.epochs` over a file's `train.steps`, one source of
//! texts over another.

use super::keys::{find, remove};
use toml::Table;

/// A key, and those that cannot stand beside it.
const ALTERNATIVES: [(&str, &[&str]); 11] = [
    ("train.steps", &["train.epochs"]),
    ("train.epochs", &["train.steps"]),
    ("train.batch_size", &["train.batch_tokens"]),
    ("train.batch_tokens", &["train.batch_size"]),
    ("data.dataset", &["data.field", "data.path", "data.split", "data.train", "data.validation", "data.test"]),
    ("data.path", &["data.dataset", "data.field", "data.train", "data.validation", "data.test"]),
    ("data.train", &["data.dataset", "data.field", "data.path", "data.split"]),
    // The kind of every self-attention: a cell of a sweep over kinds must not train its base's.
    ("attention.kind", &["attention.layers", "attention.encoder", "attention.decoder"]),
    ("attention.encoder", &["attention.layers"]),
    ("attention.decoder", &["attention.layers"]),
    ("attention.layers", &["attention.kind", "attention.encoder", "attention.decoder"]),
];

/// Takes out of `table` what cannot stand beside a key that `over` gives; what is `protected` stays, so that two
/// settings of one layer that contradict each other are still an error.
pub(crate) fn make_way(table: &mut Table, over: &Table, protected: impl Fn(&str) -> bool) {
    for (key, others) in ALTERNATIVES {
        if find(over, key).is_some() {
            others
                .iter()
                .filter(|other| find(over, other).is_none() && !protected(other))
                .for_each(|other| remove(table, other));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn one_takes_the_place_of_the_other() {
        let mut below = table("train = { steps = 5, accumulate = 2 }\ndata = { path = \"a\", split = [1.0] }");
        make_way(&mut below, &table("train.epochs = 2\ndata.dataset = \"x\""), |_| false);
        assert_eq!(below, table("train = { accumulate = 2 }\ndata = {}"));
    }

    #[test]
    fn a_field_is_that_of_its_dataset() {
        let below = table("data = { dataset = \"x\", field = \"source\" }");
        for (over, expected) in [
            ("data.dataset = \"y\"", "data = { dataset = \"x\" }"),
            ("data.path = \"a\"", "data = {}"),
            ("data.train = \"a\"", "data = {}"),
            ("data.field = \"target\"", "data = { dataset = \"x\", field = \"source\" }"),
        ] {
            let mut made = below.clone();
            make_way(&mut made, &table(over), |_| false);
            assert_eq!(made, table(expected), "{over}");
        }
    }

    #[test]
    fn one_kind_takes_the_place_of_a_hybrid() {
        let mut below = table("attention = { layers = [\"random\"], decoder = \"random\", dropout = 0.1 }");
        make_way(&mut below, &table("attention.kind = \"dense\""), |_| false);
        assert_eq!(below, table("attention = { dropout = 0.1 }"));
    }

    #[test]
    fn a_contradiction_within_one_layer_stays() {
        let both = table("train = { steps = 5, epochs = 2 }");
        let mut below = both.clone();
        make_way(&mut below, &both, |_| false);
        assert_eq!(below, both);
        make_way(&mut below, &table("train.epochs = 2"), |key| key == "train.steps");
        assert_eq!(below, both);
    }
}
