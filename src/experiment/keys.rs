//! Dotted keys of TOML tables: `a.b.c`, with `[i]` for an element of a list.

use toml::{Table, Value};

/// `prefix.key`; a key that is not bare stands in quotes, so that its dots are not taken for ours.
pub(crate) fn join(prefix: &str, key: &str) -> String {
    let key = if is_bare(key) { key.to_owned() } else { format!("{key:?}") };
    if prefix.is_empty() { key } else { format!("{prefix}.{key}") }
}

/// Whether TOML takes `key` without quotes.
fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// More tables than this around a key are a mistake, and would be walked one call each.
const DEEPEST: usize = 16;

/// Whether `key` is a few bare keys joined by dots.
pub(crate) fn is_dotted(key: &str) -> bool {
    key.split('.').all(is_bare) && key.split('.').count() <= DEEPEST
}

/// Whether `key` lies below `parent`, as `a.b` and `a[0]` do below `a`.
pub(crate) fn is_below(key: &str, parent: &str) -> bool {
    key.strip_prefix(parent).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// Whether setting one of the keys changes the other.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    one == other || is_below(one, other) || is_below(other, one)
}

/// Every value that is not itself a table, under its dotted key.
pub(crate) fn leaves(table: &Table) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    collect_leaves(table, "", &mut found);
    found
}

fn collect_leaves<'t>(table: &'t Table, prefix: &str, found: &mut Vec<(String, &'t Value)>) {
    for (key, value) in table {
        let key = join(prefix, key);
        match value {
            Value::Table(inner) => collect_leaves(inner, &key, found),
            _ => found.push((key, value)),
        }
    }
}

/// The tables around `value` that put it at the dotted `key`.
pub(crate) fn nest(key: &str, value: Value) -> Table {
    let (outer, inner) = match key.split_once('.') {
        Some((outer, rest)) => (outer, Value::Table(nest(rest, value))),
        None => (key, value),
    };
    Table::from_iter([(outer.to_owned(), inner)])
}

/// Takes out the value at a dotted key of bare keys, where there is one.
pub(crate) fn remove(table: &mut Table, key: &str) {
    match key.split_once('.') {
        None => drop(table.remove(key)),
        Some((outer, rest)) => {
            if let Some(Value::Table(inner)) = table.get_mut(outer) {
                remove(inner, rest);
            }
        }
    }
}

/// The value at a dotted key of bare keys.
pub(crate) fn find<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    let mut steps = key.split(['.', '[']);
    let first = table.get(steps.next()?)?;
    steps.try_fold(first, |value, step| match value {
        Value::Table(inner) => inner.get(step),
        Value::Array(elements) => elements.get(step.trim_end_matches(']').parse::<usize>().ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_under_their_dotted_keys() {
        let table: Table = toml::from_str("a.b = 1\na.list = [1, 2]\n\"x.y\" = 3").unwrap();
        assert_eq!(find(&table, "a.b"), Some(&Value::Integer(1)));
        assert_eq!(find(&table, "a.list[1]"), Some(&Value::Integer(2)));
        assert_eq!(find(&table, "a.list[2]"), None);
        assert_eq!(find(&table, "a.b.c"), None);
        let names: Vec<String> = leaves(&table).into_iter().map(|(key, _)| key).collect();
        assert_eq!(names, ["a.b", "a.list", "\"x.y\""]);
        assert_eq!(find(&nest("p.q.r", Value::Boolean(true)), "p.q.r"), Some(&Value::Boolean(true)));
    }

    #[test]
    fn keys_overlap_along_the_path_only() {
        assert!(overlap("model", "model.heads") && overlap("model.heads", "model"));
        assert!(overlap("a.b", "a.b") && is_below("a.b[0]", "a.b"));
        assert!(!overlap("model.head", "model.head_width"));
    }

    #[test]
    fn a_dotted_key_has_no_empty_or_quoted_part() {
        assert!(is_dotted("attention.fixed-random.init_std"));
        assert!(!is_dotted(&["a"; 17].join(".")));
        assert!(["", "a.", ".a", "a..b", "a b", "\"a\""].iter().all(|key| !is_dotted(key)));
    }
}
