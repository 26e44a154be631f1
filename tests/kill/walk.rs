//! What a tree holds: a full walk of it, from outside.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a tree holds, treewal's own directory left out.
pub(crate) type Walk = BTreeMap<PathBuf, Seen>;

/// An entry, as far as it matters to anybody.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Kind and permission bits.
    pub(crate) mode: u32,
    /// Of a file, its names; of anything else, 1.
    pub(crate) links: u64,
    /// When it was last changed, in seconds and nanoseconds; `None` where any time will do.
    pub(crate) modified: Option<(i64, i64)>,
    /// Of a file, its bytes; of a symlink, its target.
    pub(crate) contents: Vec<u8>,
}

impl Seen {
    /// Whether this is what was allowed; `wanted` may leave the time open.
    pub(crate) fn is(&self, wanted: &Self) -> bool {
        (self.mode, self.links, &self.contents) == (wanted.mode, wanted.links, &wanted.contents)
            && (wanted.modified.is_none() || wanted.modified == self.modified)
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let head: String = self.contents.iter().take(12).map(|byte| char::from(*byte)).collect();
        let Self { mode, links, modified, contents } = self;
        write!(f, "{mode:06o} x{links} {modified:?} {} bytes {head:?}", contents.len())
    }
}

/// Walks the tree. The root itself is left out: its time changes with `.treewal`.
pub(crate) fn walk(tree: &Path) -> Walk {
    let mut found = Walk::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(tree.join(&dir)).unwrap() {
            let path = dir.join(entry.unwrap().file_name());
            if path == Path::new(".treewal") {
                continue;
            }
            let full = tree.join(&path);
            let meta = fs::symlink_metadata(&full).unwrap();
            let mut seen = Seen {
                mode: meta.mode(),
                links: 1,
                modified: Some((meta.mtime(), meta.mtime_nsec())),
                contents: Vec::new(),
            };
            if meta.is_dir() {
                dirs.push(path.clone());
            } else if meta.is_symlink() {
                seen.contents = fs::read_link(&full).unwrap().as_os_str().as_bytes().to_vec();
            } else {
                seen.links = meta.nlink();
                // Nobody writes into a fifo: reading it would never end.
                seen.contents = if meta.is_file() { fs::read(&full).unwrap() } else { Vec::new() };
            }
            found.insert(path, seen);
        }
    }
    found
}

/// How many files a tree has in which nothing may lie between two openings, and how many segments its journal has.
pub(crate) fn leftovers(tree: &Path) -> (Vec<PathBuf>, usize) {
    let own = tree.join(".treewal");
    let names = |dir: PathBuf| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut left: Vec<PathBuf> =
        ["stage", "guards", "quarantine"].iter().flat_map(|sub| names(own.join(sub))).collect();
    // Named snapshots may stand there; one that was being taken or removed may not.
    let dirs = ["journal", "stage", "guards", "quarantine", "snapshots"];
    let files = ["tree", ".gitignore", "lock", "queue", "last-recovery.json"];
    let known: Vec<PathBuf> = dirs.into_iter().chain(files).map(|name| own.join(name)).collect();
    if own.join("snapshots").exists() {
        left.extend(names(own.join("snapshots")).filter(|path| path.file_name().unwrap().as_bytes().starts_with(b".")));
    }
    left.extend(names(own.clone()).filter(|path| !known.contains(path)));
    (left, names(own.join("journal")).count())
}
