//! One attention case: a layer's parameters and inputs, and what an independent float64 program made of them.
//!
//! A folder of cases has `index.json`, a list of rows, and `<name>.safetensors` for each; `tests/golden/attention.py`
//! tells the format and writes such a folder.

use anyhow::{Context, Result, ensure};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};
use synth::attention::options::AttentionOptions;
use synth::attention::{Dimensions, Kind, Mask, Part, Pass, Path, SynthesizedAttention};
use synth::parameters::Parameters;
use tch::{Device, Kind as NumberKind, Tensor};

/// A case, not computed yet.
pub struct Case {
    row: Map<String, Value>,
    file: PathBuf,
}

/// Arrays by name: `output` and `gradient.<name>`.
pub type Arrays = BTreeMap<String, Tensor>;

/// The cases of a folder, in the order of its index.
///
/// # Errors
/// An index that cannot be read.
pub fn read(folder: &FilePath) -> Result<Vec<Case>> {
    let index = folder.join("index.json");
    let text = std::fs::read_to_string(&index).with_context(|| format!("cannot read {}", index.display()))?;
    let rows: Vec<Map<String, Value>> = serde_json::from_str(&text).with_context(|| index.display().to_string())?;
    let case = |row: Map<String, Value>| {
        let name = row.get("name").and_then(Value::as_str).context("a row of index.json has no name")?;
        Ok(Case { file: folder.join(format!("{name}.safetensors")), row })
    };
    rows.into_iter().map(case).collect()
}

impl Case {
    /// Its name.
    pub fn name(&self) -> &str {
        self.row["name"].as_str().unwrap_or_default()
    }

    /// Output and gradients of our layer, by the cheapest path or a given one, computed in `number`; `None` where the
    /// path does not compute this case.
    ///
    /// # Errors
    /// A case that is damaged, or that our layer refuses.
    pub fn run(&self, path: Option<Path>, number: NumberKind, device: Device) -> Result<Option<Arrays>> {
        let arrays = self.arrays()?;
        let array = |name: &str| {
            arrays.get(name).map(|array| {
                let kind = if array.kind() == NumberKind::Int64 { NumberKind::Int64 } else { number };
                array.to_kind(kind).to_device(device)
            })
        };
        let kind: Kind = self.field("kind")?.parse()?;
        let mut parameters = Parameters::new(1, device, number);
        let (options, dimensions) = (self.options(arrays.contains_key("parameter.value.bias"))?, self.dimensions()?);
        let layer = SynthesizedAttention::new(parameters.root(), kind, &options, dimensions, 0.0, 1);
        let rows = Tensor::from_slice(&self.mixture_rows(kind)).to_device(device);
        for parameter in parameters.iter() {
            let name = format!("parameter.{}", parameter.name);
            let values = array(&name).with_context(|| format!("{} has no {name}", self.file.display()))?;
            let values = if parameter.name == "mixture" { values.index_select(0, &rows) } else { values };
            let frozen = self.frozen().contains(&parameter.name.as_str());
            ensure!(parameter.tensor.requires_grad() != frozen, "{}: frozen or not?", parameter.name);
            tch::no_grad(|| parameter.tensor.shallow_clone().copy_(&values));
        }
        let leaf = |name: &str| array(name).map(|array| array.set_requires_grad(true));
        let x = leaf("x").context("a case has an input x")?;
        let (memory, bias) = (leaf("memory"), leaf("bias"));
        let mask = Mask { causal: self.row["causal"] == true, key_lengths: array("key_lengths") };
        let inputs = (&x, memory.as_ref().unwrap_or(&x));
        let pass = Pass::evaluation(number);
        let output = match path {
            None => Some(layer.attend_to(inputs.0, inputs.1, bias.as_ref(), &mask, pass)?),
            Some(path) => layer.attend_to_by(path, inputs, bias.as_ref(), &mask, pass)?,
        };
        let Some(output) = output else { return Ok(None) };
        (&output * array("upstream").context("a case has an upstream gradient")?).sum(number).backward();
        let mut found = Arrays::from([("output".to_owned(), output.detach())]);
        let leaves = [("x", Some(x)), ("memory", memory), ("bias", bias)];
        for (name, leaf) in leaves.into_iter().filter_map(|(name, leaf)| Some((name, leaf?))) {
            found.insert(format!("gradient.{name}"), gradient(&leaf));
        }
        for parameter in parameters.trainable() {
            let gradient = gradient(&parameter.tensor);
            let gradient = if parameter.name == "mixture" {
                gradient.zeros_like().index_copy(0, &rows, &gradient)
            } else {
                gradient
            };
            found.insert(format!("gradient.{}", parameter.name), gradient);
        }
        Ok(Some(found))
    }

    /// The parameters that are not trained.
    pub fn frozen(&self) -> Vec<&str> {
        self.row["frozen"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn field(&self, name: &str) -> Result<&str> {
        self.row.get(name).and_then(Value::as_str).with_context(|| format!("{} has no {name}", self.name()))
    }

    fn dimensions(&self) -> Result<Dimensions> {
        let number = |name: &str| {
            self.row.get(name).and_then(Value::as_i64).with_context(|| format!("{} has no {name}", self.name()))
        };
        Ok(Dimensions {
            d_model: number("d_model")?,
            heads: number("heads")?,
            head_width: number("head_width")?,
            max_length: number("max_length")?,
        })
    }

    /// Dotted keys under `[attention]`.
    fn options(&self, bias: bool) -> Result<AttentionOptions> {
        let mut table = Map::from_iter([("bias".to_owned(), Value::Bool(bias))]);
        for (key, value) in self.row["options"].as_object().into_iter().flatten() {
            match key.split_once('.') {
                Some((part, key)) => {
                    table.entry(part).or_insert_with(|| Value::Object(Map::new()))[key] = value.clone()
                }
                None => {
                    table.insert(key.clone(), value.clone());
                }
            }
        }
        serde_json::from_value(Value::Object(table)).with_context(|| format!("{}: options", self.name()))
    }

    /// For each part in our canonical order the row of `mixture` in a case, which orders them as its kind's name does.
    fn mixture_rows(&self, kind: Kind) -> Vec<i64> {
        let named: Vec<&str> = self.row["kind"].as_str().unwrap_or_default().split('+').collect();
        let row = |part: Part| named.iter().position(|name| *name == part.variant().name);
        kind.parts().filter_map(row).map(|row| row as i64).collect()
    }

    /// Everything in the case's file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn arrays(&self) -> Result<Arrays> {
        let bytes = std::fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        let file = SafeTensors::deserialize(&bytes).with_context(|| self.file.display().to_string())?;
        file.iter().map(|(name, view)| Ok((name.to_owned(), tensor(&view)?))).collect()
    }
}

/// Random scores do not depend on the queries' input: no gradient is one of zero.
fn gradient(leaf: &Tensor) -> Tensor {
    let gradient = leaf.grad();
    if gradient.defined() { gradient } else { leaf.detach().zeros_like() }
}

fn tensor(view: &safetensors::tensor::TensorView<'_>) -> Result<Tensor> {
    let shape: Vec<i64> = view.shape().iter().map(|&length| length as i64).collect();
    let kind = match view.dtype() {
        Dtype::F64 => NumberKind::Double,
        Dtype::F32 => NumberKind::Float,
        Dtype::I64 => NumberKind::Int64,
        other => anyhow::bail!("an array is {other:?}, expected float64 or int64"),
    };
    Ok(Tensor::from_data_size(view.data(), &shape, kind))
}
