//! Changes of names: one system call each, which the kernel does wholly or not at all.

use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{
    Access, AtFlags, FileType, RenameFlags, accessat, linkat, mkdirat, mknodat, renameat, renameat_with, statat,
    symlinkat, unlinkat,
};

use rustix::io::Errno;

use super::name::{permissions, single, single_or_itself};
use crate::{Kind, Meta, Rename};

pub(super) fn create_dir(at: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<()> {
    Ok(mkdirat(at, single(name)?, permissions(mode)?)?)
}

/// As the kernel judges it, with lists and privileges; where it cannot be asked (before Linux 5.8) nothing speaks against it.
pub(super) fn may_change_names(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<bool> {
    let how = AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW;
    match accessat(at, single_or_itself(name)?, Access::WRITE_OK | Access::EXEC_OK, how) {
        Err(Errno::ACCESS) => Ok(false),
        Ok(()) | Err(Errno::NOSYS | Errno::INVAL | Errno::PERM) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn remove_dir(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    Ok(unlinkat(at, single(name)?, AtFlags::REMOVEDIR)?)
}

pub(super) fn remove_file(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    Ok(unlinkat(at, single(name)?, AtFlags::empty())?)
}

pub(super) fn symlink(target: &OsStr, at: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    Ok(symlinkat(target, at, single(name)?)?)
}

/// Without `AT_SYMLINK_FOLLOW`, so that a symlink gets the second name itself.
pub(super) fn hard_link(from: BorrowedFd<'_>, name: &OsStr, to: BorrowedFd<'_>, to_name: &OsStr) -> io::Result<()> {
    Ok(linkat(from, single(name)?, to, single(to_name)?, AtFlags::empty())?)
}

/// # Errors
/// `InvalidInput` for a kind that has its own verb.
pub(super) fn make_node(at: BorrowedFd<'_>, name: &OsStr, meta: &Meta) -> io::Result<()> {
    let (file_type, device) = match meta.kind {
        Kind::Fifo => (FileType::Fifo, 0),
        Kind::Socket => (FileType::Socket, 0),
        Kind::CharDevice => (FileType::CharacterDevice, meta.rdev),
        Kind::BlockDevice => (FileType::BlockDevice, meta.rdev),
        Kind::File | Kind::Dir | Kind::Symlink => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{:?} is not a node", meta.kind)));
        }
    };
    Ok(mknodat(at, single(name)?, file_type, permissions(meta.mode)?, device)?)
}

pub(super) fn rename(
    from: BorrowedFd<'_>,
    name: &OsStr,
    to: BorrowedFd<'_>,
    to_name: &OsStr,
    how: Rename,
) -> io::Result<()> {
    let (name, to_name) = (single(name)?, single(to_name)?);
    match how {
        // The old call, which every file system has.
        Rename::Replace => renameat(from, name, to, to_name)?,
        Rename::NoReplace => match renameat_with(from, name, to, to_name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL) => rename_to_free(from, name, to, to_name)?,
            renamed => renamed?,
        },
        Rename::Exchange => renameat_with(from, name, to, to_name, RenameFlags::EXCHANGE)?,
    }
    Ok(())
}

/// For file systems that know only the old rename: looks first. What somebody puts at the name between the look and the
/// rename is replaced. (A directory into itself gives the same error as an unknown request, and gives it again here.)
fn rename_to_free(from: BorrowedFd<'_>, name: &OsStr, to: BorrowedFd<'_>, to_name: &OsStr) -> rustix::io::Result<()> {
    match statat(to, to_name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => renameat(from, name, to, to_name),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    /// No file system here is so old: the part that only such a one takes is called by itself.
    #[test]
    fn a_rename_to_a_free_name_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let at = rustix::fs::open(dir.path(), rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
        let os = OsStr::new;
        for name in ["a", "b", "sub"] {
            create_dir(at.as_fd(), os(name), 0o700).unwrap();
        }
        let rename = |from: &str, to: &str| rename_to_free(at.as_fd(), os(from), at.as_fd(), os(to));
        // An empty directory could be replaced by a plain rename.
        assert_eq!(rename("a", "b"), Err(Errno::EXIST));
        assert_eq!(rename("none", "c"), Err(Errno::NOENT));
        assert_eq!(rename("a", "c"), Ok(()));
        assert_eq!(rename("c", "c/in"), Err(Errno::INVAL));
        assert_eq!(rename("a", "d"), Err(Errno::NOENT));
    }
}
