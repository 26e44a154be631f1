//! What the machine says about itself: free space and the name of this boot.

use std::ffi::CStr;
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
    Ok(said_by(c"/proc/sys/kernel/random/boot_id", &mut [0; 64])?.trim_end().to_owned())
}

/// What the page cache holds that is dirty or on its way to a disk.
pub(super) fn unwritten() -> io::Result<Option<u64>> {
    Ok(unwritten_of(&said_by(c"/proc/meminfo", &mut [0; 4096])?))
}

fn unwritten_of(said: &str) -> Option<u64> {
    let bytes = |name: &str| {
        let rest = said.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = rest.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    bytes("Dirty:")?.checked_add(bytes("Writeback:")?)
}

/// The beginning of a file of the kernel.
fn said_by(path: &CStr, buf: &mut [u8]) -> io::Result<String> {
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let read = pread(&file, &mut *buf, 0)?;
    Ok(String::from_utf8_lossy(&buf[..read]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unwritten_is_what_is_dirty_or_under_way() {
        let said = "MemFree: 7 kB\nDirty:               324 kB\nWriteback:             4 kB\nWritebackTmp: 9 kB\n";
        assert_eq!(unwritten_of(said), Some(328 << 10));
        assert_eq!(unwritten_of("Dirty: 324 kB\n"), None);
        assert_eq!(unwritten_of("Dirty: many kB\nWriteback: 4 kB\n"), None);
        assert!(unwritten().unwrap().is_some(), "the kernel still says it in these words");
    }
}
