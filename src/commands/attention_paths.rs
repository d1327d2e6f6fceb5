//! The path that each kind of attention takes on a device, asked of real layers.

use crate::attention::options::AttentionOptions;
use crate::attention::{Dimensions, Kind, Mask, Pass, Path, SynthesizedAttention, TokenMixer};
use crate::kernels::dropout::DropoutKey;
use crate::parameters::Parameters;
use crate::train::options::Precision;
use anyhow::Result;
use serde::Serialize;
use tch::Device;

/// The mixtures of the Synthesizer paper's tables.
pub(super) const MIXTURES: [&str; 4] = ["random+dense", "dense+vanilla", "random+vanilla", "factorized-random+vanilla"];
const PRECISIONS: [Precision; 3] = [Precision::Fp32, Precision::Bf16, Precision::Fp64];
/// Heads of 64, as those of most models; short, for speed: stock kernels ask for widths, not for lengths.
const DIMENSIONS: Dimensions = Dimensions { d_model: 128, heads: 2, head_width: 64, max_length: 128 };
const BATCH: i64 = 2;

/// The path of one kind in one precision.
#[derive(Debug, Serialize)]
pub struct PathFound {
    kind: String,
    precision: &'static str,
    dropout: bool,
    path: Path,
}

/// The paths in training under a causal mask, with dropout and without.
///
/// # Errors
/// What libtorch reports of the device.
pub fn of(device: Device) -> Result<Vec<PathFound>> {
    let mut found = Vec::new();
    for kind in Kind::pure().chain(MIXTURES.iter().filter_map(|name| name.parse().ok())) {
        for precision in PRECISIONS {
            for dropout in [false, true] {
                let path = path(kind, precision, dropout, device)?;
                found.push(PathFound { kind: kind.to_string(), precision: precision.name(), dropout, path });
            }
        }
    }
    Ok(found)
}

fn path(kind: Kind, precision: Precision, dropout: bool, device: Device) -> Result<Path> {
    let mut parameters = Parameters::new(1, device, precision.stored());
    let (options, probability) = (AttentionOptions::default(), if dropout { 0.1 } else { 0.0 });
    let layer = SynthesizedAttention::new(parameters.root(), kind, &options, DIMENSIONS, probability, 1);
    let key = DropoutKey::start(1, 0, 0, device);
    let pass = Pass { dropout: Some(&key), ..Pass::evaluation(precision.compute()) };
    layer.path(BATCH, DIMENSIONS.max_length, &Mask::causal(), pass)
}

/// A line per kind: `vanilla  fp32 fused (with dropout blockwise), bf16 …`.
pub fn lines(found: &[PathFound]) -> Vec<String> {
    let of_kind = |paths: &[PathFound]| {
        let texts = PRECISIONS.map(|precision| {
            let path = |dropout| {
                paths
                    .iter()
                    .find(|found| found.precision == precision.name() && found.dropout == dropout)
                    .map_or("unknown", |found| found.path.name())
            };
            let (without, with) = (path(false), path(true));
            let name = precision.name();
            if without == with { format!("{name} {with}") } else { format!("{name} {without} (with dropout {with})") }
        });
        format!("attention {:<26} {}", paths[0].kind, texts.join(", "))
    };
    found.chunk_by(|one, next| one.kind == next.kind).map(of_kind).collect()
}
