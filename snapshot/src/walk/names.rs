//! The names of a tree in the order of their paths, and a directory's right before what is in it. No recursion.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::vec;

use treewal_vfs::{Dir, Disk, ITSELF, Kind, Meta, RelPath};

use super::{OWNER_ALL, open_parent, refused, split, stat_name};
use crate::{Error, Result};

/// How many directories of the way down are kept open; those above are opened anew when the way leads back to them.
const OPEN_MAX: usize = 32;

/// Names of one directory, one after the other.
#[derive(Debug)]
pub(crate) struct Run {
    dir: Dir,
    path: Arc<RelPath>,
    names: Vec<Name>,
}

/// A name that is handed out.
#[derive(Debug)]
struct Name {
    name: OsString,
    kind: Kind,
    again: bool,
}

/// One entry on the way.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// The directory that it is in and its name there; the tree is in itself.
    pub(crate) at: (&'a Dir, &'a OsStr),
    /// The path of the directory that it is in.
    parent: &'a RelPath,
    /// What the listing of the directory said.
    pub(crate) kind: Kind,
    /// Whether a name that came before has the same inode number, as listings say: see [`Names::inodes`].
    pub(crate) again: bool,
}

impl Run {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Each name in its directory.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        (0..self.len()).filter_map(|at| self.step(at))
    }

    /// One of the names, from 0 on.
    pub(crate) fn step(&self, at: usize) -> Option<Step<'_>> {
        let Name { name, kind, again } = self.names.get(at)?;
        Some(Step { at: (&self.dir, name), parent: &self.path, kind: *kind, again: *again })
    }
}

impl Step<'_> {
    /// Its path.
    pub(crate) fn path(&self) -> RelPath {
        if self.at.1 == ITSELF { RelPath::root() } else { self.parent.join(self.at.1) }
    }

    /// Its path as bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        if self.at.1 == ITSELF {
            return Vec::new();
        }
        let mut out = self.parent.to_bytes();
        if !out.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(self.at.1.as_bytes());
        out
    }

    /// What the disk says of it.
    ///
    /// # Errors
    /// [`Error::Changed`] where it is gone, or became a directory or ceased to be one.
    pub(crate) fn meta(&self, disk: &dyn Disk) -> Result<Meta> {
        self.meta_if_there(disk)?.ok_or_else(|| Error::Changed { path: self.path() })
    }

    /// The same; `None` where it is gone.
    pub(crate) fn meta_if_there(&self, disk: &dyn Disk) -> Result<Option<Meta>> {
        let meta = stat_name(disk, self.at.0, self.at.1);
        let meta = meta.map_err(|source| Error::Io { verb: "describe", path: self.path(), source })?;
        match meta {
            Some(meta) if (meta.kind == Kind::Dir) != (self.kind == Kind::Dir) => {
                Err(Error::Changed { path: self.path() })
            }
            meta => Ok(meta),
        }
    }
}

/// What the walk met beside the names that it handed out.
#[derive(Debug, Default)]
pub(crate) struct Met {
    /// Skipped paths that exist.
    pub(crate) skipped: Vec<RelPath>,
    /// Directories that were made readable: their mode is not the one that they had.
    pub(crate) unlocked: Vec<(RelPath, u32)>,
    /// Starts where nothing is.
    pub(crate) missing: Vec<RelPath>,
}

/// Hands out what is at some paths and everything beneath them, in order.
pub(crate) struct Names<'a> {
    disk: &'a dyn Disk,
    tree: &'a Dir,
    /// Where to begin, the next one last.
    starts: Vec<RelPath>,
    skip: &'a [RelPath],
    /// Whether a directory that may not be read is made readable for its owner.
    unlock: bool,
    levels: Vec<Level>,
    /// The inode numbers of all files so far; `None` where nobody wants to know.
    inodes: Option<HashSet<u64>>,
    pub(crate) met: Met,
}

/// A name as a directory lists it, what it is where the directory says so, and the number of its inode.
type Listed = (OsString, Option<Kind>, u64);

/// A directory of which names are left.
struct Level {
    path: Arc<RelPath>,
    /// `None` where the way down went on too far; see [`OPEN_MAX`].
    dir: Option<Dir>,
    names: vec::IntoIter<Listed>,
}

impl<'a> Names<'a> {
    /// `starts` are sorted and none inside another; `skip` are not looked at, nor anything beneath them.
    pub(crate) fn new(
        disk: &'a dyn Disk,
        tree: &'a Dir,
        starts: impl DoubleEndedIterator<Item = RelPath>,
        skip: &'a [RelPath],
        unlock: bool,
    ) -> Self {
        let starts = starts.rev().collect();
        Self { disk, tree, starts, skip, unlock, levels: Vec::new(), inodes: None, met: Met::default() }
    }

    /// The same, and says of each file whether its inode came by already. That is eight bytes for each file, and spares a
    /// look at it before something is done to it.
    pub(crate) fn inodes(self) -> Self {
        Self { inodes: Some(HashSet::new()), ..self }
    }

    fn named(&mut self, name: OsString, kind: Kind, ino: u64) -> Name {
        let again = kind == Kind::File && self.inodes.as_mut().is_some_and(|inodes| !inodes.insert(ino));
        Name { name, kind, again }
    }

