//! A directory for one log, gone when the log is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use treewal_vfs::{Dir, Disk, RealDisk, remove_tree};

use crate::Result;

pub(crate) struct Home {
    pub(crate) path: PathBuf,
    parent: Dir,
    name: String,
}

impl Home {
    /// Makes an empty directory.
    pub(crate) fn make(at: &Path, name: &str) -> Result<Self> {
        let parent = RealDisk.open_root(at)?;
        RealDisk.create_dir(&parent, OsStr::new(name), 0o755)?;
        Ok(Self { path: at.join(name), parent, name: name.to_owned() })
    }

    /// Removes it with all that is in it, and writes back what the file system owes, so that nobody pays for another.
    pub(crate) fn remove(self) -> Result {
        remove_tree(&RealDisk, &self.parent, OsStr::new(&self.name))?;
        Ok(RealDisk.sync_all(&self.parent)?)
    }

    /// Writes back what the file system owes.
    pub(crate) fn settle(&self) -> Result {
        Ok(RealDisk.sync_all(&self.parent)?)
    }
}
