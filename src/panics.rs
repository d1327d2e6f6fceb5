//! Panics become errors: tch's plain operations panic where libtorch reports an error.

use anyhow::{Error, Result, anyhow};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Keeps panics from printing; [`catch`] reports them.
pub fn silence() {
    std::panic::set_hook(Box::new(|panic| tracing::debug!("{panic}")));
}

/// Runs `work`; a panic in it becomes an error.
///
/// # Errors
/// Those of `work`, and its panics.
pub fn catch<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        Err(error(text.as_deref().unwrap_or("a panic without a message")))
    })
}

/// libtorch's own words where the panic is an unwrapped error of tch, else the whole as a bug.
fn error(text: &str) -> Error {
    match text.split_once("on an `Err` value: Torch(\"") {
        Some((_, message)) => anyhow!("libtorch: {}", message.trim_end_matches("\")").replace("\\n", "\n")),
        None => anyhow!("this is a bug in synth, please report it: {text}"),
    }
}

/// Whether an error says that memory ran out, on the CPU or a GPU.
pub fn out_of_memory(error: &Error) -> bool {
    let text = format!("{error:#}");
    ["out of memory", "can't allocate memory", "Cannot allocate memory"].iter().any(|sign| text.contains(sign))
}

/// The error in one line: the first line of each of its causes, without a cause that the line before repeats.
/// libtorch's messages go on with a C++ backtrace, which belongs in a log.
pub fn one_line(error: &Error) -> String {
    let mut lines: Vec<String> =
        error.chain().map(|cause| cause.to_string().lines().next().unwrap_or_default().to_string()).collect();
    lines.dedup_by(|cause, before| before.ends_with(cause.as_str()));
    lines.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_that_fails_is_one_line() {
        silence();
        let error = catch(|| Ok(tch::Tensor::from_slice(&[1f32, 2.0]).matmul(&tch::Tensor::from(1f32)))).unwrap_err();
        let line = one_line(&error);
        assert!(line.starts_with("libtorch: ") && line.lines().count() == 1, "{line}");
        assert!(!line.contains("Exception raised"), "{line}");
        assert!(!out_of_memory(&error));
    }

    #[test]
    fn a_repeated_cause_is_told_once() {
        let error = anyhow!("disk full").context("I/O error: disk full").context("cannot write x");
        assert_eq!(one_line(&error), "cannot write x: I/O error: disk full");
    }

    #[test]
    fn other_panics_are_called_bugs() {
        silence();
        let error = catch::<()>(|| panic!("lost")).unwrap_err();
        assert!(one_line(&error).ends_with("lost"));
    }

    #[test]
    fn memory_is_recognised() {
        let size = [1 << 40, 1 << 20];
        silence();
        let error = catch(|| Ok(tch::Tensor::zeros(size, (tch::Kind::Float, tch::Device::Cpu)))).unwrap_err();
        assert!(out_of_memory(&error), "{error}");
    }
}
