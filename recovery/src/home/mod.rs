//! The directory that treewal keeps in a tree, and what lies where in it.
//!
//! | entry | what it is |
//! |---|---|
//! | `tree` | the identity of the tree: format version and a random number; and which directory it was written into |
//! | `.gitignore` | keeps all of this out of repositories |
//! | `lock` | the lock that makes one process at a time the writer; says who had it last, and how the tree was left |
//! | `queue` | a lock that who wants the other one takes first, to write or to read, so that nobody is passed over |
//! | `journal/` | the log |
//! | `stage/<handle>/` | new and displaced versions of one open handle; `<handle>.lock` is held while the handle lives |
//! | `guards/<id>/` | the snapshot of an active guard |
//! | `snapshots/<name>/` | a named snapshot; a name that begins with a dot is a half-made or half-removed one. Made with the first |
//! | `quarantine/<id>/` | what recovery could not place, with a report |
//! | `doubt` | a sync failed, and what is seen may not be on the disk |
//! | `last-recovery.json` | the report of the last recovery that found anything |
//!
//! Everything is made on first open, in an order in which a crash at any moment leaves something the next open takes
//! up again: the directories first, `tree` last, and only then a journal.

mod doubt;
mod identity;
mod lock;
mod mend;
mod name;
mod shared;
mod sign;
mod snapshots;
mod stage;

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

use treewal_vfs::{Dir, Disk, Meta, RelPath, errno};

pub use identity::{is_copied, read_identity, write_identity};
pub use lock::{Taken, TreeLock};
pub use mend::{mend, wrong_parts};
pub use name::is_own_name;
pub use shared::{Place, ReadLock};
pub use sign::{Holder, Left};
pub use snapshots::{is_draft, make_snapshots, open_snapshots, sweep_snapshots};
pub(crate) use stage::{ADOPTED_PREFIX, is_owned};
pub use stage::{OwnStage, adopted_name, sweep};

use crate::{Error, Result};

/// The name of the directory, at the root of a tree.
pub const DIR_NAME: &str = ".treewal";

/// An opened tree with its directory. Cheap to clone; clones share the handles.
#[derive(Debug, Clone)]
pub struct Home {
    /// The disk that everything stands on.
    pub disk: Arc<dyn Disk>,
    /// The tree.
    pub root: Dir,
    /// What the tree's own directory is.
    pub root_meta: Meta,
    /// `.treewal`
    pub dot: Dir,
    /// `.treewal/journal`
    pub journal: Dir,
    /// `.treewal/stage`
    pub stage: Dir,
    /// `.treewal/guards`
    pub guards: Dir,
    /// `.treewal/quarantine`
    pub quarantine: Dir,
    /// The disk, as it is asked by all of this.
    wary: Arc<doubt::Wary>,
}

const DIRS: [&str; 4] = ["journal", "stage", "guards", "quarantine"];

impl Home {
    /// Opens the directory of the tree at `root`, making what is missing.
    ///
    /// A power loss at any point leaves a directory with some of its parts; the next open makes the rest.
    ///
    /// # Errors
    /// [`Error::Store`] where the directory is a symlink, not a directory or somebody else's; any error of the disk.
    pub fn create(disk: Arc<dyn Disk>, root: Dir) -> Result<Self> {
        let made = make_private(&*disk, &root, DIR_NAME)?;
        let dot = open_private(&*disk, &root)?;
        protect(&*disk, &root, &dot)?;
        let mut fresh = made;
        for name in DIRS {
            fresh |= make_private(&*disk, &dot, name)?;
        }
        if fresh {
            disk.sync_dir(&dot).map_err(Error::io("sync", DIR_NAME))?;
            disk.sync_dir(&root).map_err(Error::io("sync", "."))?;
        }
        Self::assemble(disk, root, dot)
    }

    /// Opens the directory of the tree at `root` without making or changing anything; `None` where the tree has none yet.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn open(disk: Arc<dyn Disk>, root: Dir) -> Result<Option<Self>> {
        match disk.stat(&root, OsStr::new(DIR_NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("look at", DIR_NAME)(error)),
            Ok(_) => {}
        }
        let dot = open_private(&*disk, &root)?;
        for name in DIRS {
            match disk.stat(&dot, OsStr::new(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                _ => {}
            }
        }
        Self::assemble(disk, root, dot).map(Some)
    }

    fn assemble(disk: Arc<dyn Disk>, root: Dir, dot: Dir) -> Result<Self> {
        let sub = |name: &str| {
            let path = RelPath::root().join(name);
            disk.open_dir(&dot, &path).map_err(Error::io("open", format!("{DIR_NAME}/{name}")))
        };
        let root_meta = disk.stat_dir(&root).map_err(Error::io("look at", "."))?;
        let [journal, stage, guards, quarantine] = [sub(DIRS[0])?, sub(DIRS[1])?, sub(DIRS[2])?, sub(DIRS[3])?];
        let wary = Arc::new(doubt::Wary::new(disk, dot.clone(), journal.clone()));
        let disk = Arc::clone(&wary) as Arc<dyn Disk>;
        Ok(Self { disk, root, root_meta, dot, journal, stage, guards, quarantine, wary })
    }
}

/// Makes a directory that only its owner may enter; `false` where it was there.
fn make_private(disk: &dyn Disk, at: &Dir, name: &str) -> Result<bool> {
    match disk.create_dir(at, OsStr::new(name), 0o700) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::io("make", name)(error)),
    }
}

/// Opens `.treewal`, refusing what is not ours alone: a symlink planted there, another user's directory.
fn open_private(disk: &dyn Disk, root: &Dir) -> Result<Dir> {
    let store = |reason: &str| Error::Store { path: DIR_NAME.into(), reason: reason.to_owned() };
    let dot = disk.open_dir(root, &RelPath::root().join(DIR_NAME)).map_err(|error| match error.raw_os_error() {
        Some(errno::ELOOP | errno::ENOTDIR) => store("it is not a directory; move it away, it is not treewal's"),
        _ => Error::io("open", DIR_NAME)(error),
    })?;
    let meta = disk.stat_dir(&dot).map_err(Error::io("look at", DIR_NAME))?;
    if meta.uid != disk.user() {
        return Err(store("another user owns it; open the tree as that user"));
    }
    Ok(dot)
}

/// Closes `.treewal` to everybody but its owner.
fn protect(disk: &dyn Disk, root: &Dir, dot: &Dir) -> Result<()> {
    let meta = disk.stat_dir(dot).map_err(Error::io("look at", DIR_NAME))?;
    if meta.mode & 0o077 == 0 {
        return Ok(());
    }
    disk.set_mode(root, OsStr::new(DIR_NAME), 0o700).map_err(Error::io("protect", DIR_NAME))
}
