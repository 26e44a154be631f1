//! What is taken into the stage from elsewhere: moved where it can be, else copied, and given back where the
//! transaction comes to nothing.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use treewal_recovery::home::{DIR_NAME, adopted_name};
use treewal_recovery::make::{Filling, Look, finish, make, open_bits};
use treewal_snapshot::Entry;
use treewal_vfs::{Dir, Disk, Identity, Kind, Meta, Open, RelPath, Rename, copy_contents, errno, remove_tree};

use super::Base;
use crate::engine::{Engine, Stage, slot_name};
use crate::{Error, Result};

/// Something that a transaction is to publish.
pub(crate) struct Adopted {
    stage: Arc<Stage>,
    source: PathBuf,
    /// Where it stands, or stood, and its name there.
    at: Dir,
    from: OsString,
    meta: Meta,
    /// Its name in the stage.
    name: OsString,
    /// Whether it was moved; else a copy of it stands in the stage.
    moved: bool,
    /// What was put into it that it did not have, what is in a directory after the directory.
    added: Vec<RelPath>,
}

impl Adopted {
    /// Looks for it; changes nothing.
    pub(super) fn find(stage: Arc<Stage>, source: &Path) -> Result<Self> {
        let io = |error| Error::from_os("publish", source.to_owned(), error);
        let (parent, from) = match (source.parent(), source.file_name()) {
            (Some(parent), Some(from)) => (parent, from.to_os_string()),
            _ => return Err(io(io::ErrorKind::InvalidInput.into())),
        };
        let at = stage.disk().open_root(parent).map_err(io)?;
        let meta = stage.disk().stat(&at, &from).map_err(io)?;
        let name = OsString::new();
        Ok(Self { stage, source: source.to_owned(), at, from, meta, name, moved: false, added: Vec::new() })
    }

