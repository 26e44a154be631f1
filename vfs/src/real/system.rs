//! What the machine says about itself: free space and the name of this boot.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, CWD, FsWord, Mode, OFlags, StatxFlags, fstatfs, fstatvfs, openat, statx};
use rustix::io::{pread, retry_on_intr};
use rustix::process::geteuid;

use super::power::BTRFS;
use crate::MountId;

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

/// The number of the boot, and the number that the kernel gives to each mount once and never again (Linux 6.8). `None`
/// where one of them is not to be had: the older numbers of mounts are used again; and on every file system that is not
/// known to give a file another time with each write: tmpfs does not for writes through memory, and others have servers.
pub(super) fn mount_id(dir: BorrowedFd<'_>) -> io::Result<Option<MountId>> {
    if !TIMED.contains(&retry_on_intr(|| fstatfs(dir))?.f_type) {
        return Ok(None);
    }
    let said = retry_on_intr(|| statx(dir, c"", AtFlags::EMPTY_PATH, UNIQUE_MOUNT))?;
    let Some(boot) = boot_number(&boot_id()) else { return Ok(None) };
    if said.stx_mask & UNIQUE_MOUNT.bits() == 0 {
        return Ok(None);
    }
    let mut id = [0; 24];
    id[..16].copy_from_slice(&boot.to_le_bytes());
    id[16..].copy_from_slice(&said.stx_mnt_id.to_le_bytes());
    Ok(Some(MountId(id)))
}

/// ext2 to ext4, XFS, Btrfs, as the kernel's `magic.h` numbers them.
const TIMED: [FsWord; 3] = [0xef53, 0x5846_5342, BTRFS];

/// `STATX_MNT_ID_UNIQUE` of the kernel's `stat.h`.
const UNIQUE_MOUNT: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// The number that a UUID is.
fn boot_number(uuid: &str) -> Option<u128> {
    let digits: String = uuid.chars().filter(|&char| char != '-').collect();
    u128::from_str_radix(&digits, 16).ok().filter(|number| *number != 0)
}

fn read_boot_id() -> io::Result<String> {
    Ok(said_by(c"/proc/sys/kernel/random/boot_id", &mut [0; 64])?.trim_end().to_owned())
}

/// Whether it is btrfs: a subvolume is one tree, and its root and the leaf of the newest inodes are locked for each change.
pub(super) fn keeps_one_tree(dir: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(retry_on_intr(|| fstatfs(dir))?.f_type == BTRFS)
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
    use std::os::fd::AsFd;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_unwritten_is_what_is_dirty_or_under_way() {
        let said = "MemFree: 7 kB\nDirty:               324 kB\nWriteback:             4 kB\nWritebackTmp: 9 kB\n";
        assert_eq!(unwritten_of(said), Some(328 << 10));
        assert_eq!(unwritten_of("Dirty: 324 kB\n"), None);
        assert_eq!(unwritten_of("Dirty: many kB\nWriteback: 4 kB\n"), None);
        assert!(unwritten().unwrap().is_some(), "the kernel still says it in these words");
    }

    #[test]
    fn a_mount_keeps_its_number_and_not_every_file_system_is_given_one() {
        let open = |path: &Path| openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let id = |path: &Path| mount_id(open(path).as_fd()).unwrap();
        assert_eq!(id(Path::new("/proc")), None);
        let home = tempfile::tempdir().unwrap();
        assert_eq!(id(home.path()), id(home.path()));
        if TIMED.contains(&fstatfs(open(home.path())).unwrap().f_type) {
            let MountId(number) = id(home.path()).unwrap();
            assert_ne!(number, [0; 24]);
        }
        assert_eq!(boot_number("not a number"), None);
        assert_eq!(boot_number("00000000-0000-0000-0000-00000000000a"), Some(10));
    }
}
