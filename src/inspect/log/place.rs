//! Where a journal is.

use std::path::PathBuf;
use std::sync::Arc;

use treewal_vfs::{Dir, Disk, RealDisk};

use crate::inspect::home;
use crate::{Error, Result};

/// Where to look for a journal.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In the tree of this path.
    Tree(PathBuf),
    /// In this directory itself.
    Journal(PathBuf),
}

/// A journal that was found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) journal: Dir,
}

impl Place {
    /// Opens the directory of the journal; `None` where treewal was never used on the tree.
    pub(super) fn open(&self) -> Result<Option<Opened>> {
        match self {
            Self::Tree(path) => Ok(home(path)?.map(|home| Opened { disk: home.disk, journal: home.journal })),
            Self::Journal(path) => {
                let io = |verb| move |source| Error::from_os(verb, path.clone(), source);
                let disk: Arc<dyn Disk> = Arc::new(RealDisk);
                let journal = disk.open_root(path).map_err(io("open"))?;
                let entries = disk.list(&journal).map_err(io("list"))?;
                if entries.iter().any(|entry| entry.name.to_string_lossy().ends_with(".wal")) {
                    return Ok(Some(Opened { disk, journal }));
                }
                let reason = "there is no segment (*.wal) in it; for the journal of a tree, name the tree with -C";
                Err(Error::Store { path: path.clone(), reason: reason.to_owned() })
            }
        }
    }
}
