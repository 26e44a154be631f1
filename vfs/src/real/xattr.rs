//! Extended attributes, of any kind of entry in one way: through `/proc/thread-self/fd/N/name`, not following `name`,
//! and by the shorter way of `/proc/self` where that is there and much is asked.
//!
//! Opening the entry instead would fail on symlinks, wait on devices and need read permission.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::buffer::spare_capacity;
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, lgetxattr, llistxattr, lremovexattr, lsetxattr};
use rustix::io::Errno;

use super::name::single_or_itself;
use super::{proc, stat};

/// Enough for the attributes that most entries have: one call then does.
const GUESS_BYTES: usize = 4 << 10;
/// The kernel's limit on one value and on one list of names (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`), so that a second
/// call cannot find the attribute grown past it.
const BYTES_MAX: usize = 64 << 10;

/// All attributes of an entry, sorted by name; none where the file system has no such thing.
pub(super) fn xattrs(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    let mut path = proc::short_path_in(at, single_or_itself(name)?);
    let mut names = whole(|buf| llistxattr(&path, spare_capacity(buf)));
    if matches!(names, Err(Errno::NOENT)) {
        path = proc::path_in(at, name);
        names = whole(|buf| llistxattr(&path, spare_capacity(buf)));
    }
    let names = match names {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(errno) => return Err(explained(errno, at, name)),
        Ok(names) => names,
    };
    with_values(&names, |key, buf| lgetxattr(&path, key, spare_capacity(buf)))
}

/// The same of an open file.
pub(super) fn xattrs_of_file(file: BorrowedFd<'_>) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    let names = match whole(|buf| flistxattr(file, spare_capacity(buf))) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    with_values(&names, |key, buf| fgetxattr(file, key, spare_capacity(buf)))
}

/// The values of `names`, each with a zero byte behind it; without those that were removed since the names were read.
fn with_values(
    names: &[u8],
    get: impl Fn(&OsStr, &mut Vec<u8>) -> Result<usize, Errno>,
) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    let mut all = Vec::new();
    for key in names.split(|&byte| byte == 0).filter(|key| !key.is_empty()) {
        let key = OsStr::from_bytes(key);
        match whole(|buf| get(key, buf)) {
            Err(Errno::NODATA) => {}
            value => all.push((key.to_os_string(), value?)),
        }
    }
    all.sort_unstable();
    Ok(all)
}

pub(super) fn set_xattr(at: BorrowedFd<'_>, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()> {
    let path = proc::path_in(at, single_or_itself(name)?);
    lsetxattr(path, key, value, XattrFlags::empty()).map_err(|errno| explained(errno, at, name))
}

pub(super) fn remove_xattr(at: BorrowedFd<'_>, name: &OsStr, key: &OsStr) -> io::Result<()> {
    let path = proc::path_in(at, single_or_itself(name)?);
    lremovexattr(path, key).map_err(|errno| explained(errno, at, name))
}

/// Fills a buffer of the usual size and, where that is too small, one of the largest.
fn whole(fill: impl Fn(&mut Vec<u8>) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buf = Vec::with_capacity(GUESS_BYTES);
    match fill(&mut buf) {
        Err(Errno::RANGE) => {}
        filled => return filled.map(|_| buf),
    }
    buf = Vec::with_capacity(BYTES_MAX);
    fill(&mut buf)?;
    buf.shrink_to_fit();
    Ok(buf)
}

/// Tells "no such entry" from "no `/proc`", which the kernel reports alike.
fn explained(errno: Errno, at: BorrowedFd<'_>, name: &OsStr) -> io::Error {
    if errno == Errno::NOENT && stat::stat(at, name).is_ok() { proc::missing() } else { errno.into() }
}
