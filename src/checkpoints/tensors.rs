//! Tensors in safetensors files: written with their names in order, read with every name, shape and kind
//! compared before anything is changed.

use crate::runs::regular;
use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// Tensors by name.
pub type NamedTensors = Vec<(String, Tensor)>;

/// The one key of the files' metadata: a JSON object. One key, so that equal contents give equal bytes.
const METADATA_KEY: &str = "synth";

/// Writes `tensors` and `metadata` to a new file and waits until the disk has them.
///
/// # Errors
/// What the file system reports, a full disk first of all; a kind that the format lacks.
pub fn write(path: &Path, tensors: &[(String, Tensor)], metadata: &serde_json::Value) -> Result<()> {
    let views = tensors.iter().map(|(name, tensor)| Ok((name, TensorOnDevice::new(tensor)?)));
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([(METADATA_KEY.to_string(), metadata.to_string())]);
    let cannot = || format!("cannot write {}", path.display());
    safetensors::serialize_to_file(views, Some(metadata), path).with_context(cannot)?;
    // The library makes files for their owner only; results are as readable as the folder they lie in.
    let folder = path.parent().unwrap_or(Path::new("."));
    let mode = fs::metadata(folder).with_context(cannot)?.permissions().mode() & 0o666;
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(cannot)?;
    File::open(path).and_then(|file| file.sync_all()).with_context(cannot)
}

/// A tensor whose bytes are fetched when they are written, one tensor at a time.
struct TensorOnDevice<'a> {
    tensor: &'a Tensor,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl<'a> TensorOnDevice<'a> {
    fn new(tensor: &'a Tensor) -> Result<Self> {
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        Ok(Self { tensor, dtype: dtype(tensor.kind())?, shape })
    }
}

impl View for TensorOnDevice<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let tensor = self.tensor.detach().to_device(Device::Cpu).contiguous();
        let mut bytes = vec![0; self.data_len()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.tensor.kind().elt_size_in_bytes()
    }
}

/// Fills the tensors of `into` from a file that holds exactly these names, shapes and kinds. Nothing is
/// changed unless all of it fits.
///
/// # Errors
/// One line that names the file and the first thing that does not fit.
pub fn read_into(path: &Path, into: &[(String, Tensor)]) -> Result<()> {
    let held = Held::read(path)?;
    held.check(into)?;
    let loaded = into.iter().map(|(name, _)| held.tensor(name)).collect::<Result<Vec<_>>>()?;
    let _no_grad = tch::no_grad_guard();
    for ((_, tensor), values) in into.iter().zip(&loaded) {
        tensor.shallow_clone().f_copy_(values)?;
    }
    Ok(())
}

/// A file of tensors, read and whole.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    bytes: Vec<u8>,
    metadata: Metadata,
    /// Where in the bytes the numbers begin.
    begin: usize,
}

impl Held {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// One line that names a file that is not there or damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = regular::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let (header, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| anyhow::anyhow!("{} is damaged or no safetensors file: {error}", path.display()))?;
        // Behind the header's length, 8 bytes, and the header.
        Ok(Self { path: path.to_owned(), bytes, metadata, begin: 8 + header })
    }

    /// Refuses a file that does not hold exactly the names, shapes and kinds of `wanted`.
    ///
    /// # Errors
    /// One line that names the file and the first thing that does not fit.
    pub fn check(&self, wanted: &[(String, Tensor)]) -> Result<()> {
        let fits = check_names(&self.names(), wanted)
            .and_then(|()| wanted.iter().try_for_each(|(name, tensor)| compare(name, self.info(name)?, tensor)));
        fits.with_context(|| format!("{} does not fit this model", self.path.display()))
    }

    /// The names of its tensors, in the file's order.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// The shape of a tensor, where there is one of that name.
    pub fn shape(&self, name: &str) -> Option<Vec<i64>> {
        self.metadata.info(name).map(shape)
    }

    /// A tensor on the CPU.
    ///
    /// # Errors
    /// A name that the file lacks; a kind that is not stored.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let info = self.info(name)?;
        let (begin, end) = info.data_offsets;
        let data = &self.bytes[self.begin + begin..self.begin + end];
        Ok(Tensor::f_from_data_size(data, &shape(info), kind(info.dtype)?)?)
    }

    fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.metadata.info(name).with_context(|| format!("{} lacks {name}", self.path.display()))
    }
}

