//! Kernels on the host, for tests: compiled with `cuda/host.h` before them, their threads take turns.

use super::Text;
use libc::c_void;
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::CString;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const HOST: &str = include_str!("cuda/host.h");

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs kernels on the host.
pub fn is_on() -> bool {
    ON.get()
}

/// Runs `f` with kernels on the host. Backward passes of CPU tensors run on the same thread.
pub fn with_kernels<T>(f: impl FnOnce() -> T) -> T {
    ON.set(true);
    let result = f();
    ON.set(false);
    result
}

type Kernel = unsafe extern "C" fn(*const u32, *mut *mut c_void);

/// Libraries by their text, as `dlopen` gave them. One kernel runs at a time: its threads' numbers are global.
static LIBRARIES: Mutex<Option<HashMap<Text, usize>>> = Mutex::new(None);

/// Runs a kernel to its end.
pub fn launch(
    text: &Text,
    kernel: &str,
    blocks: [u32; 3],
    threads: [u32; 3],
    mut arguments: Vec<*mut c_void>,
) -> Result<(), String> {
    let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    let libraries = libraries.get_or_insert_default();
    let library = match libraries.get(text) {
        Some(library) => *library,
        None => *libraries.entry(text.clone()).or_insert(compile(text)?),
    };
    let name = CString::new(format!("host_{kernel}")).map_err(|error| error.to_string())?;
    // SAFETY: the text's own entry of this name, made by EXPORT, with this signature; the arguments are as many and of
    // such sizes as the kernel's, which is what the tests are there to check.
    unsafe {
        let entry = libc::dlsym(library as *mut c_void, name.as_ptr());
        if entry.is_null() {
            return Err(format!("{} exports no {kernel}", text.name()));
        }
        let entry: Kernel = std::mem::transmute(entry);
        let sizes: Vec<u32> = blocks.into_iter().chain(threads).collect();
        entry(sizes.as_ptr(), arguments.as_mut_ptr());
    }
    Ok(())
}

fn compile(text: &Text) -> Result<usize, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (source, library) = (folder.path().join("kernel.cpp"), folder.path().join("kernel.so"));
    std::fs::write(&source, format!("{HOST}\n{}", text.whole())).map_err(|error| error.to_string())?;
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_string());
    let output = Command::new(compiler)
        .args(["-std=c++17", "-O1", "-w", "-fPIC", "-shared", "-o"])
        .args([&library, &source])
        .output()
        .map_err(|error| format!("cannot run the C++ compiler: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let path = CString::new(library.to_string_lossy().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: a library of our own text, whose initialisers only fill variables.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() { Err("the compiled kernels cannot be loaded".to_string()) } else { Ok(handle as usize) }
}
