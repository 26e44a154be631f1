//! The ground that steps are taken on: the disk beneath the places.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use treewal_vfs::{Dir, Disk, ITSELF, Identity, Kind, Meta, RelPath, Rename, errno};

use super::opened::Opened;
use super::{Area, Place, Step};
use crate::make::open_bits;
use crate::{Error, Result};

/// How many directories are kept open while steps are taken.
const OPEN_DIRS_MAX: usize = 256;

/// Resolves places to directory handles, each directory once.
///
/// Every resolution goes through [`Disk::open_dir`] from the tree's own handle, so no step leaves the tree, whatever is
/// planted in it meanwhile.
#[derive(Debug)]
pub struct Ground<'a> {
    disk: &'a dyn Disk,
    pub(super) tree: Dir,
    pub(super) stages: HashMap<String, Dir>,
    /// Directories of the tree ..
    dirs: HashMap<RelPath, Dir>,
    /// .. and those in stages that are not slots.
    staged: HashMap<Place, Dir>,
    /// See [`is_half_done`](Self::is_half_done).
    pub(super) half_done: bool,
    /// Whether directories that are closed to this process are opened.
    pub(super) opens: bool,
    pub(super) opened: Opened<'a>,
    /// Whether a sync has failed, so that contents may be seen and on no disk.
    pub(crate) doubts: bool,
}

impl<'a> Ground<'a> {
    /// The ground of a tree, without any stage yet.
    #[must_use]
    pub fn new(disk: &'a dyn Disk, tree: Dir) -> Self {
        Self {
            disk,
            tree,
            stages: HashMap::new(),
            dirs: HashMap::new(),
            staged: HashMap::new(),
            half_done: false,
            opens: false,
            opened: Opened::none(disk),
            doubts: false,
        }
    }

    /// Where a sync has failed, so that contents may be seen and on no disk.
    #[must_use]
    pub(crate) fn doubting(self, doubts: bool) -> Self {
        Self { doubts, ..self }
    }

    /// Adds a stage directory.
    pub fn add_stage(&mut self, name: &str, dir: Dir) {
        self.stages.insert(name.to_owned(), dir);
    }

    /// A stage that things can be put aside in.
    pub(super) fn any_stage(&self) -> Option<Area> {
        self.stages.keys().next().cloned().map(Area::Stage)
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &'a dyn Disk {
        self.disk
    }

    /// The directory at a place.
    ///
    /// # Errors
    /// As [`Disk::open_dir`]; `NotFound` for a stage that does not exist.
    pub fn dir(&mut self, place: &Place) -> io::Result<Dir> {
        let root = match &place.area {
            Area::Tree => &self.tree,
            Area::Stage(name) => self.stages.get(name).ok_or(io::ErrorKind::NotFound)?,
        };
        if place.path.is_root() {
            return Ok(root.clone());
        }
        let known = match &place.area {
            Area::Tree => self.dirs.get(&place.path),
            Area::Stage(_) => self.staged.get(place),
        };
        if let Some(dir) = known {
            return Ok(dir.clone());
        }
        let root = root.clone();
        let mut dir = self.disk.open_dir(&root, &place.path);
        let is_closed = match &dir {
            Ok(dir) if self.opens => self.disk.stat_dir(dir).is_ok_and(|meta| open_bits(meta.mode) != meta.mode),
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
        };
        if is_closed && self.open_way(place) {
            dir = self.disk.open_dir(&root, &place.path);
        }
        let dir = dir?;
        if self.dirs.len() + self.staged.len() >= OPEN_DIRS_MAX {
            self.forget();
        }
        match &place.area {
            Area::Tree => self.dirs.insert(place.path.clone(), dir.clone()),
            Area::Stage(_) => self.staged.insert(place.clone(), dir.clone()),
        };
        Ok(dir)
    }