fn shape(info: &TensorInfo) -> Vec<i64> {
    info.shape.iter().map(|&n| n as i64).collect()
}

fn check_names(held: &[String], wanted: &[(String, Tensor)]) -> Result<()> {
    let held: BTreeSet<&str> = held.iter().map(String::as_str).collect();
    let wanted: BTreeSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(name) = wanted.difference(&held).next() {
        bail!("it lacks the tensor {name} (and {} more)", wanted.difference(&held).count() - 1);
    }
    if let Some(name) = held.difference(&wanted).next() {
        bail!("it holds an unknown tensor {name} (and {} more)", held.difference(&wanted).count() - 1);
    }
    Ok(())
}

fn compare(name: &str, held: &TensorInfo, wanted: &Tensor) -> Result<()> {
    ensure!(shape(held) == wanted.size(), "{name} has shape {:?}, expected {:?}", held.shape, wanted.size());
    let kind = dtype(wanted.kind())?;
    ensure!(held.dtype == kind, "{name} is {:?}, expected {kind:?}", held.dtype);
    Ok(())
}

fn dtype(kind: Kind) -> Result<Dtype> {
    Ok(match kind {
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Int64 => Dtype::I64,
        other => bail!("tensors of kind {other:?} are not stored"),
    })
}

/// The kind that [`dtype`] stores so.
fn kind(dtype: Dtype) -> Result<Kind> {
    Ok(match dtype {
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::I64 => Kind::Int64,
        other => bail!("tensors of kind {other:?} are not read"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(list: &[(&str, Tensor)]) -> NamedTensors {
        list.iter().map(|(name, tensor)| (name.to_string(), tensor.shallow_clone())).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let weight = Tensor::from_slice(&[1f32, -0.0, f32::MIN_POSITIVE, 4.0]).view([2, 2]);
        let step = Tensor::from(7f64);
        write(&path, &named(&[("weight", weight.tr()), ("step", step.copy())]), &json!({"step": 7})).unwrap();
        let (into, count) = (Tensor::zeros([2, 2], (Kind::Float, Device::Cpu)), Tensor::from(0f64));
        read_into(&path, &named(&[("step", count.shallow_clone()), ("weight", into.shallow_clone())])).unwrap();
        assert_eq!(into, weight.tr());
        assert_eq!(count, step);
    }

    #[test]
    fn what_does_not_fit_changes_nothing_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let ones = |shape: &[i64], kind| Tensor::ones(shape, (kind, Device::Cpu));
        write(&path, &named(&[("a", ones(&[2], Kind::Float)), ("b", ones(&[3], Kind::Float))]), &json!({})).unwrap();
        let a = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        let cases = [
            (named(&[("a", a.shallow_clone())]), "unknown tensor b"),
            (named(&[("a", a.shallow_clone()), ("b", a.copy()), ("c", a.copy())]), "lacks the tensor c"),
            (named(&[("a", a.shallow_clone()), ("b", ones(&[1], Kind::Float))]), "b has shape [3], expected [1]"),
            (named(&[("a", a.shallow_clone()), ("b", ones(&[3], Kind::Double))]), "b is F32, expected F64"),
        ];
        for (into, expected) in cases {
            let error = format!("{:#}", read_into(&path, &into).unwrap_err());
            assert!(error.contains(expected), "{error}");
            assert_eq!(a.sum(Kind::Float).double_value(&[]), 0.0);
        }
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let error = read_into(&path, &named(&[("a", a.shallow_clone())])).unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error}");
    }

    #[test]
    fn equal_contents_give_equal_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = |name: &str| {
            let path = folder.path().join(name);
            let list = named(&[("x", Tensor::from(1f32)), ("y", Tensor::from(2f32))]);
            write(&path, &list, &json!({"format": 1, "step": 2})).unwrap();
            std::fs::read(path).unwrap()
        };
        assert_eq!(bytes("one"), bytes("two"));
    }
}
