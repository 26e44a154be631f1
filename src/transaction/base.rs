//! The tree as it is on the disk, as a transaction looks at it: never through a symlink, never changed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;

use treewal_vfs::{Dir, Disk, Entry, File, ITSELF, Identity, Meta, Open, RelPath};

use crate::{Error, Result};

/// A look at the tree, with the directories it has opened kept open: a commit that touches many files of one directory
/// resolves its path once.
pub(crate) struct Base {
    disk: Arc<dyn Disk>,
    root: Dir,
    dirs: RefCell<HashMap<RelPath, Dir>>,
    /// What was found where, the first time that the transaction looked.
    seen: RefCell<HashMap<RelPath, Option<Identity>>>,
}

/// How many directories a look keeps open.
const OPEN_DIRS_MAX: usize = 256;

impl Base {
    pub(crate) fn new(disk: Arc<dyn Disk>, root: Dir) -> Self {
        Self { disk, root, dirs: RefCell::default(), seen: RefCell::default() }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The directory at `path`.
    pub(crate) fn dir(&self, verb: &'static str, path: &RelPath) -> Result<Dir> {
        if path.is_root() {
            return Ok(self.root.clone());
        }
        if let Some(dir) = self.dirs.borrow().get(path) {
            return Ok(dir.clone());
        }
        let dir = self.disk.open_dir(&self.root, path).map_err(Error::io(verb, path))?;
        let mut dirs = self.dirs.borrow_mut();
        if dirs.len() >= OPEN_DIRS_MAX {
            dirs.clear();
        }
        dirs.insert(path.clone(), dir.clone());
        Ok(dir)
    }

    /// The directory that `path` is in, and its name there.
    fn at<'p>(&self, verb: &'static str, path: &'p RelPath) -> Result<(Dir, &'p OsStr)> {
        let invalid = || Error::kinded(verb, path, io::ErrorKind::InvalidInput);
        let (parent, name) = path.split_bytes().ok_or_else(invalid)?;
        // Without a copy of the parent: nearly every path is in a directory that is open already.
        if let Some(dir) = self.dirs.borrow().get(parent) {
            return Ok((dir.clone(), name));
        }
        let parent = path.parent().unwrap_or_default();
        Ok((self.dir(verb, &parent)?, name))
    }

    /// What stands at `path`; `None` where nothing does. It is remembered what that was.
    pub(crate) fn stat(&self, verb: &'static str, path: &RelPath) -> Result<Option<Meta>> {
        let meta = self.look(verb, path)?;
        let identity = meta.map(|meta| meta.identity());
        self.seen.borrow_mut().entry(path.clone()).or_insert(identity);
        Ok(meta)
    }

    /// The same for what the transaction is about to change: it must still be what the transaction saw there, or else
    /// what it read of it is no longer so.
    ///
    /// # Errors
    /// [`Error::Conflict`].
    pub(crate) fn stat_again(&self, verb: &'static str, path: &RelPath) -> Result<Option<Meta>> {
        let meta = self.look(verb, path)?;
        let identity = meta.map(|meta| meta.identity());
        match self.seen.borrow().get(path) {
            Some(seen) if *seen != identity => {
                let detail = "somebody changed it since this transaction looked at it".to_owned();
                Err(Error::Conflict { path: path.to_path(), detail })
            }
            _ => Ok(meta),
        }
    }

    /// The same, without keeping in mind what it saw: for what the transaction is about to put there itself.
    pub(crate) fn look(&self, verb: &'static str, path: &RelPath) -> Result<Option<Meta>> {
        if path.is_root() {
            return self.disk.stat_dir(&self.root).map(Some).map_err(Error::io(verb, path));
        }
        let (dir, name) = self.at(verb, path)?;
        match self.disk.stat(&dir, name) {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(verb, path)(error)),
        }
    }

    pub(crate) fn list(&self, verb: &'static str, path: &RelPath) -> Result<Vec<Entry>> {
        let dir = self.dir(verb, path)?;
        self.disk.list(&dir).map_err(Error::io(verb, path))
    }

    pub(crate) fn open(&self, verb: &'static str, path: &RelPath) -> Result<File> {
        let (dir, name) = self.at(verb, path)?;
        self.disk.open(&dir, name, Open::Read).map_err(Error::io(verb, path))
    }

    /// The file at `path`, for reading and for writing in place, where something is mounted there; else `None`.
    pub(crate) fn mounted(&self, verb: &'static str, path: &RelPath) -> Result<Option<File>> {
        let (dir, name) = self.at(verb, path)?;
        match self.disk.stat(&dir, name) {
            Ok(Meta { mounted: true, .. }) => {
                self.disk.open(&dir, name, Open::ReadWrite).map(Some).map_err(Error::io(verb, path))
            }
            // What cannot be asked is met by the renames.
            _ => Ok(None),
        }
    }

    pub(crate) fn read_link(&self, verb: &'static str, path: &RelPath) -> Result<OsString> {
        let (dir, name) = self.at(verb, path)?;
        self.disk.read_link(&dir, name).map_err(Error::io(verb, path))
    }

    pub(crate) fn xattrs(&self, verb: &'static str, path: &RelPath) -> Result<Vec<(OsString, Vec<u8>)>> {
        let (dir, name) = if path.is_root() { (self.root.clone(), OsStr::new(ITSELF)) } else { self.at(verb, path)? };
        self.disk.xattrs(&dir, name).map_err(Error::io(verb, path))
    }
}

/// Parent and name; the tree's own root cannot be the object of an operation that needs them.
pub(crate) fn split(verb: &'static str, path: &RelPath) -> Result<(RelPath, OsString)> {
    match path.split() {
        Some((parent, name)) => Ok((parent, name.to_os_string())),
        None => Err(Error::kinded(verb, path, io::ErrorKind::InvalidInput)),
    }
}
