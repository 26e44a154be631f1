//! Doing what a plan says, one action after another. Every directory is found anew from the tree, through no symlink.

use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, Disk, Kind, RelPath};

use super::attributes::set_back;
use super::backups::Backups;
use super::exchange::is_in_use;
use super::extract::Extract;
use super::place::{Bench, Item};
use super::plan::Action;
use super::{Restored, WORK};
use crate::ladder::backup_place;
use crate::manifest::Entry;
use crate::walk::split;
use crate::{Error, Result};

/// A directory that is being filled is its owner's alone; it gets its own mode at the end.
const PRIVATE_DIR: u32 = 0o700;

pub(super) fn apply(
    disk: &dyn Disk,
    tree: &Dir,
    from: &Dir,
    extract: &Extract,
    actions: &[Action],
) -> Result<Restored> {
    if actions.is_empty() {
        return Ok(Restored::default());
    }
    let bench = work_dir(disk, from).and_then(|dir| Bench::new(disk, dir)).map_err(Error::own("open", WORK))?;
    let mut hands = Hands {
        disk,
        tree,
        from,
        extract,
        bench,
        parent: None,
        backups: Backups::new(disk, from),
        done: Restored::default(),
    };
    for action in actions {
        hands.act(action)?;
    }
    Ok(hands.done)
}

pub(super) fn work_dir(disk: &dyn Disk, from: &Dir) -> io::Result<Dir> {
    let path = RelPath::root().join(WORK);
    match disk.open_dir(from, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.create_dir(from, OsStr::new(WORK), PRIVATE_DIR)?;
            disk.open_dir(from, &path)
        }
        opened => opened,
    }
}

struct Hands<'a> {
    disk: &'a dyn Disk,
    tree: &'a Dir,
    from: &'a Dir,
    extract: &'a Extract,
    bench: Bench<'a>,
    /// The directory of the last action: most actions are in the same one as the action before.
    parent: Option<(RelPath, Dir)>,
    backups: Backups<'a>,
    done: Restored,
}