    /// The directory that a place is in, and its name there.
    ///
    /// # Errors
    /// As [`dir`](Self::dir).
    pub fn split<'p>(&mut self, place: &'p Place) -> io::Result<(Dir, &'p OsStr)> {
        let Some((parent, name)) = place.path.split_bytes() else {
            // The tree has no other name in itself; a stage is nobody's to look at.
            let itself = (self.tree.clone(), OsStr::new(ITSELF));
            return if place.area == Area::Tree { Ok(itself) } else { Err(io::ErrorKind::InvalidInput.into()) };
        };
        // Without a copy of the path: nearly every place is in a directory that is open already.
        let known = match &place.area {
            Area::Tree if parent.is_empty() => Some(&self.tree),
            Area::Tree => self.dirs.get(parent),
            Area::Stage(stage) if parent.is_empty() => self.stages.get(stage),
            Area::Stage(_) => None,
        };
        if let Some(dir) = known {
            return Ok((dir.clone(), name));
        }
        let path = place.path.parent().unwrap_or_default();
        Ok((self.dir(&Place { area: place.area.clone(), path })?, name))
    }

    /// What stands at a place; `None` where nothing does, also where a directory on the way is missing or is none.
    ///
    /// # Errors
    /// Any other error of the disk.
    pub fn stat(&mut self, place: &Place) -> io::Result<Option<Meta>> {
        let found = self.split(place).and_then(|(dir, name)| self.disk.stat(&dir, name));
        match found {
            Ok(meta) => Ok(Some(Meta { mode: self.opened.mode(&meta).map_or(meta.mode, |mode| *mode), ..meta })),
            Err(error) => match error.raw_os_error() {
                Some(errno::ENOENT | errno::ENOTDIR | errno::ELOOP) => Ok(None),
                _ if error.kind() == io::ErrorKind::NotFound => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Forgets the directories it keeps open: one of them may now stand elsewhere.
    pub fn forget(&mut self) {
        self.dirs.clear();
        self.staged.clear();
    }

    /// Takes one step, and proves that it moved what it was to move.
    ///
    /// The rename is one atomic change of names; nothing is synced. `done` says whether the rename happened, also where
    /// the proof fails: then [`undo`](Self::undo) takes it back.
    ///
    /// # Errors
    /// [`Error::Changed`] where the proof fails; any error of the disk.
    pub fn take(&mut self, step: &Step, identity: &dyn Fn(super::Entity) -> Identity, done: &mut bool) -> Result<()> {
        *done = false;
        match step {
            Step::Move { entity, from, to } => {
                self.rename(from, to, Rename::NoReplace)?;
                *done = true;
                // What came from the stage is ours; who writes to it from the moment it has its name is welcome.
                if from.area == Area::Tree {
                    self.prove(to, &identity(*entity), from)?;
                }
                self.forget_if_dir(&identity(*entity));
            }
            Step::Exchange { entity, displaced, from, to } => {
                self.rename(from, to, Rename::Exchange)?;
                *done = true;
                // What came from the stage is ours alone; what came out of the tree may have been somebody else's.
                self.prove(from, &identity(*displaced), to)?;
                if from.area == Area::Tree {
                    self.prove(to, &identity(*entity), from)?;
                }
                self.forget_if_dir(&identity(*entity));
                self.forget_if_dir(&identity(*displaced));
            }
        }
        Ok(())
    }

    /// Whether the step that failed last is neither done nor as if it had never been taken: then only a recovery can put
    /// things right. It can happen where the file system cannot exchange two names in one step.
    #[must_use]
    pub fn is_half_done(&self) -> bool {
        self.half_done
    }

    /// Takes a step back.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn undo(&mut self, step: &Step) -> Result<()> {
        self.forget();
        match step {
            Step::Move { from, to, .. } => self.rename(to, from, Rename::NoReplace),
            Step::Exchange { from, to, .. } => self.rename(to, from, Rename::Exchange),
        }
    }

    /// Renames without any proof: for what is ours alone.
    pub(crate) fn rename(&mut self, from: &Place, to: &Place, how: Rename) -> Result<()> {
        if how == Rename::Exchange {
            return self.exchange(from, to);
        }
        let at = if to.area == Area::Tree { to } else { from };
        self.rename_on_disk(from, to, how).map_err(failed("rename", at))
    }

    pub(super) fn rename_on_disk(&mut self, from: &Place, to: &Place, how: Rename) -> io::Result<()> {
        let (from_dir, from_name) = self.split(from)?;
        let (to_dir, to_name) = self.split(to)?;
        match self.disk.rename(&from_dir, from_name, &to_dir, to_name, how) {
            // A directory that comes to another one is written to itself: it holds the name of the one above.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let opened = self.open_way(from) | self.open_way(to);
                if opened { self.disk.rename(&from_dir, from_name, &to_dir, to_name, how) } else { Err(error) }
            }
            renamed => renamed,
        }
    }

    fn prove(&mut self, at: &Place, expected: &Identity, about: &Place) -> Result<()> {
        let found = self.stat(at).map_err(failed("look at", at))?;
        if found.is_some_and(|meta| meta.identity() == *expected) {
            return Ok(());
        }
        Err(Error::Changed { path: shown(about) })
    }

    fn forget_if_dir(&mut self, identity: &Identity) {
        if identity.kind == Kind::Dir {
            self.forget();
        }
    }
}

/// An error about a place, which is only put into words where there is one.
fn failed(verb: &'static str, at: &Place) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::io(verb, shown(at))(error)
}

/// A place as a path for people: relative to the tree.
pub(crate) fn shown(place: &Place) -> PathBuf {
    match &place.area {
        Area::Tree => place.path.to_path(),
        Area::Stage(name) => {
            RelPath::root().join(crate::home::DIR_NAME).join("stage").join(name).join_path(&place.path).to_path()
        }
    }
}
