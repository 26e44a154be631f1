//! What is cut: a tree, and steps that happen to it one after another, each acknowledged when it returns.

mod guarded;
mod program;
mod staged;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use treewal::{Durability, Options, Tree};
use treewal_vfs::{Disk, RealDisk, RelPath, Time};

use crate::walk::walk;

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Where its tree is.
    pub(crate) dir: &'static str,
    pub(crate) durability: Durability,
    pub(crate) before: Before,
    /// The steps run the program, rather than the library in a process that lives on.
    pub(crate) is_program: bool,
    pub(crate) steps: &'static [Step],
}

/// What is promised to who looks before recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing.
    Anything,
    /// Paths that last are there.
    Names,
    /// Paths that last are there, and every file is whole; with nothing on its way, the tree is as it was acknowledged.
    Whole,
}

pub(crate) type Step = fn(&World<'_>);

/// Where a step works.
pub(crate) struct World<'a> {
    tree: Option<Tree>,
    dir: &'a Path,
    treewal: &'a Path,
    /// To be called after each change that is made without the library: the kernel may write back then.
    stir: &'a dyn Fn(),
}

/// A tree that was opened and closed in order.
pub(crate) const OPENED: &str = "opened";
/// A tree that treewal has never seen.
pub(crate) const FRESH: &str = "fresh";

pub(crate) static WORKLOADS: [Workload; 9] = [
    Workload {
        name: "commits",
        dir: OPENED,
        durability: Durability::Journal,
        before: Before::Names,
        is_program: false,
        steps: &[
            staged::small,
            staged::filling,
            staged::large,
            staged::checkpoint,
            staged::filling,
            staged::small_again,
        ],
    },
    Workload {
        name: "directories",
        dir: OPENED,
        durability: Durability::Journal,
        before: Before::Anything,
        is_program: false,
        steps: &[staged::publish, staged::moves, staged::filling, staged::publish_back],
    },
    Workload {
        name: "commits, tree durable",
        dir: OPENED,
        durability: Durability::Tree,
        before: Before::Whole,
        is_program: false,
        steps: &[staged::small, staged::large, staged::filling],
    },
    Workload {
        name: "directories, tree durable",
        dir: OPENED,
        durability: Durability::Tree,
        before: Before::Whole,
        is_program: false,
        steps: &[staged::publish, staged::moves],
    },
    Workload {
        name: "first opening",
        dir: FRESH,
        durability: Durability::Journal,
        before: Before::Names,
        is_program: false,
        steps: &[staged::small, staged::small_again],
    },
    Workload {
        name: "many commits, checkpoints when they are due",
        dir: OPENED,
        durability: Durability::Journal,
        before: Before::Names,
        is_program: false,
        steps: &[staged::filling as Step; 9],
    },
    Workload {
        name: "guards",
        dir: OPENED,
        durability: Durability::Journal,
        before: Before::Anything,
        is_program: false,
        steps: &[staged::small, guarded::rollback, guarded::commit, staged::filling, guarded::dropped],
    },
    // Each step ends with a change of names that no later write to the journal depends on: only the sync of a directory
    // keeps it. Steps that make or write files hide that, as the sync of a new file takes its name along.
    Workload {
        name: "removals",
        dir: OPENED,
        durability: Durability::Journal,
        before: Before::Names,
        is_program: false,
        steps: &[staged::removal, staged::checkpoint, guarded::removal],
    },
    Workload {
        name: "the program",
        dir: OPENED,
        durability: Durability::Journal,
        before: Before::Anything,
        is_program: true,
        steps: &[program::apply, program::run, program::run_that_fails, program::apply_moves],
    },
];

pub(crate) fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// Makes small things large: a short journal, and files that do not fit into it.
fn options() -> Options {
    Options::new().segment_bytes(64 << 10).inline_max(16 << 10)
}

impl<'a> World<'a> {
    pub(crate) fn new(
        workload: &Workload,
        disk: Arc<dyn Disk>,
        dir: &'a Path,
        treewal: &'a Path,
        stir: &'a dyn Fn(),
    ) -> Self {
        let options = options().durability(workload.durability);
        let tree = (!workload.is_program).then(|| options.open_on(disk, dir).expect("the tree opens"));
        Self { tree, dir, treewal, stir }
    }

    fn tree(&self) -> &Tree {
        self.tree.as_ref().expect("the library is used")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }
}

/// Makes a tree for workloads to start from. All times lie in the past, so that later ones show.
pub(crate) fn prepare(dir: &Path, open: bool) {
    for sub in ["d", "d/deep", "e", "empty"] {
        fs::create_dir(dir.join(sub)).unwrap();
    }
    for path in ["a", "b", "aside", "log", "log.1", "d/x", "d/y", "d/deep/z", "e/aside"] {
        fs::write(dir.join(path), format!("old {}", path.repeat(40))).unwrap();
    }
    fs::write(dir.join("large"), vec![b'L'; 100_000]).unwrap();
    fs::set_permissions(dir.join("b"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::hard_link(dir.join("d/x"), dir.join("d/deep/x too")).unwrap();
    symlink("a", dir.join("link")).unwrap();
    let root = RealDisk.open_root(dir).unwrap();
    RealDisk.set_owner(&root, "b".as_ref(), 1234, 5678).unwrap();
    for path in ["a", "b", "e", "large"] {
        RealDisk.set_xattr(&root, path.as_ref(), "user.lab".as_ref(), path.as_bytes()).unwrap();
    }
    if open {
        drop(options().open(dir).expect("the tree opens"));
    }
    let found = walk(dir).unwrap();
    // What lies in a directory before the directory.
    for (n, path) in found.keys().rev().enumerate() {
        let path = RelPath::new(path).unwrap();
        let (parent, name) = path.split().unwrap();
        let then = Time { secs: 1_000_000_000 + i64::try_from(n).unwrap(), nanos: 123_456_789 };
        RealDisk.set_times(&RealDisk.open_dir(&root, &parent).unwrap(), name, then, then).unwrap();
    }
}
