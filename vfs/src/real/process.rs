//! This process: whom it acts as, and its end, for crash tests.

use std::io;

use rustix::process::{Signal, geteuid, getpid, kill_process};

/// Ends this process as `kill -9` does: nothing is unwound, flushed or dropped. Returns only where the kernel refused.
///
/// # Errors
/// Whatever the kernel says, and `Other` should the process outlive the signal.
pub(crate) fn kill_self() -> io::Error {
    match kill_process(getpid(), Signal::KILL) {
        Err(errno) => errno.into(),
        Ok(()) => io::Error::other("the process outlived SIGKILL"),
    }
}

/// The effective user: the owner of what this process makes.
pub(super) fn user() -> u32 {
    geteuid().as_raw()
}
