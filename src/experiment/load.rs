//! From a TOML file, its bases and `--set` to a checked experiment.

use super::alternatives::make_way;
use super::explain;
use super::keys::{join, nest, overlap};
use super::overrides::Override;
use super::provenance::{Origin, Provenance, one_line};
use super::schema::Experiment;
use super::source::{Document, read_text};
use super::{capability, data_keys, unbuilt, validate};
use anyhow::Result;
use garde::Validate;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Files that may stand below one another through `base`.
const DEEPEST: usize = 8;

/// A checked experiment, and the keys that it was read from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The experiment with every default.
    pub experiment: Experiment,
    /// The keys that were given: base files and `--set` are merged into one table.
    pub table: Table,
}

/// Reads the experiment at `path`, follows `base`, and applies `sets` (`a.b=c`) in order.
///
/// # Errors
/// A refusal (exit code 2) of one line for whatever keeps it from being an experiment: the file, its
/// syntax, a key, a value, or values that do not fit one another.
pub fn load(path: &Path, sets: &[String]) -> Result<Loaded> {
    let overrides: Vec<Override> = sets.iter().map(|text| Override::parse(text)).collect::<Result<_>>()?;
    let mut layers = Layers::read(path)?;
    overrides.iter().for_each(|setting| layers.apply(setting));
    layers.resolve()
}

/// Files merged into one table, before types and values are checked.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    table: Table,
    origins: Provenance,
    /// Keys that a setting gave, not a file.
    set: Vec<String>,
}

impl Layers {
    /// Reads the file and its bases; each file's keys stand over those of its base.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut documents = read_chain(path)?.into_iter().rev();
        let Some(deepest) = documents.next() else { crate::refuse!("{}: nothing was read", path.display()) };
        let mut layers = Self { table: deepest.table, origins: deepest.origins, set: Vec::new() };
        for over in documents {
            make_way(&mut layers.table, &over.table, |_| false);
            merge(&mut layers.table, over.table, &mut layers.origins, "");
            layers.origins.extend(over.origins);
        }
        Ok(layers)
    }

    /// No keys yet: settings alone make the experiment of `command`.
    pub(crate) fn of_command(command: &str) -> Self {
        Self { table: Table::new(), origins: Provenance::of_command(command), set: Vec::new() }
    }

    /// The keys that the files give.
    pub(super) fn table_mut(&mut self) -> &mut Table {
        &mut self.table
    }

    /// Puts one value over what the files say.
    pub(crate) fn apply(&mut self, setting: &Override) {
        let over = nest(&setting.key, setting.value.clone());
        make_way(&mut self.table, &over, |key| self.set.iter().any(|set| overlap(set, key)));
        self.set.push(setting.key.clone());
        merge(&mut self.table, over, &mut self.origins, "");
        self.mark(&setting.key, &setting.value, &setting.origin);
    }

    fn mark(&mut self, key: &str, value: &Value, origin: &Origin) {
        if let Value::Table(inner) = value {
            for (name, value) in inner {
                self.mark(&join(key, name), value, origin);
            }
        }
        self.origins.set(key, origin.clone());
    }

    /// Checks names, types and values.
    pub(crate) fn resolve(self) -> Result<Loaded> {
        let (loaded, lack) = self.resolve_any()?;
        lack.map_or(Ok(loaded), Err)
    }

    /// As [`Self::resolve`], but for what cannot be done: that is told beside the experiment.
    pub(crate) fn resolve_any(self) -> Result<(Loaded, Option<anyhow::Error>)> {
        let Self { table, origins, .. } = self;
        unbuilt::check(&table, &origins)?;
        let mut experiment: Experiment = serde_path_to_error::deserialize(Value::Table(table.clone()))
            .map_err(|error| explain::wrong_shape(&error, &origins))?;
        if experiment.attention.layers.is_some() {
            experiment.attention.kind = None;
        }
        validate::check_finite(&table, &origins)?;
        validate::check_given(&table, &origins)?;
        experiment.validate().map_err(|report| explain::out_of_range(&report, &table, &origins))?;
        validate::check(&experiment, &origins)?;
        // Stored, as every default is: what it is follows from the task alone.
        experiment.data.long_records.get_or_insert(data_keys::long_records(experiment.task.kind));
        let lack = capability::check(&experiment, &origins).err();
        Ok((Loaded { experiment, table }, lack))
    }
}

/// The file and its bases, deepest last; the key `base` is taken out.
fn read_chain(path: &Path) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    let mut seen: Vec<PathBuf> = path.canonicalize().into_iter().collect();
    let mut next = Some((path.to_path_buf(), read_text(path)?));
    while let Some((path, text)) = next.take() {
        let mut document = Document::parse(&path, &text)?;
        refuse_sweep(&document)?;
        if let Some(base) = document.table.remove("base") {
            next = Some(read_base(&path, &base, &document.origins, &mut seen)?);
        }
        documents.push(document);
    }
    Ok(documents)
}

/// The path and the text of the file that `path` names as its base.
fn read_base(path: &Path, base: &Value, origins: &Provenance, seen: &mut Vec<PathBuf>) -> Result<(PathBuf, String)> {
    let refusal = |what: String| origins.refusal("base", what);
    let name = base.as_str().ok_or_else(|| refusal(format!("found {base}, expected \"FILE.toml\"")))?;
    let base = path.with_file_name("").join(name);
    let text = read_text(&base).map_err(|error| refusal(error.to_string()))?;
    let identity = base.canonicalize().map_err(|error| refusal(format!("{}: {error}", base.display())))?;
    if seen.contains(&identity) {
        return Err(refusal(format!("{name} leads back to itself; expected a chain of bases that ends")));
    }
    if seen.len() > DEEPEST {
        return Err(refusal(format!("{name} is base number {}; expected at most {DEEPEST}", DEEPEST + 1)));
    }
    seen.push(identity);
    Ok((base, text))
}

fn refuse_sweep(document: &Document) -> Result<()> {
    match ["grid", "cell", "seeds"].into_iter().find(|key| document.table.contains_key(*key)) {
        Some(key) => {
            Err(document.origins.refusal(key, "this is a sweep, expected an experiment; run it with synth ablate"))
        }
        None => Ok(()),
    }
}

/// Puts `over` onto `table`: tables are merged by key, all else is replaced and its origin forgotten.
fn merge(table: &mut Table, over: Table, origins: &mut Provenance, prefix: &str) {
    for (name, value) in over {
        let key = join(prefix, &name);
        match (table.get_mut(&name), value) {
            (Some(Value::Table(inner)), Value::Table(over)) => merge(inner, over, origins, &key),
            (_, value) => {
                origins.forget(&key);
                table.insert(name, value);
            }
        }
    }
}

/// The resolved experiment as TOML: every default stands in it, no base is left, paths are absolute.
///
/// # Errors
/// A refusal of what TOML cannot hold: a seed above 2⁶³ − 1, a path that is not UTF-8.
pub fn config_toml(experiment: &Experiment) -> Result<String> {
    if i64::try_from(experiment.seed).is_err() {
        crate::refuse!("seed: found {}, expected at most {}", experiment.seed, i64::MAX);
    }
    toml::to_string(experiment)
        .map_err(|error| one_line(&format!("the experiment cannot be written as TOML: {error}; change that value")))
}

#[cfg(test)]
pub(crate) mod tests;