    /// Makes a fifo, a socket or a device in the stage, with all that a snapshot knows of it. Being a slot like any other, it
    /// goes with the stage where its owner dies.
    pub(super) fn make(stage: Arc<Stage>, entry: &Entry) -> Result<Self> {
        let slot = stage.slot();
        let (name, dir) = (slot_name(slot), stage.dir().clone());
        match make_node(stage.disk(), &dir, &name, entry) {
            Ok(meta) => {
                let (source, from) = (entry.path.to_path(), name.clone());
                Ok(Self { stage, source, at: dir, from, meta, name, moved: false, added: Vec::new() })
            }
            Err(error) => {
                stage.discard(slot);
                Err(Error::io("restore", &entry.path)(error))
            }
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.meta.kind
    }

    pub(super) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Its path from the root of the tree, while it is in the stage.
    pub(super) fn path(&self) -> RelPath {
        let stage = self.stage.name();
        RelPath::root().join(DIR_NAME).join("stage").join(stage).join(&self.name)
    }

    /// Takes it into the stage. A kill from here on leaves it there, and the sweep of the stage puts it into quarantine.
    pub(super) fn take(&mut self, root: &Meta) -> Result<()> {
        let slot = self.stage.slot();
        let (disk, dir) = (self.stage.disk(), self.stage.dir());
        self.name = adopted_name(slot);
        let io = |error| Error::from_os("publish", self.source.clone(), error);
        let moved = match self.meta.dev == root.dev {
            true => disk.rename(&self.at, &self.from, dir, &self.name, Rename::NoReplace),
            false => Err(io::Error::from_raw_os_error(errno::EXDEV)),
        };
        match moved {
            Ok(()) => self.moved = true,
            // Another mount, perhaps of the same device.
            Err(error) if error.raw_os_error() == Some(errno::EXDEV) => {
                self.name = slot_name(slot);
                if let Err(error) = copy_tree(disk, (&self.at, &self.from), (dir, &self.name)) {
                    self.stage.discard(slot);
                    return Err(io(error));
                }
            }
            Err(error) => return Err(io(error)),
        }
        Ok(())
    }

    /// Gives into it what only the directory at `old` has; gives the entries that are linked to.
    ///
    /// Crash argument: as long as it is not durable that it was taken, a loss of power may bring it back to where it was, and who works
    /// on it there must not work on files of the tree. So it is durable in the stage before it gets a name of any.
    pub(super) fn keep_unmanaged(&mut self, base: &Base, old: &RelPath) -> Result<Vec<(RelPath, Identity)>> {
        let verb = "publish";
        let mut seen = Vec::new();
        let mut dirs = vec![RelPath::root()];
        let mut made = Vec::new();
        while let Some(dir) = dirs.pop() {
            let (old_path, new_path) = (old.join_path(&dir), self.path().join_path(&dir));
            let (old_dir, new_dir) = (base.dir(verb, &old_path)?, base.dir(verb, &new_path)?);
            for entry in base.list(verb, &old_path)? {
                let path = old_path.join(&entry.name);
                let Some(meta) = base.stat(verb, &path)? else { continue };
                let managed = base.look(verb, &new_path.join(&entry.name))?;
                let is_dir = meta.kind == Kind::Dir;
                if managed.is_none() {
                    if self.moved && self.added.is_empty() {
                        base.disk().sync_all(self.stage.dir()).map_err(Error::io("sync", &self.path()))?;
                    }
                    self.added.push(dir.join(&entry.name));
                    let (from, to) = ((&old_dir, entry.name.as_os_str()), (&new_dir, entry.name.as_os_str()));
                    keep(base.disk(), from, to, &meta).map_err(Error::io(verb, &path))?;
                    if is_dir {
                        made.push((new_dir.clone(), entry.name.clone(), meta));
                    }
                    seen.push((path, meta.identity()));
                }
                if is_dir && managed.is_none_or(|managed| managed.kind == Kind::Dir) {
                    dirs.push(dir.join(&entry.name));
                }
            }
        }
        for (dir, name, meta) in made.iter().rev() {
            close_dir(base.disk(), dir, name, meta).map_err(Error::io(verb, old))?;
        }
        Ok(seen)
    }

    /// Removes what is left of it in the stage, the transaction being committed: nothing, unless it was published and
    /// removed by one transaction.
    pub(super) fn forget(&self) {
        self.discard();
    }

    /// Puts it back where it was taken from. Where that fails it stays in the stage, and comes to quarantine with it.
    pub(super) fn give_back(&self, engine: &Engine) {
        if !self.moved {
            return self.discard();
        }
        if let Err(error) = self.try_give_back(engine) {
            let (source, error) = (&self.source, &error as &dyn std::error::Error);
            tracing::error!(?source, error, "what was to be published could not be put back; quarantine will have it");
        }
    }

    /// Crash argument: each name of a kept file that goes here moves its time of change, and in a directory that a commit has
    /// displaced meanwhile, of this handle or another, a recovery would take that for somebody's work. So all that was
    /// committed is settled first, and nobody commits until the names are gone. They are gone for good before it is back where it
    /// was: a loss of power must not bring it there with them.
    fn try_give_back(&self, engine: &Engine) -> Result<()> {
        let mut hold = if self.added.is_empty() { None } else { Some(engine.hold_beside_guards()?) };
        if let Some(hold) = &mut hold {
            hold.checkpoint()?;
        }
        self.move_back().map_err(|error| Error::from_os("put back", self.source.clone(), error))
    }

    fn move_back(&self) -> io::Result<()> {
        let (disk, stage) = (self.stage.disk(), self.stage.dir());
        for path in self.added.iter().rev() {
            let Some((parent, name)) = path.split() else { continue };
            let dir = disk.open_dir(stage, &RelPath::root().join(&self.name).join_path(&parent))?;
            match disk.stat(&dir, name) {
                Ok(meta) if meta.kind == Kind::Dir => disk.remove_dir(&dir, name)?,
                Ok(_) => disk.remove_file(&dir, name)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if !self.added.is_empty() {
            disk.sync_all(stage)?;
        }
        disk.rename(stage, &self.name, &self.at, &self.from, Rename::NoReplace)
    }

    fn discard(&self) {
        if let Err(error) = remove_tree(self.stage.disk(), self.stage.dir(), &self.name) {
            tracing::debug!(%error, "an entry of the stage could not be removed");
        }
    }
}

fn make_node(disk: &dyn Disk, dir: &Dir, name: &OsStr, entry: &Entry) -> io::Result<Meta> {
    let then = &entry.meta;
    let look = Look { mode: Some(then.mode), owner: Some((then.uid, then.gid)), xattrs: &entry.xattrs, stamped: false };
    disk.make_node(dir, name, then)?;
    finish(disk, dir, name, disk.stat(dir, name)?, look)?;
    disk.set_times(dir, name, then.accessed, then.modified)?;
    disk.stat(dir, name)
}

/// Gives an entry of the old directory to the new one.
fn keep(disk: &dyn Disk, from: (&Dir, &OsStr), to: (&Dir, &OsStr), meta: &Meta) -> io::Result<()> {
    if meta.kind == Kind::Dir {
        return copy_entry(disk, from, to, meta);
    }
    match disk.hard_link(from.0, from.1, to.0, to.1) {
        // Too many names, or one of a file of somebody else's, or a file system without hard links.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(errno::EMLINK | errno::EPERM | errno::EOPNOTSUPP | errno::EXDEV)
            ) =>
        {
            copy_entry(disk, from, to, meta)
        }
        linked => linked,
    }
}

/// Copies an entry with all that is beneath it, holes as holes. A directory gets its times after what is in it.
fn copy_tree(disk: &dyn Disk, from: (&Dir, &OsStr), to: (&Dir, &OsStr)) -> io::Result<()> {
    let top = disk.stat(from.0, from.1)?;
    copy_entry(disk, from, to, &top)?;
    let mut dirs = Vec::new();
    let mut open = Vec::new();
    if top.kind == Kind::Dir {
        open.push((RelPath::root().join(from.1), RelPath::root().join(to.1), top));
    }
    while let Some((from_path, to_path, meta)) = open.pop() {
        let (from_dir, to_dir) = (disk.open_dir(from.0, &from_path)?, disk.open_dir(to.0, &to_path)?);
        for entry in disk.list(&from_dir)? {
            let meta = disk.stat(&from_dir, &entry.name)?;
            copy_entry(disk, (&from_dir, &entry.name), (&to_dir, &entry.name), &meta)?;
            if meta.kind == Kind::Dir {
                open.push((from_path.join(&entry.name), to_path.join(&entry.name), meta));
            }
        }
        dirs.push((to_path, meta));
    }
    for (path, meta) in dirs.iter().rev() {
        if let Some((parent, name)) = path.split() {
            let dir = disk.open_dir(to.0, &parent)?;
            close_dir(disk, &dir, name, meta)?;
        }
    }
    Ok(())
}

/// Gives a directory, once it is filled, what would keep its owner from filling it, and its times.
fn close_dir(disk: &dyn Disk, at: &Dir, name: &OsStr, meta: &Meta) -> io::Result<()> {
    if open_bits(meta.mode) != meta.mode {
        disk.set_mode(at, name, meta.mode)?;
    }
    disk.set_times(at, name, meta.accessed, meta.modified)
}

/// Copies one entry, a directory without what is in it: contents, mode, owner as far as permitted, extended attributes,
/// and times.
fn copy_entry(disk: &dyn Disk, from: (&Dir, &OsStr), to: (&Dir, &OsStr), meta: &Meta) -> io::Result<()> {
    let xattrs = disk.xattrs(from.0, from.1)?;
    let look = Look { mode: Some(meta.mode), owner: Some((meta.uid, meta.gid)), xattrs: &xattrs, stamped: false };
    let _made = match meta.kind {
        Kind::Dir => {
            let look = Look { mode: look.mode.map(open_bits), ..look };
            make(disk, to.0, to.1, Filling::Dir, look)?
        }
        Kind::Symlink => {
            let target = disk.read_link(from.0, from.1)?;
            make(disk, to.0, to.1, Filling::Symlink(&target), look)?
        }
        Kind::File => {
            let source = disk.open(from.0, from.1, Open::Read)?;
            let file = disk.open(to.0, to.1, Open::CreateNew { mode: 0o600 })?;
            copy_contents(disk, &source, &file)?;
            finish(disk, to.0, to.1, disk.stat_file(&file)?, look)?
        }
        _ => {
            disk.make_node(to.0, to.1, meta)?;
            finish(disk, to.0, to.1, disk.stat(to.0, to.1)?, look)?
        }
    };
    disk.set_times(to.0, to.1, meta.accessed, meta.modified)
}
