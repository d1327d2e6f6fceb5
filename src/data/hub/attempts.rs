//! How often something is tried again, and how long is waited in between.

use super::http::Trouble;
use anyhow::Result;
use std::fmt;
use std::thread::sleep;
use std::time::Duration;
use tracing::warn;

/// Failures in a row, with nothing gained in between, that end it.
const MAX_IN_VAIN: u32 = 5;

/// Failures in all that end it, whatever was gained.
const MAX_IN_ALL: u32 = 50;

/// No attempt succeeded, though each might have.
#[derive(Debug)]
pub struct Unreachable(String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// The failures so far of one undertaking.
pub struct Attempts {
    in_vain: u32,
    in_all: u32,
    first_pause: Duration,
}

impl Attempts {
    /// None so far.
    pub fn new(first_pause: Duration) -> Self {
        Self { in_vain: 0, in_all: 0, first_pause }
    }

    /// Something was gained: the pauses start short again.
    pub fn gained(&mut self) {
        self.in_vain = 0;
    }

    /// After a failure: waits and returns, or ends it.
    ///
    /// # Errors
    /// What no further attempt helps against; the last failure where there were too many.
    pub fn failed(&mut self, what: &str, trouble: Trouble) -> Result<()> {
        let (why, asked) = match trouble {
            Trouble::Again(why, asked) => (why, asked),
            Trouble::Stop(error) => return Err(error),
        };
        self.in_vain += 1;
        self.in_all += 1;
        if self.in_vain >= MAX_IN_VAIN || self.in_all >= MAX_IN_ALL {
            let message = format!("{what}: {why}; {} attempts failed: try again later", self.in_all);
            return Err(anyhow::Error::new(Unreachable(message)));
        }
        let pause = asked.unwrap_or(self.first_pause * 2u32.pow(self.in_vain - 1));
        warn!("{what}: {why}; trying again in {:.0} s", pause.as_secs_f64().ceil());
        sleep(pause);
        Ok(())
    }
}

/// Tries `work` until it succeeds, or no longer.
///
/// # Errors
/// As [`Attempts::failed`].
pub fn persist<T>(first_pause: Duration, what: &str, mut work: impl FnMut() -> Result<T, Trouble>) -> Result<T> {
    let mut attempts = Attempts::new(first_pause);
    loop {
        match work() {
            Ok(value) => return Ok(value),
            Err(trouble) => attempts.failed(what, trouble)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    fn again() -> Trouble {
        Trouble::Again("broken".into(), None)
    }

    #[test]
    fn it_ends_after_failures_in_a_row_or_in_all() {
        let mut attempts = Attempts::new(Duration::ZERO);
        for round in 0..MAX_IN_ALL - 1 {
            attempts.gained();
            assert!(attempts.failed("it", again()).is_ok(), "{round}");
        }
        attempts.gained();
        let message = attempts.failed("it", again()).unwrap_err().to_string();
        assert_eq!(message, "it: broken; 50 attempts failed: try again later");

        let mut calls = 0;
        let failed = persist::<()>(Duration::ZERO, "it", || {
            calls += 1;
            Err(again())
        });
        assert_eq!((calls, failed.is_err()), (MAX_IN_VAIN, true));
    }

    #[test]
    fn what_no_attempt_helps_against_ends_it_at_once() {
        let mut calls = 0;
        let failed = persist::<()>(Duration::from_secs(9), "it", || {
            calls += 1;
            Err(Trouble::Stop(anyhow!("not there")))
        });
        assert_eq!((calls, failed.unwrap_err().to_string().as_str()), (1, "not there"));
    }
}
