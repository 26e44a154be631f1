//! Opening files: never through a symlink in the last place, never waiting.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::retry_on_intr;

use super::name;
use crate::Open;

/// One `openat`. `O_NONBLOCK` keeps a fifo from waiting for its other end and means nothing to a regular file, except
/// where somebody holds a lease on it: then `WouldBlock`. `O_NOCTTY` keeps a terminal from becoming ours.
pub(super) fn open(at: BorrowedFd<'_>, name: &OsStr, how: Open) -> io::Result<OwnedFd> {
    let name = name::single(name)?;
    let always = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let (flags, mode) = match how {
        Open::Read => (OFlags::RDONLY, Mode::empty()),
        Open::ReadWrite => (OFlags::RDWR, Mode::empty()),
        Open::CreateNew { mode } => (OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, name::permissions(mode)?),
        Open::Create { mode } => (OFlags::RDWR | OFlags::CREATE, name::permissions(mode)?),
    };
    // An interrupted open has made nothing: the signal is looked at before the entry is created.
    Ok(retry_on_intr(|| openat(at, name, flags | always, mode))?)
}
