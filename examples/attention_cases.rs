//! Runs the attention layer on every case of a folder and writes outputs and gradients, to compare with those of an
//! independent program:
//!
//! ```sh
//! cargo run --release --example attention_cases -- tests/golden/attention /tmp/outputs --dtype f64 --path blockwise
//! ```
//!
//! A case that the path does not compute is named on stderr and left out.

mod attention_case;

use anyhow::{Context, Result, ensure};
use attention_case::Arrays;
use clap::{Parser, ValueEnum};
use safetensors::{Dtype, tensor::TensorView};
use std::io::Write;
use std::path::{Path as FilePath, PathBuf};
use synth::attention::Path;
use tch::{Device, Kind, Tensor};

/// Runs the attention layer on cases and writes outputs and gradients.
#[derive(Parser)]
struct Arguments {
    /// The folder of the cases, with an index.json
    cases: PathBuf,
    /// Where to write NAME.safetensors for each
    outputs: PathBuf,
    /// The kind of numbers
    #[arg(long, default_value = "f64")]
    dtype: NumberChoice,
    /// The path; auto is the one that training takes
    #[arg(long, default_value = "auto")]
    path: PathChoice,
    /// Compute on the first CUDA device
    #[arg(long)]
    cuda: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum NumberChoice {
    F64,
    F32,
}

#[derive(Clone, Copy, ValueEnum)]
enum PathChoice {
    Auto,
    Materialised,
    Fused,
    Blockwise,
    Shared,
}

impl PathChoice {
    fn path(self) -> Option<Path> {
        match self {
            PathChoice::Auto => None,
            PathChoice::Materialised => Some(Path::Materialised),
            PathChoice::Fused => Some(Path::Fused),
            PathChoice::Blockwise => Some(Path::Blockwise),
            PathChoice::Shared => Some(Path::Shared),
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let number = match arguments.dtype {
        NumberChoice::F64 => Kind::Double,
        NumberChoice::F32 => Kind::Float,
    };
    let device = if arguments.cuda { Device::Cuda(0) } else { Device::Cpu };
    let cases = attention_case::read(&arguments.cases)?;
    std::fs::create_dir_all(&arguments.outputs)
        .with_context(|| format!("cannot create {}", arguments.outputs.display()))?;
    let (mut written, mut refused) = (0, 0);
    for case in &cases {
        match case.run(arguments.path.path(), number, device) {
            Ok(Some(found)) => {
                write(&arguments.outputs.join(format!("{}.safetensors", case.name())), &found)?;
                written += 1;
            }
            Ok(None) => writeln!(std::io::stderr(), "left out, the path does not compute it: {}", case.name())?,
            Err(error) => {
                writeln!(std::io::stderr(), "refused: {}: {error:#}", case.name())?;
                refused += 1;
            }
        }
    }
    writeln!(std::io::stdout(), "{written} of {} cases written to {}", cases.len(), arguments.outputs.display())?;
    ensure!(refused == 0, "{refused} cases were refused");
    Ok(())
}

fn write(path: &FilePath, arrays: &Arrays) -> Result<()> {
    let data: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)> =
        arrays.iter().map(|(name, array)| bytes(name, &array.to_device(Device::Cpu))).collect::<Result<_>>()?;
    let views =
        data.iter().map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>>>()?;
    safetensors::serialize_to_file(views, None, path).with_context(|| format!("cannot write {}", path.display()))
}

fn bytes<'a>(name: &'a str, array: &Tensor) -> Result<(&'a str, Dtype, Vec<usize>, Vec<u8>)> {
    let shape = array.size().into_iter().map(|length| length as usize).collect();
    let flat = array.contiguous().view([-1]);
    if array.kind() == Kind::Double {
        let values = Vec::<f64>::try_from(flat)?;
        Ok((name, Dtype::F64, shape, values.into_iter().flat_map(f64::to_le_bytes).collect()))
    } else {
        let values = Vec::<f32>::try_from(flat)?;
        Ok((name, Dtype::F32, shape, values.into_iter().flat_map(f32::to_le_bytes).collect()))
    }
}
