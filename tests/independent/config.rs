//! Looks up dotted keys in a run's `config.toml`.

use toml::{Table, Value};

/// A resolved experiment.
pub struct Config(Table);

impl Config {
    /// Parses the text of a `config.toml`.
    pub fn parse(text: &str) -> Self {
        Self(text.parse().expect("config.toml is TOML"))
    }

    /// The same experiment but for one key, whose value is TOML.
    pub fn with(&self, key: &str, value: &str) -> Self {
        let mut changed = self.0.clone();
        let mut new: Table = format!("value = {value}").parse().expect("TOML");
        let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
        let table = tables.split('.').filter(|part| !part.is_empty()).fold(&mut changed, |table, part| {
            table.get_mut(part).and_then(Value::as_table_mut).unwrap_or_else(|| panic!("a table at {key}"))
        });
        table.insert(last.to_owned(), new.remove("value").expect("a value"));
        Self(changed)
    }

    /// The value of a dotted key, where it is given.
    pub fn value(&self, key: &str) -> Option<&Value> {
        let mut parts = key.split('.');
        let first = self.0.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.value(key)?.as_str()
    }

    /// A whole number.
    pub fn count(&self, key: &str) -> Option<usize> {
        usize::try_from(self.value(key)?.as_integer()?).ok()
    }

    /// A number, written with or without a point.
    pub fn number(&self, key: &str) -> Option<f64> {
        let value = self.value(key)?;
        value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
    }

    /// A number, or what it is where it is not given.
    pub fn number_or(&self, key: &str, default: f64) -> f64 {
        if self.value(key).is_some() { self.required_number(key) } else { default }
    }

    /// A list of numbers.
    pub fn numbers(&self, key: &str) -> Option<Vec<f64>> {
        self.value(key)?.as_array()?.iter().map(Value::as_float).collect()
    }

    /// A list of whole numbers.
    pub fn counts(&self, key: &str) -> Option<Vec<usize>> {
        let counts = self.value(key)?.as_array()?.iter();
        counts.map(|value| usize::try_from(value.as_integer()?).ok()).collect()
    }

    /// A text that every resolved experiment has.
    pub fn required_text(&self, key: &str) -> &str {
        self.text(key).unwrap_or_else(|| panic!("config.toml has a text at {key}"))
    }

    /// A whole number that every resolved experiment has.
    pub fn required_count(&self, key: &str) -> usize {
        self.count(key).unwrap_or_else(|| panic!("config.toml has a whole number at {key}"))
    }

    /// A yes or no that every resolved experiment has.
    pub fn required_choice(&self, key: &str) -> bool {
        self.value(key).and_then(Value::as_bool).unwrap_or_else(|| panic!("config.toml has a yes or no at {key}"))
    }

    /// A number that every resolved experiment has.
    pub fn required_number(&self, key: &str) -> f64 {
        self.number(key).unwrap_or_else(|| panic!("config.toml has a number at {key}"))
    }
}
