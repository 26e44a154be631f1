//! What a tree holds, from outside.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[expect(dead_code, reason = "shared with tests of other things, which use all of it")]
#[path = "../kill/walk.rs"]
mod shared;

pub(crate) use shared::{Walk, walk};

/// What of treewal's own has no business in a tree that nobody has open.
pub(crate) fn leftovers(tree: &Path) -> Vec<PathBuf> {
    shared::leftovers(tree).0
}

/// The inode of each path.
pub(crate) fn inodes(tree: &Path) -> BTreeMap<PathBuf, u64> {
    let inode = |path: &PathBuf| fs::symlink_metadata(tree.join(path)).unwrap().ino();
    walk(tree).into_keys().map(|path| (path.clone(), inode(&path))).collect()
}

/// Where two walks differ.
pub(crate) fn differences(found: &Walk, wanted: &Walk) -> Vec<String> {
    let paths: std::collections::BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
    let differ = paths.into_iter().filter(|path| found.get(*path) != wanted.get(*path));
    let shown = |seen: Option<&shared::Seen>| seen.map_or("absent".to_owned(), ToString::to_string);
    differ.map(|path| format!("{path:?}: {}, not {}", shown(found.get(path)), shown(wanted.get(path)))).collect()
}

/// A directory to work in: memory where there is some, as kills ask nothing of a disk.
pub(crate) fn work_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let found = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    found.or_else(|_| tempfile::tempdir()).unwrap()
}