    /// The next names, at most `names_max`; `None` after the last. Nothing for a start where nothing is.
    ///
    /// # Errors
    /// [`Error::Changed`] where a directory vanishes meanwhile, [`Error::OtherFileSystem`] for a mount; those of the
    /// disk.
    pub(crate) fn next(&mut self, names_max: usize) -> Result<Option<Run>> {
        loop {
            let Some(last) = self.levels.len().checked_sub(1) else {
                let Some(start) = self.starts.pop() else { return Ok(None) };
                match self.begin(&start)? {
                    None => self.met.missing.push(start),
                    run => return Ok(run),
                }
                continue;
            };
            self.reopen(last)?;
            let run = self.some(last, names_max)?;
            if run.is_some() {
                return Ok(run);
            }
        }
    }

    fn begin(&mut self, start: &RelPath) -> Result<Option<Run>> {
        let (parent, name) = split(start);
        let Some(dir) = open_parent(self.disk, self.tree, &parent)? else { return Ok(None) };
        let met = stat_name(self.disk, &dir, name);
        let Some(meta) = met.map_err(Error::io("describe", start))? else { return Ok(None) };
        let named = self.named(name.to_os_string(), meta.kind, meta.ino);
        let run = Run { dir, path: Arc::new(parent), names: vec![named] };
        if meta.kind == Kind::Dir {
            self.enter(&Arc::new(start.clone()), Some(meta.mode))?;
        }
        Ok(Some(run))
    }

    /// Names of the deepest level up to and including the next directory, which becomes the deepest; `None`, and the
    /// level gone, where none is left.
    fn some(&mut self, last: usize, names_max: usize) -> Result<Option<Run>> {
        let level = &self.levels[last];
        let path = Arc::clone(&level.path);
        let Some(dir) = level.dir.clone() else { return Ok(None) };
        let mut names = Vec::with_capacity(level.names.len().min(names_max));
        let mut below = None;
        while names.len() < names_max && below.is_none() {
            let Some((name, kind, ino)) = self.levels[last].names.next() else { break };
            let kind = match kind {
                Some(kind) => kind,
                None => {
                    let child = path.join(&name);
                    let meta = stat_name(self.disk, &dir, &name).map_err(Error::io("describe", &child))?;
                    meta.ok_or(Error::Changed { path: child })?.kind
                }
            };
            if kind == Kind::Dir {
                below = Some(path.join(&name));
            }
            names.push(self.named(name, kind, ino));
        }
        if names.is_empty() {
            self.levels.pop();
            return Ok(None);
        }
        if let Some(below) = below {
            self.enter(&Arc::new(below), None)?;
        }
        Ok(Some(Run { dir, path, names }))
    }

    fn enter(&mut self, path: &Arc<RelPath>, mode: Option<u32>) -> Result<()> {
        let (dir, names) = match self.children(path) {
            Err(error) if self.unlock && is_denied(&error) && self.open_up(path, mode)? => self.children(path)?,
            children => children?,
        };
        self.levels.push(Level { path: Arc::clone(path), dir: Some(dir), names: names.into_iter() });
        if let Some(far) = self.levels.len().checked_sub(OPEN_MAX + 1) {
            self.levels[far].dir = None;
        }
        Ok(())
    }

    /// What is in a directory, sorted by name.
    fn children(&mut self, path: &RelPath) -> Result<(Dir, Vec<Listed>)> {
        let dir = self.disk.open_dir(self.tree, path).map_err(|error| refused(error, path))?;
        let listed = self.disk.list(&dir).map_err(Error::io("list", path))?;
        let mut names: Vec<_> = listed.into_iter().map(|entry| (entry.name, entry.kind, entry.ino)).collect();
        names.sort_unstable();
        for skipped in self.skip.iter().filter(|skipped| skipped.parent().as_ref() == Some(path)) {
            let Some(name) = skipped.name() else { continue };
            if let Ok(at) = names.binary_search_by(|(other, ..)| other.as_os_str().cmp(name)) {
                names.remove(at);
                self.met.skipped.push(skipped.clone());
            }
        }
        Ok((dir, names))
    }

    /// Lets the owner of a directory read it; says whether it was that which was missing.
    fn open_up(&mut self, path: &RelPath, mode: Option<u32>) -> Result<bool> {
        let (parent, name) = split(path);
        let dir = self.disk.open_dir(self.tree, &parent).map_err(|error| refused(error, path))?;
        let mode = match mode {
            Some(mode) => mode,
            None => self.disk.stat(&dir, name).map_err(Error::io("describe", path))?.mode,
        };
        if mode & OWNER_ALL == OWNER_ALL {
            return Ok(false);
        }
        self.disk.set_mode(&dir, name, mode | OWNER_ALL).map_err(Error::io("make readable", path))?;
        self.met.unlocked.push((path.clone(), mode));
        Ok(true)
    }

    fn reopen(&mut self, last: usize) -> Result<()> {
        let level = &mut self.levels[last];
        if level.dir.is_none() {
            let dir = self.disk.open_dir(self.tree, &level.path).map_err(|error| refused(error, &level.path))?;
            level.dir = Some(dir);
        }
        Ok(())
    }
}

fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
}
