//! What is crashed.

use std::ffi::OsStr;

use treewal::{Transaction, Tree};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Open, RelPath, Rename, write_all};

use crate::judge::Lasting;
use crate::rig::Also;

/// A tree, and steps that happen to it one after another. A step says whether it was told that its work is done.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) prepare: fn(&SimDisk),
    pub(crate) steps: Vec<Step>,
    /// Which paths that last are never missing.
    pub(crate) lasting: Lasting,
    /// What else must hold of a recovered disk.
    pub(crate) also: Option<Also>,
}

pub(crate) type Step = Box<dyn Fn(&Tree, &SimDisk) -> bool + Send + Sync>;

impl Workload {
    /// Takes the steps up to the first that fails; gives the number of those that succeeded.
    pub(crate) fn run(&self, tree: &Tree, disk: &SimDisk, after_each: &mut dyn FnMut(&SimDisk)) -> usize {
        for (done, step) in self.steps.iter().enumerate() {
            if !step(tree, disk) {
                return done;
            }
            after_each(disk);
        }
        self.steps.len()
    }
}

pub(crate) fn put(disk: &SimDisk, path: &str, contents: &[u8]) {
    let path = RelPath::new(path).unwrap();
    let root = disk.open_root("/".as_ref()).unwrap();
    let (parent, name) = path.split().unwrap();
    let dir = disk.open_dir(&root, &parent).unwrap();
    let file = disk.open(&dir, name, Open::CreateNew { mode: 0o644 }).unwrap();
    write_all(disk, &file, contents, 0).unwrap();
}

pub(crate) fn tree_of_files(disk: &SimDisk) {
    let root = disk.open_root("/".as_ref()).unwrap();
    for dir in ["d", "e"] {
        disk.create_dir(&root, OsStr::new(dir), 0o755).unwrap();
    }
    for (path, contents) in [
        ("a", "old a"),
        ("b", "old b"),
        ("log", "today"),
        ("log.1", "yesterday"),
        ("d/x", "old x"),
        ("d/y", "old y"),
        ("e/z", "old z"),
    ] {
        put(disk, path, contents.as_bytes());
    }
    put(disk, "large", &[b'L'; 9000]);
    disk.symlink(OsStr::new("a"), &root, OsStr::new("link")).unwrap();
}

pub(crate) type Body = fn(&mut Transaction) -> treewal::Result<()>;

pub(crate) fn staged(name: &'static str, body: Body) -> Workload {
    sequence(name, &[body])
}

pub(crate) fn sequence(name: &'static str, bodies: &[Body]) -> Workload {
    let step = |body: Body| -> Step { Box::new(move |tree: &Tree, _: &SimDisk| tree.transaction(body).is_ok()) };
    Workload {
        name,
        prepare: tree_of_files,
        steps: bodies.iter().copied().map(step).collect(),
        lasting: Lasting::All,
        also: None,
    }
}

pub(crate) fn transactions() -> Vec<Workload> {
    vec![
        staged("replace one", |tx| tx.write("a", "new a")),
        staged("replace, create, remove", |tx| {
            tx.write("a", "new a, and longer than a sector ".repeat(30))?;
            tx.write("d/new", "new")?;
            tx.remove_file("b")
        }),
        staged("a new directory with contents", |tx| {
            tx.create_dir_all("n/m")?;
            tx.write("n/m/1", "one")?;
            tx.write("n/2", "two")?;
            tx.symlink("../a", "n/m/link")?;
            tx.write("d/x", "new x")
        }),
        staged("large contents", |tx| {
            tx.write("large", vec![b'N'; 9001])?;
            tx.write("d/large", vec![b'M'; 5000])?;
            tx.write("a", "small beside large")
        }),
        staged("large inside a new directory", |tx| {
            tx.create_dir("n")?;
            tx.write("n/large", vec![b'N'; 9001])
        }),
        staged("swap", |tx| tx.exchange("a", "b")),
        staged("rotate a log", |tx| {
            tx.rename("log.1", "log.2")?;
            tx.rename("log", "log.1")?;
            tx.write("log", "tomorrow")
        }),
        staged("move a directory and change it", |tx| {
            tx.rename("d", "moved")?;
            tx.write("moved/x", "new x")?;
            tx.rename("moved/y", "y")?;
            tx.write("e/z", "new z")
        }),
        staged("remove a directory, put a file there", |tx| {
            tx.remove_dir_all("d")?;
            tx.write("d", "a file now")?;
            tx.remove_file("a")?;
            tx.create_dir("a")?;
            tx.write("a/in", "a directory now")
        }),
        staged("hoist a child over its directory", |tx| {
            tx.rename("d/x", "tmp")?;
            tx.remove_dir_all("d")?;
            tx.rename("tmp", "d")
        }),
        staged("a child leaves a directory that a file replaces", |tx| {
            tx.rename("d/x", "y")?;
            tx.remove_dir_all("d")?;
            tx.write("d", "a file now")
        }),
        staged("a child leaves a directory that changes places", |tx| {
            tx.rename("d/x", "y")?;
            tx.exchange("d", "e")?;
            tx.write("e/new", "new")
        }),
        staged("modes", |tx| {
            use std::os::unix::fs::PermissionsExt;
            tx.set_permissions("a", std::fs::Permissions::from_mode(0o600))?;
            tx.write("b", "new b")?;
            tx.set_permissions("b", std::fs::Permissions::from_mode(0o755))?;
            tx.set_permissions("d", std::fs::Permissions::from_mode(0o700))
        }),
    ]
}

