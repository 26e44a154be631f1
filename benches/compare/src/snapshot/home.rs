//! The tree that everything is measured on: files of 4 KiB in directories of 100, and room beside it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use treewal_compare::Dice;
use treewal_vfs::{Dir, Disk, Kind, Open, RealDisk, RelPath, Rename, remove_tree, write_all};

use crate::Result;

const FILE_BYTES: usize = 4096;
const FILES: usize = 100;
const NAME: &str = "treewal-snapshot-bench";
/// The tree, and where treewal and others put what they keep of it.
pub(crate) const LIVE: &str = "live";
pub(crate) const KEPT: &str = "kept";

pub(crate) struct Home {
    pub(crate) path: PathBuf,
    pub(crate) root: Dir,
    pub(crate) files: usize,
}

impl Home {
    pub(crate) fn make(at: &Path, files: usize) -> Result<Self> {
        let parent = RealDisk.open_root(at)?;
        RealDisk.create_dir(&parent, OsStr::new(NAME), 0o755)?;
        let home = Self::open(at)?;
        let live = home.make_dir(&home.root, LIVE)?;
        let mut dice = Dice::new(1);
        for number in 0..files.div_ceil(FILES) {
            let dir = home.make_dir(&live, &format!("d{number:05}"))?;
            for file in number * FILES..((number + 1) * FILES).min(files) {
                let file = RealDisk.open(&dir, OsStr::new(&format!("f{file:07}")), Open::CreateNew { mode: 0o644 })?;
                write_all(&RealDisk, &file, &dice.bytes(FILE_BYTES), 0)?;
            }
        }
        home.flush()?;
        Ok(Self { files, ..home })
    }

    pub(crate) fn open(at: &Path) -> Result<Self> {
        let path = at.join(NAME);
        Ok(Self { root: RealDisk.open_root(&path)?, path, files: 0 })
    }

    pub(crate) fn make_dir(&self, at: &Dir, name: &str) -> Result<Dir> {
        RealDisk.create_dir(at, OsStr::new(name), 0o755)?;
        Ok(RealDisk.open_dir(at, &RelPath::root().join(name))?)
    }

    pub(crate) fn dir(&self, name: &str) -> Result<Dir> {
        Ok(RealDisk.open_dir(&self.root, &RelPath::new(name)?)?)
    }

    /// Writes everything back that the file system owes, so that nobody pays for another.
    pub(crate) fn flush(&self) -> Result {
        Ok(RealDisk.sync_all(&self.root)?)
    }

    /// Throws away what is kept of the tree.
    pub(crate) fn clear(&self) -> Result {
        remove_tree(&RealDisk, &self.root, OsStr::new(KEPT))?;
        self.flush()
    }

    pub(crate) fn remove(self) -> Result {
        let parent = self.path.parent().ok_or("no parent")?;
        remove_tree(&RealDisk, &RealDisk.open_root(parent)?, OsStr::new(NAME))?;
        Ok(())
    }

    /// Runs a program in the directory; whether the machine has it is asked with [`has`].
    pub(crate) fn run(&self, line: &str) -> Result {
        let mut words = line.split(' ');
        let done = Command::new(words.next().unwrap_or_default()).args(words).current_dir(&self.path).output()?;
        if !done.status.success() {
            return Err(format!("{line}: {}", String::from_utf8_lossy(&done.stderr)).into());
        }
        Ok(())
    }

    /// Replaces `count` files, spread over the tree, by others with new contents, as a careful writer does.
    pub(crate) fn replace(&self, count: usize) -> Result<Vec<(Dir, String)>> {
        let mut replaced = Vec::new();
        for index in 0..count {
            let file = index * self.files / count;
            let dir = self.dir(&format!("{LIVE}/d{:05}", file / FILES))?;
            let new = RealDisk.open(&dir, OsStr::new("new"), Open::CreateNew { mode: 0o644 })?;
            write_all(&RealDisk, &new, &Dice::new(7).bytes(FILE_BYTES + 1), 0)?;
            let name = format!("f{file:07}");
            RealDisk.rename(&dir, OsStr::new("new"), &dir, OsStr::new(&name), Rename::Replace)?;
            replaced.push((dir, name));
        }
        Ok(replaced)
    }

    /// How many files the tree has, and how many of them have the length of then.
    pub(crate) fn check(&self) -> Result {
        let mut whole = 0;
        for dir in RealDisk.list(&self.dir(LIVE)?)? {
            let dir = self.dir(&format!("{LIVE}/{}", dir.name.to_string_lossy()))?;
            for entry in RealDisk.list(&dir)? {
                let meta = RealDisk.stat(&dir, &entry.name)?;
                whole += usize::from(meta.kind == Kind::File && meta.size == FILE_BYTES as u64);
            }
        }
        if whole == self.files { Ok(()) } else { Err(format!("{whole} of {} files are whole", self.files).into()) }
    }
}

/// Whether the machine has a program.
pub(crate) fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|done| done.status.success())
}
