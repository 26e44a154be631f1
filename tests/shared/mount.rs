//! Looking at a directory from outside, and mounts.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is below a directory: path, mode and contents of each entry.
pub(crate) type Walk = Vec<(PathBuf, u32, Vec<u8>)>;

/// Everything below a directory.
pub(crate) fn walk(dir: &Path) -> Walk {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(at) = dirs.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let contents = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            if meta.is_dir() {
                dirs.push(path.clone());
            }
            found.push((path, meta.mode(), contents));
        }
    }
    found.sort();
    found
}

/// A mount that goes with the test, however it ends.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// A file system in memory; `None`, said by name, where this machine does not let us.
    pub(crate) fn memory(at: &Path, options: &str, test: &str) -> Option<Self> {
        Self::of(Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at), at, test)
    }

    /// Runs a command that mounts something at `at`; `None` as above.
    pub(crate) fn of(command: &mut Command, at: &Path, test: &str) -> Option<Self> {
        let why = match command.output() {
            Ok(output) if output.status.success() => return Some(Self(at.to_owned())),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        skipped(test, &why);
        None
    }

    pub(crate) fn again(&self, options: &str) {
        let status = Command::new("mount").args(["-o", options]).arg(&self.0).status().unwrap();
        assert!(status.success(), "mount -o {options} {:?}", self.0);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// To where nobody catches it: what is left out is told also where the test passes.
pub(crate) fn skipped(test: &str, why: &str) {
    io::stderr().write_all(format!("skipped: {test}: {why}\n").as_bytes()).unwrap();
}
