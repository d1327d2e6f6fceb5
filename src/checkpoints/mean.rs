//! Weights out of one file, or the mean of several; all of a model, or what of it fits.

use super::tensors::{Held, NamedTensors, read_into};
use crate::runs::init_from::{OtherShape, Taken};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Fills the tensors of `into` with the mean over files, each of which holds exactly these names, shapes and kinds. Of
/// several it is summed in float64 and rounded once. Nothing is changed unless all of it fits.
///
/// # Errors
/// Those of [`read_into`].
pub fn read_mean_into(paths: &[PathBuf], into: &[(String, Tensor)]) -> Result<()> {
    if let [path] = paths {
        return read_into(path, into);
    }
    let mut sums = NamedTensors::new();
    for path in paths {
        let file = Held::read(path)?;
        file.check(into)?;
        add(&file, path, &into.iter().map(|(name, _)| name).collect::<Vec<_>>(), &mut sums)?;
    }
    copy(sums, paths.len(), into)
}

/// Fills those tensors of `into` whose names and shapes are those of the first of `paths` with the mean over all of them,
/// likewise. Kinds of floating-point numbers may differ.
///
/// # Errors
/// A file that is damaged, or lacks what the first has.
pub fn read_matching(paths: &[PathBuf], into: &[(String, Tensor)]) -> Result<Taken> {
    let first = paths.first().context("there is no checkpoint to start from")?;
    let taken = compare(&Held::read(first)?, into);
    let mut sums = NamedTensors::new();
    for path in paths {
        add(&Held::read(path)?, path, &taken.loaded.iter().collect::<Vec<_>>(), &mut sums)?;
    }
    let matching: NamedTensors = into
        .iter()
        .filter(|(name, _)| taken.loaded.contains(name))
        .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
        .collect();
    copy(sums, paths.len(), &matching)?;
    Ok(taken)
}

/// What of `into` the file has, and what it has besides.
fn compare(file: &Held, into: &[(String, Tensor)]) -> Taken {
    let mut taken = Taken::default();
    for (name, tensor) in into {
        match file.shape(name) {
            None => taken.missing.push(name.clone()),
            Some(found) if found == tensor.size() => taken.loaded.push(name.clone()),
            Some(found) => {
                taken.shapes.insert(name.clone(), OtherShape { found, expected: tensor.size() });
            }
        }
    }
    let wanted = |name: &String| into.iter().any(|(wanted, _)| wanted == name);
    taken.left_over = file.names().into_iter().filter(|name| !wanted(name)).collect();
    taken
}

/// Adds tensors of a file, in float64; the first one's begin the sums.
fn add(file: &Held, path: &Path, names: &[&String], sums: &mut NamedTensors) -> Result<()> {
    for (i, name) in names.iter().enumerate() {
        let tensor = file.tensor(name).with_context(|| format!("cannot use {}", path.display()))?.to_kind(Kind::Double);
        match sums.get_mut(i) {
            Some((_, sum)) => *sum = sum.f_add(&tensor).with_context(|| format!("{}: {name}", path.display()))?,
            None => sums.push(((*name).clone(), tensor)),
        }
    }
    Ok(())
}

/// Copies the sums over their number into tensors of the same names and order.
fn copy(sums: NamedTensors, count: usize, into: &[(String, Tensor)]) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    for ((_, sum), (_, tensor)) in sums.iter().zip(into) {
        tensor.shallow_clone().f_copy_(&(sum / count as f64))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoints::tensors::write;
    use serde_json::json;
    use tch::Device;

    fn named(list: &[(&str, Tensor)]) -> NamedTensors {
        list.iter().map(|(name, tensor)| (name.to_string(), tensor.shallow_clone())).collect()
    }

    fn save(folder: &Path, name: &str, list: &[(&str, Tensor)]) -> PathBuf {
        write(&folder.join(name), &named(list), &json!({})).unwrap();
        folder.join(name)
    }

    fn zeros(shape: &[i64], kind: Kind) -> Tensor {
        Tensor::zeros(shape, (kind, Device::Cpu))
    }

    #[test]
    fn a_mean_is_rounded_once() {
        let folder = tempfile::tempdir().unwrap();
        // In float32 the sum of these would lose the small ones.
        let values = [[1e8f32, 0.1], [3.0, 0.2], [-1e8, 0.4]];
        let paths: Vec<PathBuf> = values
            .iter()
            .zip(["a", "b", "c"])
            .map(|(values, name)| save(folder.path(), name, &[("w", Tensor::from_slice(values))]))
            .collect();
        let w = zeros(&[2], Kind::Float);
        read_mean_into(&paths, &named(&[("w", w.shallow_clone())])).unwrap();
        let mean = |i: usize| (values.iter().map(|values| f64::from(values[i])).sum::<f64>() / 3.0) as f32;
        assert_eq!(Vec::<f32>::try_from(&w).unwrap(), [mean(0), mean(1)]);
        read_mean_into(&paths[1..2], &named(&[("w", w.shallow_clone())])).unwrap();
        assert_eq!(Vec::<f32>::try_from(&w).unwrap(), values[1]);
    }

    #[test]
    fn files_of_a_mean_all_have_to_fit() {
        let folder = tempfile::tempdir().unwrap();
        let one = save(folder.path(), "one", &[("w", Tensor::ones([2], (Kind::Float, Device::Cpu)))]);
        let other = save(folder.path(), "other", &[("w", zeros(&[3], Kind::Float))]);
        let w = zeros(&[2], Kind::Float);
        let error = read_mean_into(&[one, other], &named(&[("w", w.shallow_clone())])).unwrap_err();
        assert!(
            format!("{error:#}").contains("other does not fit this model: w has shape [3], expected [2]"),
            "{error:#}"
        );
        assert_eq!(w.sum(Kind::Float).double_value(&[]), 0.0);
    }

    #[test]
    fn what_fits_is_taken_and_the_rest_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let held = |value: f64| {
            let full = |shape: &[i64]| Tensor::full(shape, value, (Kind::Float, Device::Cpu));
            [("same", full(&[2, 3])), ("wide", full(&[4])), ("gone", full(&[1]))]
        };
        let paths = [1.0, 2.0].map(|value| save(folder.path(), &value.to_string(), &held(value)));
        let into = named(&[
            ("new", zeros(&[1], Kind::Double)),
            ("wide", zeros(&[5], Kind::Double)),
            ("same", zeros(&[2, 3], Kind::Double)),
        ]);
        let taken = read_matching(&paths, &into).unwrap();
        assert_eq!(
            (taken.loaded, taken.missing, taken.left_over),
            (vec!["same".into()], vec!["new".into()], vec!["gone".into()])
        );
        assert_eq!(taken.shapes["wide"], OtherShape { found: vec![4], expected: vec![5] });
        let sums: Vec<f64> = into.iter().map(|(_, tensor)| tensor.sum(Kind::Double).double_value(&[])).collect();
        assert_eq!(sums, [0.0, 0.0, 9.0]);
    }
}
