//! Compiling with NVRTC.

use cudarc::nvrtc::{result, sys};
use std::ffi::{CStr, CString};

/// What NVRTC calls a card of this compute capability.
pub fn target((major, minor): (i32, i32)) -> String {
    // Hopper's own instructions come with the a.
    let own = if (major, minor) == (9, 0) { "a" } else { "" };
    format!("sm_{major}{minor}{own}")
}

/// NVRTC's version.
pub fn version() -> Result<String, String> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: writes two numbers.
    let answer = unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
    answer.result().map(|()| format!("{major}.{minor}")).map_err(|error| format!("{error:?}"))
}

/// The machine code of a text.
pub fn compile(name: &str, text: &str, target: &str) -> Result<Vec<u8>, String> {
    let [text, name] = [text, name].map(|text| CString::new(text).map_err(|error| error.to_string()));
    let (text, name) = (text?, name?);
    let program = result::create_program(&text, Some(&name)).map_err(|error| format!("{error:?}"))?;
    // SAFETY: a program that is destroyed once, below.
    let compiled = unsafe { binary(program, target) };
    let _ = unsafe { result::destroy_program(program) };
    compiled
}

/// # Safety
/// `program` is one of `create_program` that was not destroyed.
unsafe fn binary(program: sys::nvrtcProgram, target: &str) -> Result<Vec<u8>, String> {
    let options = [format!("--gpu-architecture={target}"), "--std=c++17".into(), "--disable-warnings".into()];
    // SAFETY: as the caller says; the buffer has the size that is asked for.
    unsafe {
        if let Err(error) = result::compile_program(program, &options) {
            let log = result::get_program_log(program).unwrap_or_default();
            let log =
                if log.is_empty() { String::new() } else { CStr::from_ptr(log.as_ptr()).to_string_lossy().into() };
            return Err(format!("NVRTC: {error:?}\n{log}"));
        }
        let mut size = 0;
        sys::nvrtcGetCUBINSize(program, &mut size).result().map_err(|error| format!("{error:?}"))?;
        let mut binary = vec![0u8; size];
        sys::nvrtcGetCUBIN(program, binary.as_mut_ptr().cast()).result().map_err(|error| format!("{error:?}"))?;
        Ok(binary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Text;

    /// NVRTC compiles for a card that is not there: every text as a training step asks for it.
    #[test]
    #[expect(clippy::print_stderr, reason = "a test that skips says so")]
    fn every_text_compiles_for_every_card() {
        // SAFETY: only tries to load a library.
        if !unsafe { sys::is_culib_present() } {
            eprintln!("skipped: there is no NVRTC beside this libtorch");
            return;
        }
        for text in Text::examples() {
            for target in ["sm_80", "sm_90a"] {
                compile(text.name(), &text.whole(), target).unwrap();
            }
        }
        for text in Text::hopper_examples() {
            compile(text.name(), &text.whole(), "sm_90a").unwrap();
        }
    }
}
