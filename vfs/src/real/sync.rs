//! What makes things durable. A failure is reported once and never asked again: the kernel may have dropped the pages
//! and would call the next sync a success.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{fdatasync, fsync, syncfs};
use rustix::io::retry_on_intr;

pub(super) fn sync_data(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(retry_on_intr(|| fdatasync(fd))?)
}

pub(super) fn sync_inode(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(retry_on_intr(|| fsync(fd))?)
}

/// `syncfs`. Before Linux 5.8 it does not report that writing back failed.
pub(super) fn sync_all(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(retry_on_intr(|| syncfs(fd))?)
}
