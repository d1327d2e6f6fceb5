//! What a measurement depends on beside its cell: device, driver, versions.

use crate::libtorch::context;
use serde::{Deserialize, Serialize};
use tch::Device;

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
            driver: crate::device::driver_version(),
            libtorch: context::loaded_version(),
            cuda: context::cuda_version(),
            threads: tch::get_num_threads() as u64,
            synth: env!("CARGO_PKG_VERSION").into(),
            commit: commit.map(str::to_string),
        }
    }
}
