//! Looking at a tree without treewal's own directory, and a mount that is a file.

use std::path::Path;
use std::process::Command;

pub(crate) use crate::mount::{Mount, Walk, skipped, walk};

/// As [`walk`], without treewal's own directory.
pub(crate) fn walk_tree(dir: &Path) -> Walk {
    walk(dir).into_iter().filter(|(path, ..)| !path.starts_with(dir.join(".treewal"))).collect()
}

/// A file mounted on itself; `None`, said by name, where this machine does not let us.
pub(crate) fn bind(file: &Path, test: &str) -> Option<Mount> {
    Mount::of(Command::new("mount").arg("--bind").args([file, file]), file, test)
}
