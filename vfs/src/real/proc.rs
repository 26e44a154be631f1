//! Open descriptors as paths, for the system calls that take only a path.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The path that leads to what is open at `fd`. Of the thread, not of the process, whose first thread may have ended.
pub(super) fn path(fd: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/thread-self/fd/{}", fd.as_raw_fd()).into()
}

/// The path that leads to the entry `name`, which must be a single component, of the directory open at `fd`. A call
/// that does not follow the last component describes the entry itself.
pub(super) fn path_in(fd: BorrowedFd<'_>, name: &OsStr) -> PathBuf {
    let mut path = path(fd);
    path.push(name);
    path
}

/// The same by way of the process, whose path the kernel finds faster; it leads nowhere once the first thread has ended.
pub(super) fn short_path_in(fd: BorrowedFd<'_>, name: &OsStr) -> PathBuf {
    let mut path = format!("/proc/self/fd/{}/", fd.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.as_bytes());
    OsString::from_vec(path).into()
}

/// What to say where a path of this module is not found although its descriptor is open.
pub(super) fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "\"/proc\" is not mounted")
}
