//! Which device a command computes on.

use crate::cli::DeviceChoice;
use crate::libtorch::context;
use crate::refuse;
use anyhow::Result;
use tch::{Cuda, Device};

/// The device of a choice.
///
/// # Errors
/// Refuses a GPU that is not there, and says why.
pub fn resolve(choice: DeviceChoice) -> Result<Device> {
    let device = find(choice)?;
    // From the first tensor on: what is recorded later must not follow work on another stream.
    #[cfg(cuda_graphs)]
    crate::libtorch::cuda_graph::own_stream(device)?;
    Ok(device)
}

fn find(choice: DeviceChoice) -> Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(Device::cuda_if_available()),
        DeviceChoice::Cuda(_) if !context::built_with_cuda() => {
            refuse!("--device {choice}: this build has no CUDA; build with `make build CUDA=1`, or take --device cpu")
        }
        DeviceChoice::Cuda(_) if !Cuda::is_available() => {
            refuse!("--device {choice}: no CUDA device found; `synth doctor` says more, or take --device cpu")
        }
        DeviceChoice::Cuda(number) => {
            let found = Cuda::device_count();
            if number as i64 >= found {
                refuse!("--device {choice}: there are {found} CUDA devices, numbered from 0");
            }
            Ok(Device::Cuda(number))
        }
    }
}

/// The version of the NVIDIA driver, where there is one.
pub fn driver_version() -> Option<String> {
    version_in(&std::fs::read_to_string("/proc/driver/nvidia/version").ok()?)
}

/// The first word of the first line that is digits and dots, with both.
fn version_in(text: &str) -> Option<String> {
    let is_version = |word: &&str| {
        word.contains('.') && word.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    text.lines().next()?.split_whitespace().find(is_version).map(str::to_string)
}

/// `cpu` or `cuda:N`.
pub fn label(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        _ => "cpu".into(),
    }
}

/// The name of the GPU, or the model of the CPU where the system tells.
pub fn name(device: Device) -> Option<String> {
    match device {
        Device::Cuda(number) => context::cuda_device(number).map(|(name, _)| name),
        _ => {
            let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_string())
        }
    }
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
