//! Compiles the C++ shim of `src/libtorch` and links libtorch so that the binary runs by itself.

use std::env;
use std::path::{Path, PathBuf};

/// The libtorch that tch 0.24 is made for.
const EXPECTED: &str = "2.11.0";
const SHIM: &str = "src/libtorch/cpp";

fn main() {
    println!("cargo:rerun-if-changed={SHIM}");
    println!("cargo:rerun-if-changed=build.rs");
    for variable in ["LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI", "CUDA_HOME"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    println!("cargo:rustc-check-cfg=cfg(cuda_graphs)");
    println!("cargo:rustc-env=SYNTH_LIBTORCH_EXPECTED={EXPECTED}");

    // torch-sys publishes the folder of the libraries only; the headers lie beside it.
    let libraries = PathBuf::from(env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys is a direct dependency"));
    let root = libraries.parent().expect("libtorch's lib folder has a parent").to_path_buf();
    let include = env::var_os("LIBTORCH_INCLUDE").map_or_else(|| root.clone(), PathBuf::from).join("include");
    check_version(&include);

    let nvidia = root.parent().unwrap_or(&root).join("nvidia");
    let cuda = libraries.join("libtorch_cuda.so").exists();
    compile(&include, cuda.then(|| cuda_headers(&nvidia)).flatten());
    link(&libraries, &nvidia, cuda);
}

/// Stops with both versions named where the headers are another libtorch's.
#[expect(clippy::exit, reason = "nothing is to be compiled against other headers")]
fn check_version(include: &Path) {
    let header = include.join("torch/headeronly/version.h");
    println!("cargo:rerun-if-changed={}", header.display());
    let text = std::fs::read_to_string(&header).unwrap_or_default();
    let part = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("#define TORCH_VERSION_{name} ")));
        line.map_or_else(|| "?".to_string(), |number| number.trim().to_string())
    };
    let found = [part("MAJOR"), part("MINOR"), part("PATCH")].join(".");
    if found != EXPECTED {
        println!("cargo::error=libtorch {found} found in {}, {EXPECTED} expected: run `make setup`", include.display());
        std::process::exit(1);
    }
}

/// The folders of CUDA's headers, from the wheels beside torch or `CUDA_HOME`; `None` where one is missing.
fn cuda_headers(nvidia: &Path) -> Option<Vec<PathBuf>> {
    let mut folders = vec![nvidia.join("cu13/include"), nvidia.join("cu13/include/cccl")];
    if let Some(home) = env::var_os("CUDA_HOME") {
        let include = PathBuf::from(home).join("include");
        folders.extend([include.join("cccl"), include]);
    }
    let missing = ["cuda_runtime_api.h", "crt/host_defines.h"]
        .into_iter()
        .find(|header| !folders.iter().any(|folder| folder.join(header).exists()));
    if let Some(header) = missing {
        println!("cargo:warning={header} not found: CUDA graphs are left out (`make setup CUDA=1` brings the headers)");
        return None;
    }
    folders.retain(|folder| folder.exists());
    Some(folders)
}

fn compile(include: &Path, cuda: Option<Vec<PathBuf>>) {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .flag_if_supported("-Wno-interference-size") // c10's event pool
        .define("_GLIBCXX_USE_CXX11_ABI", env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into()).as_str())
        .include(include)
        .include(include.join("torch/csrc/api/include"))
        .files(
            ["attention.cpp", "products.cpp", "optimizer.cpp", "context.cpp", "autograd.cpp", "dropout.cpp"]
                .map(|file| format!("{SHIM}/{file}")),
        );
    if let Some(folders) = cuda {
        println!("cargo:rustc-cfg=cuda_graphs");
        println!("cargo:rustc-link-lib=c10_cuda"); // torch-sys links torch_cuda, not c10_cuda
        build.includes(folders).file(format!("{SHIM}/cuda.cpp"));
    }
    build.compile("synth_shim");
}

fn link(libraries: &Path, nvidia: &Path, cuda: bool) {
    // DT_RPATH, not DT_RUNPATH: NVRTC opens its builtins by bare name, and only DT_RPATH is inherited.
    println!(
        "cargo:rustc-link-arg=-Wl,--disable-new-dtags,-rpath,{},-rpath,{}",
        libraries.display(),
        nvidia.join("cu13/lib").display()
    );
    // Kernels register themselves from static initialisers: nothing refers to torch_cuda, and the
    // linker's --as-needed would drop it and CUDA with it.
    if cuda {
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,--as-needed");
    }
}
