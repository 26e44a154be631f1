//! What the tests share: a directory to work in, and short words.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use treewal_vfs::{Dir, Disk, File, Open, RealDisk, RelPath, write_all};

/// A fresh directory and an open handle on it.
pub(crate) struct Scratch {
    dir: TempDir,
    pub(crate) root: Dir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self::beneath(&std::env::temp_dir())
    }

    pub(crate) fn beneath(parent: &Path) -> Self {
        let dir = tempfile::tempdir_in(parent).unwrap();
        let root = RealDisk.open_root(dir.path()).unwrap();
        Self { dir, root }
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A new file with these contents.
    pub(crate) fn file(&self, name: &str, contents: &[u8]) -> File {
        let file = RealDisk.open(&self.root, os(name), Open::CreateNew { mode: 0o644 }).unwrap();
        write_all(&RealDisk, &file, contents, 0).unwrap();
        file
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        std::fs::symlink_metadata(self.path(name)).is_ok()
    }

    /// The names in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub(crate) fn os(name: &str) -> &OsStr {
    OsStr::new(name)
}

pub(crate) fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A file system in an image file, mounted for as long as this value lives.
pub(crate) struct Mounted {
    at: TempDir,
    _image: TempDir,
}

impl Mounted {
    /// `None` where the machine has no such `mkfs`, or does not permit to mount.
    pub(crate) fn new(mkfs: &str, image_bytes: u64) -> Option<Self> {
        let (at, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let image = home.path().join("image");
        let home_dir = RealDisk.open_root(home.path()).unwrap();
        let file = RealDisk.open(&home_dir, os("image"), Open::CreateNew { mode: 0o600 }).unwrap();
        RealDisk.set_len(&file, image_bytes).unwrap();
        let made = Command::new(mkfs).arg("-q").arg(&image).output().ok()?;
        let mounted = Command::new("mount").args(["-o", "loop"]).arg(&image).arg(at.path()).output().ok()?;
        if !(made.status.success() && mounted.status.success()) {
            eprintln!("skipped: mounting is not permitted");
            return None;
        }
        Some(Self { at, _image: home })
    }

    pub(crate) fn path(&self) -> &Path {
        self.at.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(self.at.path());
    }
}

/// Unmounts, patiently: a child that another test is just starting holds all our handles until its `exec`.
pub(crate) fn unmount(at: &Path) {
    let unmounted = || Command::new("umount").arg(at).output().is_ok_and(|done| done.status.success());
    let done = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        unmounted()
    });
    assert!(done, "{} stays mounted", at.display());
}