/// New directories, with what stood elsewhere before, and in the place of others.
pub(crate) fn directories() -> Vec<Workload> {
    vec![
        staged("gather entries in a new directory", |tx| {
            tx.create_dir("n")?;
            tx.rename("a", "n/a")?;
            tx.rename("d/x", "n/x")?;
            tx.write("n/b", "b")
        }),
        staged("put a new directory in the place of another", |tx| {
            tx.create_dir_all("next/deep")?;
            tx.write("next/x", "new x")?;
            tx.write("next/deep/y", "deep y")?;
            tx.write("next/large", vec![b'N'; 9001])?;
            tx.remove_dir_all("d")?;
            tx.rename("next", "d")
        }),
        staged("modes inside new directories", |tx| {
            use std::os::unix::fs::PermissionsExt;
            tx.create_dir_all("n/m")?;
            tx.write("n/m/x", "x")?;
            tx.set_permissions("n", std::fs::Permissions::from_mode(0o700))?;
            tx.set_permissions("n/m", std::fs::Permissions::from_mode(0o2750))?;
            tx.set_permissions("n/m/x", std::fs::Permissions::from_mode(0o600))
        }),
    ]
}

/// Directories whose entries go before they do.
pub(crate) fn taken_apart() -> Vec<Workload> {
    vec![
        sequence(
            "a directory is filled, and taken apart",
            &[
                |tx| {
                    tx.write("d/x", "new x")?;
                    tx.create_dir("d/sub")?;
                    tx.write("d/sub/z", "z")
                },
                |tx| tx.write("d/sub/z", "new z"),
                |tx| {
                    tx.remove_file("d/x")?;
                    tx.remove_file("d/y")?;
                    tx.remove_file("d/sub/z")?;
                    tx.remove_dir("d/sub")?;
                    tx.remove_dir("d")
                },
                |tx| tx.create_dir("d"),
                |tx| tx.write("d/y", "newest y"),
            ],
        ),
        sequence(
            "an empty directory takes the place of a full one, and goes",
            &[
                |tx| {
                    tx.remove_dir_all("d")?;
                    tx.create_dir("d")
                },
                |tx| tx.remove_dir("d"),
            ],
        ),
        sequence(
            "a directory is taken apart, and its entries move",
            &[
                |tx| tx.write("d/x", "new x"),
                |tx| {
                    tx.rename("d/x", "x")?;
                    tx.remove_file("d/y")?;
                    tx.remove_dir("d")
                },
                |tx| tx.write("d", "a file"),
            ],
        ),
        sequence(
            "a directory goes with what its entry displaced, and another takes its place",
            &[
                |tx| tx.write("d/x", "new x"),
                |tx| {
                    tx.rename("e/z", "a")?;
                    tx.exchange("d", "e")?;
                    tx.remove_dir("d")
                },
                |tx| tx.write("e/x", "newest x"),
            ],
        ),
    ]
}

