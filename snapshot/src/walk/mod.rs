//! Walking a tree: which names there are, in order and from one thread, and what is done with each of them, by several.
//!
//! [`Names`] lists directories one after the other and hands out their names in the order of paths, in [`Run`]s of one
//! directory. [`walk`] gives runs to threads and what they make of them, in order, to the caller.

mod crew;
mod names;

use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, Disk, ITSELF, Meta, RelPath, errno};

pub(crate) use crew::{Threads, walk};
pub(crate) use names::{Met, Names, Run, Step};

use crate::{Error, Result};

/// What a directory needs so that its owner can read, change and pass it.
pub(crate) const OWNER_ALL: u32 = 0o700;

/// The directory that a path is in, and its name there; the tree itself is in itself.
pub(crate) fn split(path: &RelPath) -> (RelPath, &OsStr) {
    path.split().unwrap_or_else(|| (RelPath::root(), OsStr::new(ITSELF)))
}

/// Opens the directory at `path`; `None` where there is none: nothing, or something else, or that further up.
pub(crate) fn open_parent(disk: &dyn Disk, tree: &Dir, path: &RelPath) -> Result<Option<Dir>> {
    match disk.open_dir(tree, path) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(refused(error, path)),
    }
}

/// Describes the last component of `path` in the directory that it is in.
pub(crate) fn stat(disk: &dyn Disk, dir: &Dir, path: &RelPath) -> Result<Option<Meta>> {
    stat_name(disk, dir, split(path).1).map_err(|source| Error::Io { verb: "describe", path: path.clone(), source })
}

fn stat_name(disk: &dyn Disk, dir: &Dir, name: &OsStr) -> io::Result<Option<Meta>> {
    match disk.stat(dir, name) {
        Err(error) if is_absent(&error) => Ok(None),
        meta => meta.map(Some),
    }
}

/// Whether there is no such directory, seen from a path that leads through it.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || matches!(error.raw_os_error(), Some(errno::ENOTDIR | errno::ELOOP))
}

/// Why a directory that was just seen could not be opened.
pub(crate) fn refused(error: io::Error, path: &RelPath) -> Error {
    let path = path.clone();
    match error.raw_os_error() {
        Some(errno::EXDEV) => Error::OtherFileSystem { path },
        _ if is_absent(&error) => Error::Changed { path },
        _ => Error::Io { verb: "open", path, source: error },
    }
}
