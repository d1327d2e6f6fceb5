//! Memory of this process, this machine and its GPUs.

use crate::libtorch::memory::cuda_memory;
use tch::Device;

const MIB: f64 = 1024.0 * 1024.0;

/// The most memory used so far, in MiB: in tensors on a GPU, by the whole process on the CPU. `None` where
/// the system does not tell.
pub fn peak_memory_mib(device: Device) -> Option<f64> {
    match device {
        Device::Cuda(index) => Some(cuda_memory(index).ok()?.peak_allocated as f64 / MIB),
        _ => Some(proc_kib("/proc/self/status", "VmHWM:")? as f64 / 1024.0),
    }
}

/// Bytes that a new model could take: free on a GPU, available on the machine for the CPU.
pub fn available_bytes(device: Device) -> Option<u64> {
    match device {
        Device::Cuda(index) => u64::try_from(cuda_memory(index).ok()?.free).ok(),
        _ => Some(proc_kib("/proc/meminfo", "MemAvailable:")? * 1024),
    }
}

/// Bytes of the machine's memory.
pub fn machine_bytes() -> Option<u64> {
    Some(proc_kib("/proc/meminfo", "MemTotal:")? * 1024)
}

fn proc_kib(file: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_some_of_this_machine() {
        let peak = peak_memory_mib(Device::Cpu).unwrap();
        let machine = machine_bytes().unwrap() as f64 / MIB;
        assert!(peak > 1.0 && peak < machine, "{peak} of {machine} MiB");
    }
}
