//! What several unit tests need.
#![expect(clippy::disallowed_methods, reason = "tests look at the tree from outside")]

use treewal::{Options, Tree};

/// A tree with these files.
pub(crate) fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let tree = Options::new().segment_bytes(64 << 10).open(dir.path()).unwrap();
    (dir, tree)
}
