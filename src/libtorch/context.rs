//! libtorch's version, devices and global switches.

use super::check;
use libc::{c_char, c_int};
use serde::{Deserialize, Serialize};
use std::ffi::CStr;
use tch::TchError;

unsafe extern "C" {
    fn synth_torch_version() -> *const c_char;
    fn synth_cuda_version(version: *mut i64) -> *mut c_char;
    fn synth_cudnn_version(version: *mut i64) -> *mut c_char;
    fn synth_sdp_backends(bits: c_int) -> *mut c_char;
    fn synth_deterministic(on: bool) -> *mut c_char;
    fn synth_is_deterministic() -> bool;
}
#[cfg(cuda_graphs)]
unsafe extern "C" {
    fn synth_cuda_device(index: c_int, name: *mut c_char, size: c_int, capability: *mut c_int) -> *mut c_char;
}

/// The libtorch version that this build expects.
pub const EXPECTED_VERSION: &str = env!("SYNTH_LIBTORCH_EXPECTED");

/// The version of the libtorch headers that the shim was compiled with.
pub fn torch_version() -> String {
    // SAFETY: a string constant.
    unsafe { CStr::from_ptr(synth_torch_version()) }.to_string_lossy().into_owned()
}

/// The version of the libtorch that this process runs on: what stands beside the loaded library, else the one
/// that the shim was compiled with.
pub fn loaded_version() -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let library = maps
        .lines()
        .find(|line| line.ends_with("/libtorch_cpu.so"))
        .and_then(|line| line.find('/').map(|at| &line[at..]));
    let root = library.and_then(|path| std::path::Path::new(path).parent()?.parent());
    let beside = |file: &str| root.and_then(|root| std::fs::read_to_string(root.join(file)).ok());
    let python = beside("version.py").and_then(|text| {
        text.lines()
            .find_map(|line| line.strip_prefix("__version__ = ").map(|version| version.trim_matches('\'').to_string()))
    });
    let version = beside("build-version").or(python).unwrap_or_else(torch_version);
    version.trim().split('+').next().unwrap_or_default().to_string()
}

/// The CUDA runtime of this libtorch, such as "13.0"; `None` in the CPU flavour.
pub fn cuda_version() -> Option<String> {
    let mut version = 0;
    // SAFETY: `version` outlives the call.
    check(unsafe { synth_cuda_version(&mut version) }).ok()?;
    (version > 0).then(|| format!("{}.{}", version / 1000, version % 1000 / 10))
}

/// The number of the cuDNN that is loaded, such as 91900; `None` in the CPU flavour.
pub fn cudnn_version() -> Option<i64> {
    let mut version = 0;
    // SAFETY: `version` outlives the call.
    check(unsafe { synth_cudnn_version(&mut version) }).ok()?;
    Some(version)
}

/// Whether this build holds CUDA's kernels, with or without a device to run them.
pub fn built_with_cuda() -> bool {
    cuda_version().is_some()
}

/// Name and compute capability (10 · major + minor) of a CUDA device, where the build can tell.
pub fn cuda_device(index: usize) -> Option<(String, i32)> {
    #[cfg(cuda_graphs)]
    {
        let mut name = [0 as c_char; 256];
        let mut capability = 0;
        // SAFETY: the shim writes at most 256 bytes, zero-terminated.
        check(unsafe { synth_cuda_device(index as c_int, name.as_mut_ptr(), 256, &mut capability) }).ok()?;
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        Some((name, capability))
    }
    #[cfg(not(cuda_graphs))]
    {
        let _ = index;
        None
    }
}

/// The kernels behind scaled_dot_product_attention that libtorch may choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SdpBackends {
    /// FlashAttention.
    pub flash: bool,
    /// Memory-efficient attention.
    pub efficient: bool,
    /// The path that materialises the weights.
    pub math: bool,
    /// cuDNN's attention.
    pub cudnn: bool,
}

impl SdpBackends {
    /// Those whose backward passes give the same bytes each time.
    pub const DETERMINISTIC: SdpBackends = SdpBackends { flash: true, efficient: true, math: true, cudnn: false };
}

/// Sets which kernels scaled_dot_product_attention may choose from, for the whole process.
///
/// # Errors
/// What libtorch reports.
fn set_sdp_backends(backends: SdpBackends) -> Result<(), TchError> {
    let bit = |on: bool, bit: c_int| if on { bit } else { 0 };
    let bits = bit(backends.flash, 1) | bit(backends.efficient, 2) | bit(backends.math, 4) | bit(backends.cudnn, 8);
    // SAFETY: takes a number only.
    check(unsafe { synth_sdp_backends(bits) })
}

/// What libtorch and cuBLAS choose their algorithms by, besides shapes, device and versions. The same of these give the
/// same choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Algorithms {
    /// Kernels of the attention's fused path.
    pub attention: SdpBackends,
    /// cuBLAS's workspace, as its variable `CUBLAS_WORKSPACE_CONFIG` writes it.
    pub cublas_workspace: String,
}

const CUBLAS_WORKSPACE: &str = "CUBLAS_WORKSPACE_CONFIG";

impl Algorithms {
    /// Those of this process: what the environment says, or else what gives the same bytes each time.
    pub fn of_this_process() -> Self {
        let cublas_workspace = std::env::var(CUBLAS_WORKSPACE).unwrap_or_else(|_| ":4096:8".into());
        Self { attention: SdpBackends::DETERMINISTIC, cublas_workspace }
    }

    /// Refuses operations without a deterministic algorithm, and takes these choices, for the whole process. To be
    /// called before the first product on a GPU.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn fix(&self) -> Result<(), TchError> {
        // SAFETY: called while one thread sets a training up; no other reads or writes the environment then.
        // cuBLAS reads it when its first handle is made, and gives the same bits only with some settings.
        unsafe { std::env::set_var(CUBLAS_WORKSPACE, &self.cublas_workspace) };
        set_sdp_backends(self.attention)?;
        // SAFETY: takes a flag only.
        check(unsafe { synth_deterministic(true) })
    }
}

/// Whether operations without a deterministic algorithm are refused: see [`Algorithms::fix`].
pub fn is_deterministic() -> bool {
    // SAFETY: reads a flag.
    unsafe { synth_is_deterministic() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_the_expected_version() {
        assert_eq!(torch_version(), EXPECTED_VERSION);
        assert_eq!(loaded_version(), EXPECTED_VERSION);
    }
}
