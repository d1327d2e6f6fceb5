//! How a command ends: the exit codes, and the errors that stand for them.
//!
//! 0 done; 1 what turns up in contents or while running; 2 what arguments, configuration, named
//! paths or this machine show before work starts; 3 diverged; 128 + n stopped by signal n.

use std::fmt;

/// Something that arguments, configuration or machine show before work starts: exit code 2.
#[derive(Debug)]
pub struct Refusal(pub String);

/// The loss or the gradient was not finite: exit code 3.
#[derive(Debug)]
pub struct Diverged(pub String);

/// Stopped by a signal after everything was saved: exit code 128 + the signal.
#[derive(Debug)]
pub struct Interrupted {
    /// The signal's number.
    pub signal: i32,
    /// What the user is told.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Diverged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}
impl std::error::Error for Diverged {}
impl std::error::Error for Interrupted {}

/// An `anyhow::Error` that ends the command with exit code 2; takes what `format!` takes.
#[macro_export]
macro_rules! refusal {
    ($($message:tt)*) => { ::anyhow::Error::new($crate::exit::Refusal(format!($($message)*))) };
}

/// Returns a [`refusal!`] from the enclosing function.
#[macro_export]
macro_rules! refuse {
    ($($message:tt)*) => { return Err($crate::refusal!($($message)*)) };
}

/// The exit code that an error stands for.
pub fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<Refusal>() {
            return 2;
        }
        if cause.is::<Diverged>() {
            return 3;
        }
        if let Some(interrupted) = cause.downcast_ref::<Interrupted>() {
            return 128 + u8::try_from(interrupted.signal).unwrap_or(0);
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn codes_are_found_below_context() {
        let refused: anyhow::Result<()> = Err(refusal!("no such key"));
        assert_eq!(code(&refused.context("while reading").unwrap_err()), 2);
        assert_eq!(code(&anyhow::anyhow!("disk full")), 1);
        assert_eq!(code(&anyhow::Error::new(Diverged(String::new()))), 3);
        assert_eq!(code(&anyhow::Error::new(Interrupted { signal: 15, message: String::new() })), 143);
    }
}
