//! `synth doctor`: what was found against what is expected, and what to do about each problem.

use super::output::{print, print_json};
use super::{Build, attention_paths};
use crate::cli::DoctorArguments;
use crate::data::{datasets, rust_sources};
use crate::kernels::multiply::cublaslt;
use crate::kernels::{hopper_multiprocessors, runs_on};
use crate::libtorch::context;
use crate::libtorch::memory::cuda_memory;
use crate::memory::{available_bytes, machine_bytes};
use crate::panics;
use anyhow::Result;
use serde::Serialize;
use tch::{Cuda, Device};

/// What the command found.
#[derive(Debug, Serialize)]
struct Findings {
    synth: String,
    git_commit: Option<String>,
    libtorch: String,
    libtorch_expected: String,
    cuda_runtime: Option<String>,
    devices: Vec<FoundDevice>,
    fused_parts: Vec<Part>,
    data: Vec<String>,
    problems: Vec<String>,
}

/// A device and the paths that attention can take on it.
#[derive(Debug, Serialize)]
struct FoundDevice {
    device: String,
    name: Option<String>,
    compute_capability: Option<String>,
    threads: Option<u64>,
    memory_gib: Option<f64>,
    free_gib: Option<f64>,
    attention: Vec<attention_paths::PathFound>,
}

/// A fused part and whether this build has it.
#[derive(Debug, Serialize)]
struct Part {
    name: &'static str,
    available: bool,
    note: String,
}

/// Prints what this build and this machine can do.
pub fn run(arguments: &DoctorArguments, build: Build) -> Result<()> {
    let findings = Findings {
        synth: env!("CARGO_PKG_VERSION").into(),
        git_commit: build.commit.map(str::to_string),
        libtorch: context::loaded_version(),
        libtorch_expected: context::EXPECTED_VERSION.into(),
        cuda_runtime: context::cuda_version(),
        devices: devices(),
        fused_parts: fused_parts(),
        data: prepared_data(),
        problems: problems(),
    };
    if arguments.json { print_json(&findings) } else { report(&findings) }
}

fn devices() -> Vec<FoundDevice> {
    const GIB: f64 = (1u64 << 30) as f64;
    let mut list = vec![FoundDevice {
        device: "cpu".into(),
        name: crate::device::name(Device::Cpu),
        compute_capability: None,
        threads: Some(tch::get_num_threads() as u64),
        memory_gib: machine_bytes().map(|bytes| bytes as f64 / GIB),
        free_gib: available_bytes(Device::Cpu).map(|bytes| bytes as f64 / GIB),
        attention: paths(Device::Cpu),
    }];
    for index in 0..Cuda::device_count() as usize {
        let memory = cuda_memory(index).ok();
        list.push(FoundDevice {
            device: format!("cuda:{index}"),
            name: crate::device::name(Device::Cuda(index)),
            compute_capability: context::cuda_device(index).map(|(_, c)| format!("{}.{}", c / 10, c % 10)),
            threads: None,
            memory_gib: memory.map(|memory| memory.total as f64 / GIB),
            free_gib: memory.map(|memory| memory.free as f64 / GIB),
            attention: paths(Device::Cuda(index)),
        });
    }
    list
}

/// The paths of attention; none where the device cannot be asked, because its memory is taken, say.
fn paths(device: Device) -> Vec<attention_paths::PathFound> {
    panics::catch(|| attention_paths::of(device)).unwrap_or_else(|error| {
        tracing::warn!("{} was not asked for its paths: {}", crate::device::label(device), panics::one_line(&error));
        Vec::new()
    })
}

fn fused_parts() -> Vec<Part> {
    let part = |name, available, note: &str| Part { name, available, note: note.to_string() };
    let graphs = if cfg!(cuda_graphs) { "" } else { "this build has no CUDA: `make build CUDA=1`" };
    let (products, kernels, hopper) = (products(), kernels(), hopper_kernels());
    vec![
        part("fused AdamW, norms over lists", true, ""),
        part("backward passes in Rust", true, ""),
        part("CUDA graphs", cfg!(cuda_graphs), graphs),
        part("own CUDA kernels", kernels.is_ok(), &kernels.err().unwrap_or_default()),
        part("own feed-forward products", hopper.is_ok(), &hopper.err().unwrap_or_default()),
        part("cuBLASLt's timed products", products.is_ok(), &products.unwrap_or_else(|why| why)),
    ]
}

