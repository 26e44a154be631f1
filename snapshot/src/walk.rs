//! Walking a tree: a directory before what is in it, names sorted, one directory open at a time, no recursion.

use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, Disk, ITSELF, Kind, Meta, RelPath, errno};

use crate::{Error, Result};

/// What a directory needs so that its owner can read, change and pass it.
pub(crate) const OWNER_ALL: u32 = 0o700;

/// One entry on the way.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// The directory that it is in and its name there.
    pub(crate) at: (&'a Dir, &'a OsStr),
    pub(crate) path: &'a RelPath,
    pub(crate) meta: Meta,
}

/// How to walk.
pub(crate) struct Walk<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) tree: &'a Dir,
    /// Paths that are not looked at, nor anything beneath them.
    pub(crate) skip: &'a dyn Fn(&RelPath) -> bool,
    /// Whether a directory that may not be read is made readable for its owner.
    pub(crate) unlock: bool,
}

/// What the walk met beside the entries that it handed out.
#[derive(Debug, Default)]
pub(crate) struct Met {
    /// Skipped paths that exist.
    pub(crate) skipped: Vec<RelPath>,
    /// Directories that were made readable: their mode is not the one that was handed out.
    pub(crate) unlocked: Vec<RelPath>,
}

impl Walk<'_> {
    /// Hands out `start` and everything beneath it. Nothing where nothing is at `start`.
    ///
    /// # Errors
    /// [`Error::Changed`] where an entry vanishes while it is looked at, [`Error::OtherFileSystem`] for a mount, those
    /// of `visit` and of the disk.
    pub(crate) fn run(&self, start: &RelPath, visit: &mut dyn FnMut(Step<'_>) -> Result<()>) -> Result<Met> {
        let mut met = Met::default();
        let mut dirs = Vec::new();
        if let Some(meta) = self.first(start, visit)? {
            if meta.kind == Kind::Dir {
                dirs.push((start.clone(), meta));
            }
        }
        while let Some((path, meta)) = dirs.pop() {
            let (dir, children) = match self.children(&path, &mut met) {
                Err(error) if self.unlock && is_denied(&error) && meta.mode & OWNER_ALL != OWNER_ALL => {
                    self.open_up(&path, meta.mode)?;
                    met.unlocked.push(path.clone());
                    self.children(&path, &mut met)?
                }
                children => children?,
            };
            let first = dirs.len();
            for (path, meta) in children {
                let Some(name) = path.name() else { continue };
                visit(Step { at: (&dir, name), path: &path, meta })?;
                if meta.kind == Kind::Dir {
                    dirs.push((path, meta));
                }
            }
            dirs[first..].reverse();
        }
        Ok(met)
    }

    fn first(&self, start: &RelPath, visit: &mut dyn FnMut(Step<'_>) -> Result<()>) -> Result<Option<Meta>> {
        let (parent, name) = split(start);
        let Some(dir) = open_parent(self.disk, self.tree, &parent)? else { return Ok(None) };
        let Some(meta) = stat(self.disk, &dir, start)? else { return Ok(None) };
        visit(Step { at: (&dir, name), path: start, meta })?;
        Ok(Some(meta))
    }

    /// What is in a directory, sorted by name.
    fn children(&self, path: &RelPath, met: &mut Met) -> Result<(Dir, Vec<(RelPath, Meta)>)> {
        let dir = self.disk.open_dir(self.tree, path).map_err(|error| refused(error, path))?;
        let mut names: Vec<_> =
            self.disk.list(&dir).map_err(Error::io("list", path))?.into_iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        let mut children = Vec::with_capacity(names.len());
        for name in names {
            let child = path.join(&name);
            if (self.skip)(&child) {
                met.skipped.push(child);
                continue;
            }
            let meta = stat(self.disk, &dir, &child)?.ok_or_else(|| Error::Changed { path: child.clone() })?;
            children.push((child, meta));
        }
        Ok((dir, children))
    }

    fn open_up(&self, path: &RelPath, mode: u32) -> Result<()> {
        let (parent, name) = split(path);
        let dir = self.disk.open_dir(self.tree, &parent).map_err(|error| refused(error, path))?;
        self.disk.set_mode(&dir, name, mode | OWNER_ALL).map_err(Error::io("make readable", path))
    }
}

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
    match disk.stat(dir, split(path).1) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::Io { verb: "describe", path: path.clone(), source: error }),
    }
}

/// Whether there is no such directory, seen from a path that leads through it.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || matches!(error.raw_os_error(), Some(errno::ENOTDIR | errno::ELOOP))
}

fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
}

/// Why a directory that was just seen could not be opened.
fn refused(error: io::Error, path: &RelPath) -> Error {
    let path = path.clone();
    match error.raw_os_error() {
        Some(errno::EXDEV) => Error::OtherFileSystem { path },
        _ if is_absent(&error) => Error::Changed { path },
        _ => Error::Io { verb: "open", path, source: error },
    }
}