impl<'a> Hands<'a> {
    fn act(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::Unlock { path, mode } => self.unlock(path, *mode),
            Action::Remove { path, dir } => self.remove(path, *dir),
            Action::Prune { path } => self.prune(path),
            Action::MakeDir { place, over } => self.make_dir(self.entry(*place)?, *over),
            Action::Barrier => self.disk.sync_all(self.from).map_err(Error::own("sync", WORK)),
            Action::Put { place, backup, over } => self.put(self.entry(*place)?, *backup, *over),
            Action::Make { place, over } => self.make(self.entry(*place)?, *over),
            Action::Link { place, of, over } => self.link(self.entry(*place)?, self.entry(*of)?, *over),
            Action::Attributes { place } => self.attributes(self.entry(*place)?),
            Action::Ancestor { place, times, mode } => self.ancestor(self.entry(*place)?, *times, *mode),
        }
    }

    fn entry(&self, place: usize) -> Result<&'a Entry> {
        let extract: &'a Extract = self.extract;
        // The plan was made from this very extract.
        extract.entries().get(place).ok_or(Error::Incomplete { what: "the plan names an entry that does not exist" })
    }

    /// The directory that `path` is in, and its name there.
    fn locate<'p>(&mut self, path: &'p RelPath) -> Result<(Dir, &'p OsStr)> {
        let (parent, name) = split(path);
        if let Some((_, dir)) = self.parent.as_ref().filter(|(open, _)| *open == parent) {
            return Ok((dir.clone(), name));
        }
        let dir = self.disk.open_dir(self.tree, &parent).map_err(Error::io("open the directory of", path))?;
        self.parent = Some((parent, dir.clone()));
        Ok((dir, name))
    }

    fn unlock(&mut self, path: &RelPath, mode: u32) -> Result<()> {
        let (dir, name) = self.locate(path)?;
        match self.disk.set_mode(&dir, name, mode) {
            // Not ours; as one of its group we may still do what we must, and else that is the error to tell.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            set => set.map_err(Error::io("make writable", path)),
        }
    }

    fn remove(&mut self, path: &RelPath, is_dir: bool) -> Result<()> {
        let (dir, name) = self.locate(path)?;
        let removed = if is_dir { self.disk.remove_dir(&dir, name) } else { self.disk.remove_file(&dir, name) };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => {
                removed.map_err(Error::io("remove", path))?;
                self.done.removed += 1;
                Ok(())
            }
        }
    }

    fn prune(&mut self, path: &RelPath) -> Result<()> {
        let (dir, name) = self.locate(path)?;
        match self.disk.remove_dir(&dir, name) {
            Err(error) if is_in_use(&error) => Ok(()),
            Err(error) => Err(Error::io("remove", path)(error)),
            Ok(()) => {
                self.done.removed += 1;
                Ok(())
            }
        }
    }

    /// Attributes come later, when everything is in it.
    fn make_dir(&mut self, entry: &Entry, over: Option<Kind>) -> Result<()> {
        let (dir, name) = self.locate(&entry.path)?;
        if over.is_none() {
            self.disk.create_dir(&dir, name, PRIVATE_DIR).map_err(Error::io("create", &entry.path))?;
        } else {
            let disk = self.disk;
            let made = self.bench.make(|dir, name| disk.create_dir(dir, name, PRIVATE_DIR));
            let made = made.map_err(Error::io("create", &entry.path))?;
            self.put_from_bench(&made, entry, over)?;
        }
        self.done.restored += 1;
        // A handle on a directory of this name, or beneath, would be on what was displaced.
        self.parent = None;
        Ok(())
    }

    fn put(&mut self, entry: &Entry, backup: u64, over: Option<Kind>) -> Result<()> {
        let (home, own_name) = backup_place(backup);
        let failed = |error| Error::io("open the backup of", &entry.path)(error);
        let own = self.backups.home(home).map_err(failed)?;
        let own = own.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        set_back(self.disk, &own, &own_name, entry).map_err(Error::io("prepare the backup of", &entry.path))?;
        let (dir, name) = self.locate(&entry.path)?;
        let item = Item { dir: &own, name: &own_name, kind: Kind::File };
        self.bench.put(&item, &dir, name, over).map_err(Error::io("put back", &entry.path))?;
        self.done.restored += 1;
        Ok(())
    }

    fn make(&mut self, entry: &Entry, over: Option<Kind>) -> Result<()> {
        let disk = self.disk;
        let made = self.bench.make(|dir, name| match &entry.target {
            Some(target) => disk.symlink(target, dir, name),
            None => disk.make_node(dir, name, &entry.meta),
        });
        let made = made.map_err(Error::io("make", &entry.path))?;
        set_back(disk, &self.bench.dir, &made, entry).map_err(Error::io("set attributes of", &entry.path))?;
        self.put_from_bench(&made, entry, over)?;
        self.done.restored += 1;
        Ok(())
    }

    fn link(&mut self, entry: &Entry, of: &Entry, over: Option<Kind>) -> Result<()> {
        let disk = self.disk;
        let (from, from_name) = self.locate(&of.path)?;
        let made = self.bench.make(|dir, name| disk.hard_link(&from, from_name, dir, name));
        let made = made.map_err(Error::io("link", &of.path))?;
        self.put_from_bench(&made, entry, over)?;
        self.done.restored += 1;
        Ok(())
    }

    fn put_from_bench(&mut self, made: &OsStr, entry: &Entry, over: Option<Kind>) -> Result<()> {
        let (dir, name) = self.locate(&entry.path)?;
        let own = self.bench.dir.clone();
        let item = Item { dir: &own, name: made, kind: entry.meta.kind };
        self.bench.put(&item, &dir, name, over).map_err(Error::io("put back", &entry.path))
    }

    fn attributes(&mut self, entry: &Entry) -> Result<()> {
        let (dir, name) = self.locate(&entry.path)?;
        if set_back(self.disk, &dir, name, entry).map_err(Error::io("set attributes of", &entry.path))? {
            self.done.metadata += 1;
        }
        Ok(())
    }

    fn ancestor(&mut self, entry: &Entry, times: bool, mode: Option<u32>) -> Result<()> {
        let (dir, name) = self.locate(&entry.path)?;
        let then = &entry.meta;
        if let Some(mode) = mode {
            self.disk.set_mode(&dir, name, mode).map_err(Error::io("set the mode of", &entry.path))?;
        }
        if times {
            let set = self.disk.set_times(&dir, name, then.accessed, then.modified);
            set.map_err(Error::io("set the times of", &entry.path))?;
        }
        Ok(())
    }
}
