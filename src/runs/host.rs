//! Which process of which machine: what tells, on that machine, whether a process still runs.

use std::fs;
use std::path::Path;

/// A process, as it is known beyond its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// The machine: its name for people.
    pub(super) host: String,
    /// The machine since it was last started, and the namespace in which the number below counts: containers on one
    /// machine each have their own process 1.
    pub(super) place: String,
    /// The process's number.
    pub(super) number: u32,
    /// When it began, in the machine's ticks: numbers are given again.
    pub(super) begun: u64,
}

impl Process {
    /// The process that asks.
    pub(super) fn this() -> Self {
        let number = std::process::id();
        Self { host: read("/proc/sys/kernel/hostname"), place: place(), number, begun: begun(number).unwrap_or(0) }
    }

    /// Whether it runs: known only to a process of the same place.
    pub(super) fn runs(&self) -> Option<bool> {
        // What the system does not tell is not known.
        let here = place();
        (self.place == here && self.begun > 0 && here.len() > 1).then(|| begun(self.number) == Some(self.begun))
    }
}

fn place() -> String {
    let namespace = fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
    format!("{} {namespace}", read("/proc/sys/kernel/random/boot_id")).trim().to_owned()
}

/// When a process began, unless it has ended: one that nobody has waited for counts as ended.
fn begun(number: u32) -> Option<u64> {
    let text = fs::read_to_string(Path::new("/proc").join(number.to_string()).join("stat")).ok()?;
    // The name, in parentheses, may hold anything; state is the first field after it, the start the twentieth.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_runs_until_it_has_ended() {
        let this = Process::this();
        assert_eq!(this.runs(), Some(true));
        assert_eq!(Process { begun: this.begun + 1, ..this.clone() }.runs(), Some(false));
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let process = Process { number: child.id(), begun: begun(child.id()).unwrap(), ..this };
        assert_eq!(process.runs(), Some(true));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(process.runs(), Some(false));
    }

    #[test]
    fn of_another_place_nothing_is_known() {
        let this = Process::this();
        assert_eq!(Process { place: "elsewhere".into(), ..this.clone() }.runs(), None);
        assert_eq!(Process { begun: 0, ..this }.runs(), None);
    }
}
