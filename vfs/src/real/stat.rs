//! Describing entries, over `statx`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{AtFlags, FileType, Statx, StatxAttributes, StatxFlags, StatxTimestamp, makedev, readlinkat, statx};
use rustix::io::{Errno, retry_on_intr};

use super::name;
use crate::{Kind, Meta, Time};

/// Describes the entry `name`, a symlink itself, without starting an automount.
pub(super) fn stat(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<Meta> {
    let name = name::single_or_itself(name)?;
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    meta(&retry_on_intr(|| statx(at, name, flags, wanted()))?)
}

/// Describes what is open at `fd`, also where that is open only as a path.
pub(super) fn stat_open(fd: BorrowedFd<'_>) -> io::Result<Meta> {
    meta(&retry_on_intr(|| statx(fd, c"", AtFlags::EMPTY_PATH, wanted()))?)
}

/// The same without a question for the times that a write changes: they are said to be `now`.
pub(super) fn stat_timeless(fd: BorrowedFd<'_>, now: Time) -> io::Result<Meta> {
    let wanted = wanted() - (StatxFlags::MTIME | StatxFlags::CTIME);
    let said = retry_on_intr(|| statx(fd, c"", AtFlags::EMPTY_PATH, wanted))?;
    Ok(Meta { modified: now, changed: now, ..meta(&said)? })
}

/// The target of a symlink.
pub(super) fn read_link(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<OsString> {
    let name = name::single(name)?;
    let target = retry_on_intr(|| readlinkat(at, name, Vec::new()))?;
    Ok(OsString::from_vec(target.into_bytes()))
}

/// The kind that the kernel's file type stands for; `None` where it does not say.
pub(super) fn kind(file_type: FileType) -> Option<Kind> {
    Some(match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        FileType::Unknown => return None,
    })
}

// By name: the kernel answers EINVAL to reserved bits, and asking for all asks for them.
fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::BTIME
}

fn meta(said: &Statx) -> io::Result<Meta> {
    let mode = u32::from(said.stx_mode);
    let knows_birth = said.stx_mask & StatxFlags::BTIME.bits() != 0;
    Ok(Meta {
        kind: kind(FileType::from_raw_mode(mode)).ok_or(Errno::INVAL)?,
        mode: mode & 0o7777,
        uid: said.stx_uid,
        gid: said.stx_gid,
        size: said.stx_size,
        // The kernel counts in blocks of 512 bytes, whatever the file system's own size is.
        allocated: said.stx_blocks.saturating_mul(512),
        links: u64::from(said.stx_nlink),
        ino: said.stx_ino,
        dev: makedev(said.stx_dev_major, said.stx_dev_minor),
        rdev: makedev(said.stx_rdev_major, said.stx_rdev_minor),
        born: if knows_birth { time(said.stx_btime) } else { Time::default() },
        accessed: time(said.stx_atime),
        modified: time(said.stx_mtime),
        changed: time(said.stx_ctime),
        mounted: said.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
    })
}

fn time(said: StatxTimestamp) -> Time {
    Time { secs: said.tv_sec, nanos: said.tv_nsec }
}
