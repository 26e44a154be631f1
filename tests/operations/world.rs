//! A directory with a tree in it.

use std::path::PathBuf;

use treewal::Tree;
use treewal_vfs::{Disk, RealDisk, RelPath};

pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) tree: Tree,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        Self { dir, tree }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The extended attributes of an entry.
    pub(crate) fn xattrs(&self, path: &str) -> Vec<(String, Vec<u8>)> {
        let path = RelPath::new(path).unwrap();
        let (parent, name) = path.split().unwrap();
        let root = RealDisk.open_root(self.dir.path()).unwrap();
        let found = RealDisk.xattrs(&RealDisk.open_dir(&root, &parent).unwrap(), name).unwrap();
        found.into_iter().map(|(name, value)| (name.into_string().unwrap(), value)).collect()
    }

    /// Everything below `.treewal` that is not always there.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for sub in ["stage", "guards", "quarantine"] {
            for entry in std::fs::read_dir(self.at(".treewal").join(sub)).unwrap() {
                found.push(format!("{sub}/{}", entry.unwrap().file_name().to_string_lossy()));
            }
        }
        found
    }

    /// Closes the tree; nothing of treewal's may be left in it.
    pub(crate) fn close(self) {
        let Self { dir, tree } = self;
        drop(tree);
        let world = Self { tree: Tree::open(dir.path()).unwrap(), dir };
        assert!(world.tree.recovery().is_clean(), "{}", world.tree.recovery());
        assert_eq!(world.leftovers(), Vec::<String>::new());
    }
}

/// Whether this process may do what only root may.
pub(crate) fn is_root() -> bool {
    let root = RealDisk.user() == 0;
    if !root {
        eprintln!("skipped: only root can do it");
    }
    root
}
