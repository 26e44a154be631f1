//! Extended attributes, of any kind of entry in one way: through `/proc/thread-self/fd/N/name`, not following `name`.
//! Which ones there are, the one question that is asked of every entry, goes by a call of its own where the kernel has it,
//! and else by the shorter way of `/proc/self`.
//!
//! Opening the entry instead would fail on symlinks, wait on devices and need read permission.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, lgetxattr, llistxattr, lremovexattr, lsetxattr};
use rustix::io::Errno;

use super::name::single_or_itself;
use super::{listxattrat, proc, stat};

/// Enough for the names of the attributes that most entries have, if they have any.
const FEW_BYTES: usize = 256;
/// Enough for the attributes that most entries have: one call then does.
const GUESS_BYTES: usize = 4 << 10;
/// The kernel's limit on one value and on one list of names (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`), so that a second
/// call cannot find the attribute grown past it.
const BYTES_MAX: usize = 64 << 10;

/// All attributes of an entry, sorted by name; none where the file system has no such thing.
pub(super) fn xattrs(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    let name = single_or_itself(name)?;
    let names = match listed(at, name) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(errno) => return Err(explained(errno, at, name)),
        Ok(names) if names.is_empty() => return Ok(Vec::new()),
        Ok(names) => names,
    };
    let values = with_values(&names, |key, buf| by_path(at, name, |path| lgetxattr(path, key, spare_capacity(buf))));
    values.map_err(|errno| explained(errno, at, name))
}

/// Asks by the short path, and where that leads nowhere by the one that does in any case.
fn by_path(
    at: BorrowedFd<'_>,
    name: &OsStr,
    mut ask: impl FnMut(&Path) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    match ask(&proc::short_path_in(at, name)) {
        Err(Errno::NOENT) => ask(&proc::path_in(at, name)),
        asked => asked,
    }
}

/// The names, each with a zero byte behind it.
fn listed(at: BorrowedFd<'_>, name: &OsStr) -> Result<Vec<u8>, Errno> {
    let mut few = [0; FEW_BYTES];
    match listxattrat::names(at, name, &mut few) {
        Some(Err(Errno::RANGE)) => {
            let mut all = vec![0; BYTES_MAX];
            if let Some(listed) = listxattrat::names(at, name, &mut all) {
                all.truncate(listed?);
                return Ok(all);
            }
        }
        Some(listed) => return Ok(few[..listed?].to_vec()),
        None => {}
    }
    listed_by_path(at, name)
}

fn listed_by_path(at: BorrowedFd<'_>, name: &OsStr) -> Result<Vec<u8>, Errno> {
    whole(|buf| by_path(at, name, |path| llistxattr(path, spare_capacity(buf))))
}

/// The same of an open file.
pub(super) fn xattrs_of_file(file: BorrowedFd<'_>) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    let names = match whole(|buf| flistxattr(file, spare_capacity(buf))) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    Ok(with_values(&names, |key, buf| fgetxattr(file, key, spare_capacity(buf)))?)
}

/// The values of `names`, each with a zero byte behind it; without those that were removed since the names were read.
fn with_values(
    names: &[u8],
    get: impl Fn(&OsStr, &mut Vec<u8>) -> Result<usize, Errno>,
) -> Result<Vec<(OsString, Vec<u8>)>, Errno> {
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

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "what the tests look at is made by the standard library")]

    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use crate::ITSELF;

    use super::*;

    /// Where the kernel has no call for it, both go the same way.
    #[test]
    fn the_list_is_the_same_whichever_way_it_comes() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path();
        for name in ["none", "one", "many"] {
            fs::write(path.join(name), "").unwrap();
        }
        symlink("one", path.join("link")).unwrap();
        let dir = super::super::resolve::open_root(path).unwrap();
        set_xattr(dir.as_fd(), OsStr::new("one"), OsStr::new("user.one"), b"1").unwrap();
        // More than fit into the first buffer.
        let many: Vec<_> = (0..20).map(|n| format!("user.{n:030}")).collect();
        for key in &many {
            set_xattr(dir.as_fd(), OsStr::new("many"), OsStr::new(key), b"").unwrap();
        }
        let bytes = |name: &str| {
            let (one, other) = (listed(dir.as_fd(), OsStr::new(name)), listed_by_path(dir.as_fd(), OsStr::new(name)));
            assert_eq!(one, other, "{name}");
            one.map(|names| names.len())
        };
        assert!(bytes("many").unwrap() >= many.len() * 36);
        assert_eq!(bytes("one").unwrap() - bytes("none").unwrap(), "user.one".len() + 1);
        assert_eq!(bytes("link").ok(), bytes("none").ok(), "a symlink is not followed");
        assert_eq!(bytes("gone"), Err(Errno::NOENT));
        bytes(ITSELF).unwrap();
    }
}
