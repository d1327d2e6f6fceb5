//! The fixed names of configurations whose part is not built yet: refused by name, not as unknown.
//!
//! One line per name, deleted when its part is built.

use super::explain::names_of;
use super::keys::find;
use super::provenance::Provenance;
use crate::attention::Kind;
use crate::model::options::Architecture;
use crate::tasks::options::TaskKind;
use anyhow::Result;
use toml::{Table, Value};

/// Values of keys that take a name.
const VALUES: &[(&str, &str)] = &[
    ("task.kind", "masked-lm"),
    ("task.kind", "classification"),
    ("task.kind", "regression"),
    ("model.architecture", "encoder"),
];

/// Keys that take a kind of attention.
const KIND_KEYS: &[&str] =
    &["attention.kind", "attention.encoder", "attention.decoder", "attention.cross", "attention.layers"];

/// Kinds of attention.
const KINDS: &[&str] = &[
    "linformer",
    "performer",
    "reformer",
    "lightweight-conv",
    "dynamic-conv",
    "fnet",
    "fixed-patterns",
    "local",
    "linear",
    "mlp-mixer",
];

/// Refuses what is named here and given in `table`.
pub(super) fn check(table: &Table, origins: &Provenance) -> Result<()> {
    for (key, value) in VALUES {
        if find(table, key).and_then(Value::as_str) == Some(value) {
            return Err(not_built(key, value, origins));
        }
    }
    for key in KIND_KEYS {
        let value = find(table, key);
        let list = value.and_then(Value::as_array).into_iter().flatten();
        let mut kinds = value.into_iter().chain(list).filter_map(Value::as_str);
        if let Some(kind) = kinds.find(|kind| kind.split('+').any(|part| KINDS.contains(&part))) {
            let rival = kind.split('+').find(|part| KINDS.contains(part)).filter(|part| *part != kind);
            return Err(rival.map_or_else(|| not_built(key, kind, origins), |rival| not_a_part(key, rival, origins)));
        }
    }
    Ok(())
}

fn not_built(key: &str, value: &str, origins: &Provenance) -> anyhow::Error {
    origins.refusal_at(&[key], format!("{key} = {value:?} is not built yet; built: {}", built(key).join(", ")))
}

/// The rivals are whole layers: there are no scores of theirs to mix.
fn not_a_part(key: &str, rival: &str, origins: &Provenance) -> anyhow::Error {
    let parts = built(key).join(", ");
    origins.refusal(key, format!("{rival} is a layer of its own and no part of a mixture; parts are {parts}"))
}

/// The names that `key` takes today.
fn built(key: &str) -> Vec<String> {
    match key {
        "task.kind" => names_of::<TaskKind>(),
        "model.architecture" => names_of::<Architecture>(),
        _ => names_of::<Kind>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::keys::nest;
    use toml::de::DeTable;

    fn refused(text: &str) -> Option<String> {
        let spanned = DeTable::parse(text).unwrap();
        let origins = Provenance::of_file("x.toml", text, spanned.get_ref());
        check(&toml::from_str(text).unwrap(), &origins).err().map(|error| error.to_string())
    }

    #[test]
    fn a_kind_is_refused_by_name_with_what_is_built() {
        assert_eq!(
            refused("[attention]\nkind = \"fnet\"\n").unwrap(),
            format!("x.toml:2: attention.kind = \"fnet\" is not built yet; built: {}", Kind::names())
        );
        assert!(
            refused("[attention]\nlayers = [\"vanilla\", \"local\"]\n").unwrap().contains("\"local\" is not built")
        );
        assert!(refused("[attention]\ndecoder = \"fnet+vanilla\"\n").unwrap().contains("fnet is a layer of its own"));
        assert_eq!(refused("[attention]\nkind = \"denes\"\n"), None);
        assert_eq!(refused("[attention]\nkind = \"random+vanilla\"\n"), None);
    }

    #[test]
    fn every_line_refuses_and_none_names_a_built_part() {
        for (key, value) in VALUES {
            let text = toml::to_string(&nest(key, Value::String((*value).to_owned()))).unwrap();
            let message = refused(&text).unwrap();
            assert!(message.contains(&format!("{key} = {value:?} is not built yet; built: ")), "{message}");
            assert!(!built(key).is_empty() && built(key).iter().all(|name| name != value), "{key} = {value}");
        }
        assert!(KINDS.iter().all(|kind| !names_of::<Kind>().contains(&(*kind).to_owned())));
    }
}