/// Several transactions, one after another, before a checkpoint settles any of them.
pub(crate) fn sequences() -> Vec<Workload> {
    vec![
        sequence(
            "the same file three times",
            &[|tx| tx.write("a", "1"), |tx| tx.write("a", "22"), |tx| tx.write("a", "333")],
        ),
        sequence(
            "create, replace, remove, create",
            &[|tx| tx.write("n", "1"), |tx| tx.write("n", "2"), |tx| tx.remove_file("n"), |tx| tx.write("n", "3")],
        ),
        sequence(
            "a directory comes, goes and comes",
            &[
                |tx| {
                    tx.create_dir("n")?;
                    tx.write("n/1", "1")
                },
                |tx| tx.write("n/2", "2"),
                |tx| tx.remove_dir_all("n"),
                |tx| {
                    tx.create_dir("n")?;
                    tx.write("n/3", "3")
                },
            ],
        ),
        sequence(
            "barriers between small ones",
            &[|tx| tx.write("a", "1"), |tx| tx.rename("d", "f"), |tx| tx.write("f/x", "2"), |tx| tx.rename("f/x", "a")],
        ),
        sequence(
            "a mode after a write, a large file over a small one",
            &[
                |tx| tx.write("a", "1"),
                |tx| {
                    use std::os::unix::fs::PermissionsExt;
                    tx.set_permissions("a", std::fs::Permissions::from_mode(0o600))
                },
                |tx| tx.write("a", vec![b'L'; 9000]),
                |tx| tx.write("a", "small again"),
            ],
        ),
    ]
}

pub(crate) fn overwrite(disk: &SimDisk, path: &str, contents: &[u8]) -> std::io::Result<()> {
    let path = RelPath::new(path).unwrap();
    let root = disk.open_root("/".as_ref())?;
    let (parent, name) = path.split().unwrap();
    let dir = disk.open_dir(&root, &parent)?;
    let file = disk.open(&dir, name, Open::ReadWrite)?;
    write_all(disk, &file, contents, 0)
}

/// What careless code does in place: writes into files, makes, removes and renames things.
pub(crate) fn vandalise(disk: &SimDisk) -> std::io::Result<()> {
    let root = disk.open_root("/".as_ref())?;
    let d = disk.open_dir(&root, &RelPath::new("d").unwrap())?;
    overwrite(disk, "a", b"in place")?;
    overwrite(disk, "large", b"in place, the head only")?;
    disk.rename(&d, OsStr::new("x"), &d, OsStr::new("x2"), Rename::NoReplace)?;
    disk.remove_file(&d, OsStr::new("y"))?;
    disk.create_dir(&d, OsStr::new("sub"), 0o755)?;
    disk.set_mode(&root, OsStr::new("b"), 0o600)?;
    let file = disk.open(&root, OsStr::new("fresh"), Open::CreateNew { mode: 0o644 })?;
    write_all(disk, &file, b"fresh", 0)
}

pub(crate) fn guarded(name: &'static str, steps: Vec<Step>) -> Workload {
    Workload { name, prepare: tree_of_files, steps, lasting: Lasting::Guarded, also: None }
}

pub(crate) fn guards() -> Vec<Workload> {
    const PATHS: [&str; 5] = ["a", "b", "d", "large", "fresh"];
    let commit: fn(&Tree, &SimDisk) -> bool = |tree, disk| {
        let Ok(guard) = tree.guard(PATHS) else { return false };
        vandalise(disk).is_ok() && guard.commit().is_ok()
    };
    let roll_back: fn(&Tree, &SimDisk) -> bool = |tree, disk| {
        let Ok(guard) = tree.guard(PATHS) else { return false };
        vandalise(disk).is_ok() && guard.rollback().is_ok()
    };
    let whole: fn(&Tree, &SimDisk) -> bool = |tree, disk| {
        let Ok(guard) = tree.guard(["."]) else { return false };
        let done = vandalise(disk).is_ok();
        drop(guard);
        done && !disk.is_off()
    };
    let write: fn(&Tree, &SimDisk) -> bool = |tree, _| tree.transaction(|tx| tx.write("a", "committed")).is_ok();
    vec![
        guarded("guard and commit", vec![Box::new(commit)]),
        guarded("guard and roll back", vec![Box::new(roll_back)]),
        Workload {
            lasting: Lasting::GuardedWhole,
            ..guarded("guard of the whole tree, dropped", vec![Box::new(whole)])
        },
        guarded(
            "transaction, guard rolled back, transaction",
            vec![Box::new(write), Box::new(roll_back), Box::new(write)],
        ),
        guarded("guard committed, transaction", vec![Box::new(commit), Box::new(write)]),
    ]
}
