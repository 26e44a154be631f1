//! Whether a file system is still itself after a power loss.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{CWD, FsWord, Mode, OFlags, fstat, fstatfs, major, minor, openat, readlinkat};
use rustix::io::{pread, retry_on_intr};

use crate::PowerLoss;

/// As the kernel's `magic.h` numbers them.
const EXT: FsWord = 0xef53;
const XFS: FsWord = 0x5846_5342;
pub(super) const BTRFS: FsWord = 0x9123_683e;
const TMPFS: FsWord = 0x0102_1994;

pub(super) fn power_loss(dir: BorrowedFd<'_>) -> io::Result<PowerLoss> {
    Ok(match retry_on_intr(|| fstatfs(dir))?.f_type {
        XFS | BTRFS => PowerLoss::Survives,
        TMPFS => PowerLoss::Loses("tmpfs is memory"),
        // What the kernel does not tell is not known, which is no error.
        EXT => match has_journal(dir) {
            Ok(true) => PowerLoss::Survives,
            Ok(false) => PowerLoss::Loses("ext4 without a journal does not keep renames whole"),
            Err(_) => PowerLoss::Unknown,
        },
        _ => PowerLoss::Unknown,
    })
}

/// The kernel names the thread that writes the journal of each ext4, or says that there is none.
fn has_journal(dir: BorrowedFd<'_>) -> io::Result<bool> {
    let dev = fstat(dir)?.st_dev;
    let device = readlinkat(CWD, format!("/sys/dev/block/{}:{}", major(dev), minor(dev)), Vec::new())?;
    let device = device.to_string_lossy();
    let name = device.rsplit('/').next().unwrap_or_default();
    let path = format!("/sys/fs/ext4/{name}/journal_task");
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut said = [0; 16];
    let read = pread(file.as_fd(), &mut said, 0)?;
    Ok(!said[..read].starts_with(b"<none>"))
}