/// Whether kernels run on the first GPU.
fn kernels() -> Result<(), String> {
    if Cuda::device_count() == 0 { Err("there is no NVIDIA GPU".to_string()) } else { runs_on(Device::Cuda(0)) }
}

/// Whether those that need a Hopper card do, too.
fn hopper_kernels() -> Result<(), String> {
    kernels()?;
    let why = "they need a Hopper card (sm_90); libraries' products and kernels around them run instead";
    hopper_multiprocessors(0).map(drop).ok_or_else(|| why.to_string())
}

/// cuBLASLt's version where bfloat16's products go there directly, or why they do not.
fn products() -> Result<String, String> {
    let devices = Cuda::device_count() as usize;
    let first = if devices == 0 { Err("there is no NVIDIA GPU".to_string()) } else { cublaslt(0) };
    first.map(|version| format!("version {version}"))
}

fn prepared_data() -> Vec<String> {
    let root = datasets::root();
    let prepared = datasets::prepared(&root).unwrap_or_default();
    let line = |(name, set): &(String, Result<datasets::Prepared>)| match set {
        Ok(set) => format!("{name}: prepared in {}", set.folder().display()),
        Err(_) => format!("{name}: damaged in {}", root.join(name).display()),
    };
    let mut lines: Vec<String> = prepared.iter().map(line).collect();
    let demo = rust_sources::NAME;
    if !prepared.iter().any(|(name, _)| name == demo) {
        lines.push(format!("{demo}: not prepared, `synth data fetch {demo}` does it"));
    }
    lines
}

fn problems() -> Vec<String> {
    let mut list = Vec::new();
    let (found, expected) = (context::loaded_version(), context::EXPECTED_VERSION);
    if found != expected {
        list.push(format!("libtorch {found} found, {expected} expected: run `make setup build`"));
    }
    let driver = std::path::Path::new("/proc/driver/nvidia/version").exists();
    match (driver, context::built_with_cuda(), Cuda::is_available()) {
        (true, false, _) => {
            list.push("an NVIDIA driver is here, but this build has no CUDA: run `make build CUDA=1`".into())
        }
        (true, true, false) => {
            list.push(
                "an NVIDIA driver is here, but no device answers: look at `nvidia-smi` and CUDA_VISIBLE_DEVICES".into(),
            );
        }
        _ => {}
    }
    list
}

fn report(findings: &Findings) -> Result<()> {
    let commit = findings.git_commit.as_deref().unwrap_or("unknown");
    print(&format!("synth      {} (commit {commit})", findings.synth))?;
    print(&format!("libtorch   {} found, {} expected", findings.libtorch, findings.libtorch_expected))?;
    print(&format!("CUDA       {}", findings.cuda_runtime.as_deref().unwrap_or("none in this build")))?;
    for device in &findings.devices {
        let name = device.name.as_deref().unwrap_or("unknown model");
        let mut line = format!("{:<10} {name}", device.device);
        if let Some(threads) = device.threads {
            line += &format!(", {threads} threads");
        }
        if let Some(capability) = &device.compute_capability {
            line += &format!(", compute capability {capability}");
        }
        if let (Some(memory), Some(free)) = (device.memory_gib, device.free_gib) {
            line += &format!(", {memory:.1} GiB, {free:.1} GiB free");
        }
        print(&line)?;
        for line in attention_paths::lines(&device.attention) {
            print(&format!("  {line}"))?;
        }
    }
    for part in &findings.fused_parts {
        let state = if part.available { "yes" } else { "no" };
        print(format!("{:<30} {state} {}", part.name, part.note).trim_end())?;
    }
    for data in &findings.data {
        print(data)?;
    }
    match findings.problems.as_slice() {
        [] => print("no problems found"),
        problems => print(&problems.iter().map(|problem| format!("problem: {problem}")).collect::<Vec<_>>().join("\n")),
    }
}
