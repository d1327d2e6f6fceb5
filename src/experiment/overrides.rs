//! One key set over the files: `--set a.b=c`, or a setting of a sweep's cell.

use super::keys::{find, is_dotted, nest};
use super::provenance::{Origin, one_line};
use super::source::anchor_paths;
use anyhow::{Context, Result};
use std::path::Path;
use toml::Value;

const FORM: &str = "expected --set KEY=VALUE, such as --set model.heads=4, --set attention.kind=random or \
                    --set 'data.split=[0.9, 0.1]'";

/// A value that takes the place of what the files say.
#[derive(Debug, Clone)]
pub(crate) struct Override {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

impl Override {
    /// Reads `a.b=c`; paths in it are relative to the current folder.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refusal = |what: String| one_line(&format!("--set {text}: {what}; {FORM}"));
        let (key, value) = text.split_once('=').ok_or_else(|| refusal("no = found".into()))?;
        let (key, value) = (key.trim(), value.trim());
        if !is_dotted(key) {
            return Err(refusal(format!("{key:?} is no dotted key")));
        }
        if key == "base" {
            return Err(one_line(&format!("--set {text}: base can stand in a file only")));
        }
        let value = parse_value(value).map_err(refusal)?;
        let folder = std::env::current_dir().context("cannot tell the current folder")?;
        Self::new(key, value, &folder, Origin::Set(text.to_owned()))
    }

    /// `value` at `key`; paths in it are relative to `folder`.
    pub(crate) fn new(key: &str, value: Value, folder: &Path, origin: Origin) -> Result<Self> {
        let mut table = nest(key, value.clone());
        anchor_paths(&mut table, folder)?;
        let value = find(&table, key).cloned().unwrap_or(value);
        Ok(Self { key: key.to_owned(), value, origin })
    }

    /// The text that `--set` reads as this override, from whatever folder.
    pub(crate) fn text(&self) -> String {
        match &self.value {
            Value::String(word) if parse_value(word).is_ok_and(|parsed| parsed == self.value) => {
                format!("{}={word}", self.key)
            }
            value => format!("{}={value}", self.key),
        }
    }
}

/// A TOML value, or else a bare word; the error says what is wrong.
fn parse_value(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Err("the value is missing".into());
    }
    match text.parse::<Value>() {
        Ok(value) => Ok(value),
        // What starts like a list, a table or a quoted text was meant as one.
        Err(error) if text.starts_with(['[', '{', '"', '\'']) => Err(error.message().to_owned()),
        Err(_) if text == text.trim() => Ok(Value::String(text.to_owned())),
        Err(error) => Err(error.message().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Override::parse(text).unwrap().value
    }

    #[test]
    fn values_are_toml_and_bare_words_are_texts() {
        assert_eq!(value("model.heads=4"), Value::Integer(4));
        assert_eq!(value("optimizer.lr=1e-3"), Value::Float(0.001));
        assert_eq!(value("train.deterministic=true"), Value::Boolean(true));
        assert_eq!(value("attention.kind=random+vanilla"), Value::String("random+vanilla".into()));
        assert_eq!(value("name = \"5\""), Value::String("5".into()));
        assert_eq!(value("optimizer.betas=[0.9, 0.99]").as_array().unwrap().len(), 2);
        assert_eq!(value("model={heads=4}").as_table().unwrap().len(), 1);
    }

    #[test]
    fn bad_forms_are_refused_with_the_expected_form() {
        for (text, what) in [
            ("model.heads", "no = found"),
            ("=4", "\"\" is no dotted key"),
            ("model..heads=4", "\"model..heads\" is no dotted key"),
            ("model.heads=", "the value is missing"),
        ] {
            let error = Override::parse(text).unwrap_err();
            assert_eq!(error.to_string(), format!("--set {text}: {what}; {FORM}"));
            assert_eq!(crate::exit::code(&error), 2);
        }
        let error = Override::parse("optimizer.betas=[0.9").unwrap_err().to_string();
        assert!(error.starts_with("--set optimizer.betas=[0.9: ") && error.ends_with(FORM), "{error}");
        assert_eq!(
            Override::parse("base=x.toml").unwrap_err().to_string(),
            "--set base=x.toml: base can stand in a file only"
        );
    }

    #[test]
    fn the_text_reads_back_as_the_same_override() {
        for text in [
            "name=a b",
            "name=\"5\"",
            "name=\"true\"",
            "name=\" padded \"",
            "name=\"\"",
            "optimizer.lr=1.0",
            "optimizer.betas=[0.9, 0.98]",
            "train.best={metric=\"loss\"}",
        ] {
            let first = Override::parse(text).unwrap();
            let again = Override::parse(&first.text()).unwrap();
            assert_eq!((first.key, first.value), (again.key, again.value), "{text}");
        }
        assert_eq!(Override::parse("attention.kind=\"random\"").unwrap().text(), "attention.kind=random");
    }

    #[test]
    fn paths_are_relative_to_the_current_folder() {
        let folder = std::env::current_dir().unwrap();
        assert_eq!(value("data.train=a/*.txt").as_str(), folder.join("a/*.txt").to_str());
        let pair = value("data.train=[\"a.en\", \"/b/a.de\"]");
        assert_eq!(pair[0].as_str(), folder.join("a.en").to_str());
        assert_eq!(pair[1].as_str(), Some("/b/a.de"));
        assert_eq!(value("train.init_from=a/b:average:3").as_str(), folder.join("a/b:average:3").to_str());
        assert_eq!(value("data={path=\"b.txt\"}")["path"].as_str(), folder.join("b.txt").to_str());
    }
}
