//! The tree that a contestant works on: 10,000 files of 4 KiB in 100 directories, its own for each contestant.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use treewal_compare::Dice;
use treewal_vfs::{Dir, Disk, Open, RealDisk, RelPath, read_all, remove_tree, write_all};

use crate::Result;
use crate::work::{DIRS, FILE_BYTES, FILES, Write, dir_name, file_name};

/// A tree on the disk, and handles on its directories.
pub(crate) struct Tree {
    pub(crate) path: PathBuf,
    parent: Dir,
    name: String,
    pub(crate) root: Dir,
    pub(crate) dirs: Vec<Dir>,
}

impl Tree {
    /// Makes the tree `name` in the directory `at`, durable.
    pub(crate) fn make(at: &Path, name: &str) -> Result<Self> {
        let parent = RealDisk.open_root(at)?;
        RealDisk.create_dir(&parent, OsStr::new(name), 0o755)?;
        let root = RealDisk.open_dir(&parent, &RelPath::root().join(name))?;
        let mut dice = Dice::new(1);
        let mut dirs = Vec::new();
        for dir in 0..DIRS {
            let name = dir_name(dir);
            RealDisk.create_dir(&root, OsStr::new(&name), 0o755)?;
            let dir = RealDisk.open_dir(&root, &RelPath::root().join(name))?;
            for file in 0..FILES {
                let how = Open::CreateNew { mode: 0o644 };
                let file = RealDisk.open(&dir, OsStr::new(&file_name(file)), how)?;
                write_all(&RealDisk, &file, &dice.bytes(FILE_BYTES), 0)?;
            }
            dirs.push(dir);
        }
        RealDisk.sync_all(&root)?;
        Ok(Self { path: at.join(name), parent, name: name.to_owned(), root, dirs })
    }

    /// Writes everything back that the file system owes, so that nobody pays for another.
    pub(crate) fn flush(&self) -> Result {
        Ok(RealDisk.sync_all(&self.root)?)
    }

    /// Whether the tree holds what was committed.
    pub(crate) fn check(&self, set: &[Write]) -> Result {
        for write in set {
            let file = RealDisk.open(&self.dirs[write.dir], OsStr::new(&write.name), Open::Read)?;
            if read_all(&RealDisk, &file, FILE_BYTES as u64)? != write.contents {
                return Err(format!("{:?} does not hold what was committed", self.path.join(&write.path)).into());
            }
        }
        Ok(())
    }

    pub(crate) fn remove(self) -> Result {
        remove_tree(&RealDisk, &self.parent, OsStr::new(&self.name))?;
        Ok(())
    }
}
