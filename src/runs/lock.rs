//! Locks between processes, on files that lie beside what they guard.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};

/// Takes the lock of `file` until it is closed; false if another has it.
pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => without_locks(error).map(|()| true),
    }
}

/// Waits for the lock of `file` and takes it until it is closed.
pub(super) fn lock(file: &File) -> io::Result<()> {
    file.lock().or_else(without_locks)
}

/// Some cluster file systems are mounted without locks: the work goes on there, and the user is told.
fn without_locks(error: io::Error) -> io::Result<()> {
    if error.kind() != ErrorKind::Unsupported {
        return Err(error);
    }
    tracing::warn!("the results' file system has no locks: do not write one run from two processes");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let first = File::open(file.path()).unwrap();
        let second = File::open(file.path()).unwrap();
        assert!(try_lock(&first).unwrap());
        assert!(!try_lock(&second).unwrap());
        drop(first);
        assert!(try_lock(&second).unwrap());
    }

    #[test]
    fn only_a_file_system_without_locks_is_forgiven() {
        assert!(without_locks(ErrorKind::Unsupported.into()).is_ok());
        assert!(without_locks(ErrorKind::PermissionDenied.into()).is_err());
    }
}
