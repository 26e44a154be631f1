//! What the kernel says of itself in files: how they are read, and which mount a handle is on.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, openat, statx};
use rustix::io::{pread, retry_on_intr};

/// More than any list of mounts or locks that a machine has. What lies behind is not looked at.
const BYTES_MAX: usize = 16 << 20;
const STEP: usize = 16 << 10;

/// A whole file of the kernel.
pub(super) fn text_of(path: &CStr) -> io::Result<String> {
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = Vec::new();
    let mut buf = [0; STEP];
    while bytes.len() < BYTES_MAX {
        let read = retry_on_intr(|| pread(&file, &mut buf[..], bytes.len() as u64))?;
        if read == 0 {
            break;
        }
        bytes.extend_from_slice(&buf[..read]);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A mount, as this process sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Major and minor number of its file system. Not always what `stat` says of an entry: a Btrfs has more than one there.
    pub(super) device: (u32, u32),
    /// The name of its kind, with what a FUSE file system says of itself behind a dot.
    pub(super) kind: String,
}

/// The mount that something open is on; `None` where the kernel does not tell (before Linux 5.8), or has it no more.
pub(super) fn mount_of(fd: BorrowedFd<'_>) -> io::Result<Option<Mount>> {
    let said = retry_on_intr(|| statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID))?;
    if said.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
        return Ok(None);
    }
    Ok(mount_in(&text_of(c"/proc/thread-self/mountinfo")?, said.stx_mnt_id))
}

/// A line: number, parent's number, device, root, place, options, optional words, `-`, kind, source, options.
fn mount_in(text: &str, number: u64) -> Option<Mount> {
    text.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut words = front.split(' ');
        if words.next()?.parse() != Ok(number) {
            return None;
        }
        let (major, minor) = words.nth(1)?.split_once(':')?;
        let device = (major.parse().ok()?, minor.parse().ok()?);
        Some(Mount { device, kind: back.split(' ').next()?.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_mount_is_found_by_its_number() {
        let text = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n\
                    37 35 0:41 / /home/me/far rw,nosuid - fuse.sshfs me@there:/ rw,user_id=0\n";
        assert_eq!(mount_in(text, 36), Some(Mount { device: (98, 0), kind: "ext3".into() }));
        assert_eq!(mount_in(text, 37), Some(Mount { device: (0, 41), kind: "fuse.sshfs".into() }));
        assert_eq!((mount_in(text, 35), mount_in("37 35 x - y", 37)), (None, None));
    }

    #[test]
    fn the_kernel_still_says_it_in_these_words() {
        let proc = openat(CWD, c"/proc", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        if let Some(mount) = mount_of(proc.as_fd()).unwrap() {
            assert_eq!(mount.kind, "proc");
        }
    }
}
