//! Listing a directory.

use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags, RawDir, openat};
use rustix::io::{Errno, retry_on_intr};

use super::stat;
use crate::Entry;

/// What one `getdents64` may fill: the size that C libraries use, some hundred entries.
const BUFFER_BYTES: usize = 32 << 10;

/// All entries of `dir` but `.` and `..`.
///
/// The directory is opened afresh: the position of a listing belongs to the open, and clones of a handle share theirs,
/// so that two lists at a time would each get a part.
pub(super) fn list(dir: BorrowedFd<'_>) -> io::Result<Vec<Entry>> {
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fresh = retry_on_intr(|| openat(dir, c".", how, Mode::empty()))?;
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut raw = RawDir::new(fresh, buffer.spare_capacity_mut());
    let mut entries = Vec::new();
    while let Some(next) = raw.next() {
        let entry = match next {
            Err(Errno::INTR) => continue,
            entry => entry?,
        };
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            let name = OsStr::from_bytes(name).to_os_string();
            entries.push(Entry { name, kind: stat::kind(entry.file_type()), ino: entry.ino() });
        }
    }
    Ok(entries)
}
