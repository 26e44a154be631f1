//! Mode, owner and times of entries, never of what a symlink points to.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chmod, chownat, futimens, openat, utimensat,
};
use rustix::io::{Errno, retry_on_intr};

use super::name::{permissions, single_or_itself};
use super::{proc, stat};
use crate::{ITSELF, Kind, Time};

/// Sets the mode of what stands at `name`.
///
/// Two calls, because `fchmodat` follows symlinks: the entry is pinned as a path, looked at, and changed through the
/// pin. What an outsider puts at the name in between is not touched.
///
/// # Errors
/// `EOPNOTSUPP` where the entry is a symlink.
pub(super) fn set_mode(at: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<()> {
    let (name, mode) = (single_or_itself(name)?, permissions(mode)?);
    if name == ITSELF {
        // It need not be searchable: that may be what the new bits are for.
        return change(at, mode);
    }
    let how = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let pin = retry_on_intr(|| openat(at, name, how, Mode::empty()))?;
    if stat::stat_open(pin.as_fd())?.kind == Kind::Symlink {
        return Err(Errno::OPNOTSUPP.into());
    }
    change(pin.as_fd(), mode)
}

fn change(fd: BorrowedFd<'_>, mode: Mode) -> io::Result<()> {
    match chmod(proc::path(fd), mode) {
        Err(Errno::NOENT) => Err(proc::missing()),
        done => Ok(done?),
    }
}

/// # Errors
/// `InvalidInput` for the number that means "leave as it is" to the kernel, 4 294 967 295.
pub(super) fn set_owner(at: BorrowedFd<'_>, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
    let name = single_or_itself(name)?;
    if uid == u32::MAX || gid == u32::MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such owner"));
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(chownat(at, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Both times in one call. The file system may round them to what it can store.
pub(super) fn set_times(at: BorrowedFd<'_>, name: &OsStr, accessed: Time, modified: Time) -> io::Result<()> {
    let name = single_or_itself(name)?;
    let times = Timestamps { last_access: timespec(accessed)?, last_modification: timespec(modified)? };
    Ok(utimensat(at, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// The time of last modification of what is open at `fd`.
pub(super) fn set_modified(fd: BorrowedFd<'_>, modified: Time) -> io::Result<()> {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access: omit, last_modification: timespec(modified)? };
    Ok(futimens(fd, &times)?)
}

// Checked here, because some nanosecond values beyond a second mean "now" and "leave" to the kernel.
fn timespec(time: Time) -> io::Result<Timespec> {
    if time.nanos >= 1_000_000_000 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "nanoseconds are not below a second"));
    }
    Ok(Timespec { tv_sec: time.secs, tv_nsec: time.nanos.into() })
}
