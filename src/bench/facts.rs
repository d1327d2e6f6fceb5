//! What a measurement depends on beside its cell: device, driver, versions.

use crate::libtorch::context;
use serde::{Deserialize, Serialize};
use tch::Device;

/// Tells what version of NVIDIA's driver runs.
const DRIVER: &str = "/proc/driver/nvidia/version";

/// Device, driver and versions of a measurement; they stand in every record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The GPU's name, or `cpu`.
    pub device: String,
    /// The model of the CPU, where the system tells.
    pub processor: Option<String>,
    /// The version of NVIDIA's driver, where there is one.
    pub driver: Option<String>,
    /// The version of libtorch.
    pub libtorch: String,
    /// The version of CUDA that libtorch was built for, where it was.
    pub cuda: Option<String>,
    /// Threads of one operation on the CPU.
    pub threads: u64,
    /// The version of synth.
    pub synth: String,
    /// The commit that synth was built from, where that is known.
    pub commit: Option<String>,
}

impl Facts {
    /// The facts of this process for measurements on `device`.
    pub fn of(device: Device, commit: Option<&str>) -> Self {
        Self {
            device: match device {
                Device::Cuda(_) => crate::device::name(device).unwrap_or_else(|| "cuda".into()),
                _ => "cpu".into(),
            },
            processor: crate::device::name(Device::Cpu),
            driver: driver(),
            libtorch: context::loaded_version(),
            cuda: context::cuda_version(),
            threads: tch::get_num_threads() as u64,
            synth: env!("CARGO_PKG_VERSION").into(),
            commit: commit.map(str::to_string),
        }
    }
}

/// The version of NVIDIA's driver.
fn driver() -> Option<String> {
    version_in(&std::fs::read_to_string(DRIVER).ok()?)
}

/// The first word of the first line that is digits and dots, with both.
fn version_in(text: &str) -> Option<String> {
    let is_version = |word: &&str| {
        word.contains('.') && word.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    text.lines().next()?.split_whitespace().find(is_version).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_drivers_tell_their_version() {
        let closed =
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC 12.2.0";
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86  Release Build  (dvs)\n";
        assert_eq!(version_in(closed).as_deref(), Some("550.54.15"));
        assert_eq!(version_in(open).as_deref(), Some("570.86"));
        assert_eq!(version_in("NVRM version: none\nGCC 12.2.0"), None);
        assert_eq!(version_in(""), None);
    }
}
