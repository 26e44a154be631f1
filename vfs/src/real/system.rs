//! What the machine says about itself: free space and the name of this boot.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{CWD, Mode, OFlags, fstatvfs, openat};
use rustix::io::{pread, retry_on_intr};
use rustix::process::geteuid;

/// Free bytes that this process may use: root may also use what the file system keeps back for it.
pub(super) fn space(dir: BorrowedFd<'_>) -> io::Result<u64> {
    let said = retry_on_intr(|| fstatvfs(dir))?;
    let blocks = if geteuid().is_root() { said.f_bfree } else { said.f_bavail };
    Ok(blocks.saturating_mul(said.f_frsize))
}

/// The kernel's random name of this boot; empty where it cannot be read.
pub(super) fn boot_id() -> String {
    read_boot_id().unwrap_or_default()
}

fn read_boot_id() -> io::Result<String> {
    let path = c"/proc/sys/kernel/random/boot_id";
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buf = [0; 64];
    let read = pread(&file, &mut buf, 0)?;
    Ok(String::from_utf8_lossy(&buf[..read]).trim_end().to_owned())
}
