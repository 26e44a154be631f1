//! A tree with a file in it that is mounted from elsewhere.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use treewal::{MountedFiles, Options, Transaction};
use treewal_vfs::{Fault, FaultDisk, RealDisk};

/// Where the file that is mounted lies: with the tree, or on a file system of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Here,
    Elsewhere,
}

pub(crate) const BOTH: [From; 2] = [From::Here, From::Elsewhere];

/// A tree, and what is mounted for it. All mounts go with it.
pub(crate) struct Bed {
    home: TempDir,
    mounts: Vec<PathBuf>,
}

pub(crate) type Files = Vec<(PathBuf, Vec<u8>)>;

/// A file is mounted at it; what lies beneath is seen only where it is not mounted.
pub(crate) const BENEATH: &str = "beneath";
pub(crate) const OLD: &str = "old, and somewhat longer than the new one";
pub(crate) const NEW: &str = "new in the mounted file";

impl Bed {
    /// `None` where this machine does not let us; said by name.
    pub(crate) fn new(from: From, test: &str) -> Option<Self> {
        let mut bed = Self { home: tempfile::tempdir().unwrap(), mounts: Vec::new() };
        fs::create_dir_all(bed.tree().join("d")).unwrap();
        fs::create_dir(bed.home.path().join("source")).unwrap();
        for (path, contents) in [("a", "old a"), ("d/bound", BENEATH), ("gone", "going")] {
            fs::write(bed.tree().join(path), contents).unwrap();
        }
        if from == From::Elsewhere {
            let source = bed.home.path().join("source");
            bed.mount(
                Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(&source),
                source,
                test,
            )?;
        }
        fs::write(bed.source(), OLD).unwrap();
        drop(bed.options().open(bed.tree()).unwrap());
        bed.bind(test)?;
        Some(bed)
    }

    pub(crate) fn bind(&mut self, test: &str) -> Option<()> {
        let (source, at) = (self.source(), self.bound());
        self.mount(Command::new("mount").arg("--bind").arg(source).arg(&at), at, test)
    }

    fn mount(&mut self, command: &mut Command, at: PathBuf, test: &str) -> Option<()> {
        let why = match command.output() {
            Ok(output) if output.status.success() => {
                self.mounts.push(at);
                return Some(());
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        io::stderr().write_all(format!("skipped: {test}: {why}\n").as_bytes()).unwrap();
        None
    }

    pub(crate) fn unbind(&mut self) {
        let at = self.mounts.pop().unwrap();
        assert!(Command::new("umount").arg(at).status().unwrap().success());
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.home.path().join("tree")
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.home.path().join("source/file")
    }

    pub(crate) fn bound(&self) -> PathBuf {
        self.tree().join("d/bound")
    }

    pub(crate) fn options(&self) -> Options {
        options()
    }

    /// Everything as it was at first.
    pub(crate) fn reset(&self) {
        fs::remove_dir_all(self.tree().join(".treewal")).ok();
        for name in ["new", "gone", "a"] {
            fs::remove_file(self.tree().join(name)).ok();
        }
        fs::write(self.tree().join("a"), "old a").unwrap();
        fs::write(self.tree().join("gone"), "going").unwrap();
        fs::write(self.bound(), OLD).unwrap();
        drop(options().open(self.tree()).unwrap());
    }

    /// What the tree holds, treewal's own left out.
    pub(crate) fn files(&self) -> Files {
        files(&self.tree()).into_iter().filter(|(path, _)| !path.starts_with(".treewal")).collect()
    }

    /// What lies in quarantine.
    pub(crate) fn kept(&self) -> Vec<Vec<u8>> {
        files(&self.tree().join(".treewal/quarantine")).into_iter().map(|(_, contents)| contents).collect()
    }

    /// The tree before and after [`change`].
    pub(crate) fn states(&self) -> [Files; 2] {
        let before = self.files();
        options().open(self.tree()).unwrap().transaction(change).unwrap();
        let after = self.files();
        self.reset();
        assert_eq!(self.files(), before);
        [before, after]
    }

    /// Leaves a commit of [`change`] in the middle, before its `at`th changing call; `false` where it has fewer.
    pub(crate) fn cut(&self, at: u64) -> bool {
        let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
        let tree = options().open_on(disk.clone(), self.tree()).unwrap();
        disk.arm(Fault::Off { at });
        drop(tree.transaction(change));
        let is_off = disk.is_off();
        disk.arm(Fault::Off { at: 1 });
        drop(tree);
        is_off
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        while let Some(at) = self.mounts.pop() {
            drop(Command::new("umount").arg("-l").arg(at).status());
        }
    }
}

pub(crate) fn options() -> Options {
    Options::new().lock_wait(Duration::ZERO).segment_bytes(64 << 10).mounted_files(MountedFiles::RewriteInPlace)
}

pub(crate) fn change(tx: &mut Transaction) -> treewal::Result<()> {
    tx.write("a", "new a")?;
    tx.write("d/bound", NEW)?;
    tx.write("new", "new")?;
    tx.remove_file("gone")
}

fn files(dir: &Path) -> Files {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(at) = dirs.pop() {
        for entry in fs::read_dir(at).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let contents = fs::read(&path).unwrap();
                found.push((path.strip_prefix(dir).unwrap().to_owned(), contents));
            }
        }
    }
    found.sort();
    found
}
