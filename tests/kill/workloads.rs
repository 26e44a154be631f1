//! What is killed.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use treewal::{FileTimes, Publish, Tree};
use treewal_vfs::{Disk, RealDisk, RelPath, Time};

use crate::child;
use crate::guarded::{
    elsewhere, guard_commit, guard_dropped, guard_exchange, guard_rollback, restored_beside, snapshot_removed,
    snapshot_restored, snapshot_taken,
};
use crate::walk::walk;

/// A tree, and steps that happen to it one after another; each is acknowledged when it returns.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) steps: &'static [Step],
    /// The tree has not been opened before.
    pub(crate) first_open: bool,
    /// Made of staged transactions: paths that last are never missing. A guard lets anybody do anything.
    pub(crate) staged: bool,
    /// What the disk can do with names.
    pub(crate) renames: Renames,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renames {
    /// All that there is.
    All,
    /// It cannot exchange two names in one step.
    NoExchange,
    /// Neither that, nor give a file a second name.
    Plain,
}

pub(crate) type Step = fn(&Tree, &Path);

pub(crate) static WORKLOADS: [Workload; 21] = [
    Workload {
        name: "first opening, first commit",
        steps: &[small],
        first_open: true,
        staged: true,
        renames: Renames::All,
    },
    Workload { name: "staged commit", steps: &[small], first_open: false, staged: true, renames: Renames::All },
    Workload {
        name: "staged commit of large files",
        steps: &[large],
        first_open: false,
        staged: true,
        renames: Renames::All,
    },
    Workload {
        name: "staged commit that moves directories",
        steps: &[moves],
        first_open: false,
        staged: true,
        renames: Renames::All,
    },
    Workload {
        name: "a directory replaced by another",
        steps: &[publish, publish],
        first_open: false,
        staged: true,
        renames: Renames::All,
    },
    Workload {
        name: "commits until a checkpoint is due",
        steps: &[filling, filling, filling, filling, small],
        first_open: false,
        staged: true,
        renames: Renames::All,
    },
    Workload {
        name: "attributes",
        steps: &[attributes, attributes],
        first_open: false,
        staged: true,
        renames: Renames::All,
    },
    Workload { name: "hard links", steps: &[links, small], first_open: false, staged: true, renames: Renames::All },
    Workload {
        name: "updates and copies",
        steps: &[updates, updates],
        first_open: false,
        staged: true,
        renames: Renames::All,
    },
    Workload {
        name: "directories published and merged",
        steps: &[publications, publications],
        first_open: false,
        staged: true,
        renames: Renames::All,
    },
    Workload {
        name: "no exchange: staged commits",
        steps: &[small, filling, updates],
        first_open: false,
        staged: true,
        renames: Renames::NoExchange,
    },
    Workload {
        name: "no exchange: moves",
        steps: &[moves],
        first_open: false,
        staged: true,
        renames: Renames::NoExchange,
    },
    Workload {
        name: "no exchange: directories published and merged",
        steps: &[publications, publish],
        first_open: false,
        staged: true,
        renames: Renames::NoExchange,
    },
    Workload {
        name: "no exchange and no links: moves, directories",
        steps: &[moves, directories],
        first_open: false,
        staged: true,
        renames: Renames::Plain,
    },
    Workload { name: "guard, commit", steps: &[guard_commit], first_open: false, staged: false, renames: Renames::All },
    Workload {
        name: "guard, rollback",
        steps: &[guard_rollback],
        first_open: false,
        staged: false,
        renames: Renames::All,
    },
    Workload {
        name: "guard, rollback by exchange",
        steps: &[guard_exchange],
        first_open: false,
        staged: false,
        renames: Renames::All,
    },
    Workload {
        name: "named snapshot: taken, restored, removed",
        steps: &[snapshot_taken, small, snapshot_restored, snapshot_removed],
        first_open: false,
        staged: true,
        renames: Renames::All,
    },
    Workload {
        name: "named snapshot restored beside a guard",
        steps: &[snapshot_taken, elsewhere, restored_beside],
        first_open: false,
        staged: false,
        renames: Renames::All,
    },
    Workload {
        name: "guard of the whole tree, dropped",
        steps: &[guard_dropped],
        first_open: false,
        staged: false,
        renames: Renames::All,
    },
    Workload {
        name: "commit, guard rolled back, guard, commit",
        steps: &[small, guard_rollback, guard_commit, filling],
        first_open: false,
        staged: false,
        renames: Renames::All,
    },
];

/// The workload of that name; none for a process that only opens the tree.
pub(crate) fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// Makes the tree that every workload starts from. All times lie in the past, so that a later one shows.
pub(crate) fn prepare(tree: &Path, workload: &Workload) {
    for dir in ["d", "d/deep", "e", "empty"] {
        fs::create_dir(tree.join(dir)).unwrap();
    }
    let small =
        ["a", "b", "aside", "log", "log.1", "d/x", "d/y", "d/deep/z", "e/aside"].map(|path| (path, path.repeat(40)));
    for (path, contents) in small {
        fs::write(tree.join(path), format!("old {contents}")).unwrap();
    }
    fs::write(tree.join("large"), vec![b'L'; 100_000]).unwrap();
    fs::set_permissions(tree.join("b"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::hard_link(tree.join("d/x"), tree.join("d/deep/x too")).unwrap();
    symlink("a", tree.join("link")).unwrap();
    if !workload.first_open {
        drop(child::options().open(tree).unwrap());
    }
    age(tree);
}

/// Gives everything in the tree a time in the past, symlinks too, and what lies in a directory before the directory.
fn age(tree: &Path) {
    let root = RealDisk.open_root(tree).unwrap();
    let found = walk(tree);
    for (n, path) in found.keys().rev().enumerate() {
        let path = RelPath::new(path).unwrap();
        let (parent, name) = path.split().unwrap();
        let then = Time { secs: 1_000_000_000 + i64::try_from(n).unwrap(), nanos: 123_456_789 };
        RealDisk.set_times(&RealDisk.open_dir(&root, &parent).unwrap(), name, then, then).unwrap();
    }
}

// --- staged -------------------------------------------------------------------------------------------------------------

fn small(tree: &Tree, _: &Path) {
    tree.transaction(|tx| {
        tx.write("a", "new a")?;
        tx.write("b", "new b".repeat(500))?;
        tx.write("d/x", "new x")?;
        tx.create_dir_all("new/deep")?;
        tx.write("new/deep/1", "one")?;
        tx.write("new/2", "two")?;
        tx.symlink("../a", "new/link")?;
        tx.remove_file("d/y")?;
        tx.set_permissions("d/deep/z", fs::Permissions::from_mode(0o600))
    })
    .unwrap();
}

fn large(tree: &Tree, _: &Path) {
    tree.transaction(|tx| {
        tx.write("large", vec![b'N'; 120_000])?;
        tx.create_dir("new")?;
        tx.write("new/large", vec![b'M'; 50_000])?;
        let mut stream = tx.create("stream")?;
        for _ in 0..10 {
            stream.write_all(&[b'S'; 9_000]).unwrap();
        }
        drop(stream);
        tx.write("a", "small beside large")
    })
    .unwrap();
}

fn moves(tree: &Tree, _: &Path) {
    tree.transaction(|tx| {
        tx.rename("d", "moved")?;
        tx.write("moved/x", "new x")?;
        tx.rename("moved/y", "y")?;
        tx.rename("log.1", "log.2")?;
        tx.rename("log", "log.1")?;
        tx.write("log", "tomorrow")?;
        tx.exchange("a", "b")?;
        tx.remove_dir_all("e")?;
        tx.write("e", "a file now")?;
        tx.write("large", vec![b'N'; 40_000])
    })
    .unwrap();
}

/// Builds a directory and puts it in the place of one that has entries of the same names.
fn publish(tree: &Tree, _: &Path) {
    tree.transaction(|tx| {
        let times = tx.read("d/x")?.len();
        tx.create_dir_all("d.next/deep")?;
        tx.write("d.next/x", "x".repeat(times + 1))?;
        tx.write("d.next/deep/z", "new z")?;
        tx.write("d.next/deep/x too", vec![b'X'; 20_000])?;
        tx.write("d.next/y", "new y")?;
        tx.remove_dir_all("d")?;
        tx.rename("d.next", "d")
    })
    .unwrap();
}

/// A directory is merged into another one, one takes the place of another, and a file too.
fn publications(tree: &Tree, dir: &Path) {
    let times = fs::read(dir.join("d/x")).unwrap().len();
    let long_gone = |secs| FileTimes::new().set_modified(UNIX_EPOCH + Duration::new(secs, 1));
    tree.transaction(|tx| {
        tx.create_dir_all("next/deep/new")?;
        tx.write("next/x", "x".repeat(times + 1))?;
        tx.write("next/deep/z", vec![b'z'; 20_000 + times])?;
        tx.symlink("x", "next/y")?;
        for (n, path) in ["next/x", "next/deep/z", "next/deep/new", "next/deep", "next"].into_iter().enumerate() {
            tx.set_times(path, long_gone(n as u64))?;
        }
        tx.publish_with(Publish::merge().keep_unmanaged(true), "next", "d")?;
        tx.remove_dir_all("next")?;
        tx.create_dir_all("e.next/in")?;
        tx.write("e.next/in/1", vec![b'1'; times])?;
        tx.publish("e.next", "e")?;
        tx.write("a.next", vec![b'a'; times])?;
        tx.publish("a.next", "a")
    })
    .unwrap();
}

/// A directory that was there takes the place of another, and changes places with a file.
fn directories(tree: &Tree, _: &Path) {
    tree.transaction(|tx| {
        tx.publish("moved", "empty")?;
        tx.exchange("log", "empty")
    })
    .unwrap();
}

/// Fills a third of the journal, so that a few of these make a checkpoint due. Another content each time.
fn filling(tree: &Tree, dir: &Path) {
    let time = fs::read(dir.join("log")).unwrap().len();
    tree.transaction(|tx| {
        tx.write("log", vec![b'l'; time + 1])?;
        tx.write("log.1", vec![b'y'; 8_000 + time])?;
        tx.write(format!("n{time}"), vec![b'n'; 8_000])
    })
    .unwrap();
}

/// Attributes of what is there and of what is new, other ones each time.
fn attributes(tree: &Tree, dir: &Path) {
    let time = fs::read(dir.join("log")).unwrap().len();
    let long_gone = FileTimes::new().set_modified(UNIX_EPOCH + Duration::new(time as u64, 5));
    tree.transaction(|tx| {
        tx.set_times("a", long_gone)?;
        tx.set_xattr("b", "user.b", "x".repeat(time))?;
        tx.set_permissions("d", fs::Permissions::from_mode(0o750))?;
        tx.create_dir_all("closed/deeper")?;
        tx.write("closed/deeper/f", "f")?;
        tx.set_times("closed/deeper/f", long_gone)?;
        tx.set_permissions("closed/deeper", fs::Permissions::from_mode(0o500))?;
        tx.set_times("closed", long_gone)?;
        tx.write("log", vec![b'l'; time + 1])
    })
    .unwrap();
}

fn links(tree: &Tree, _: &Path) {
    tree.transaction(|tx| {
        tx.hard_link("a", "d/deep/a too")?;
        tx.write("named", "twice")?;
        tx.hard_link("named", "d/named too")?;
        tx.write("b", vec![b'B'; 20_000])?;
        tx.hard_link("b", "b too")?;
        tx.rename("log", "e/log")?;
        tx.hard_link("e/log", "log")?;
        tx.remove_file("d/x")
    })
    .unwrap();
}

fn updates(tree: &Tree, _: &Path) {
    tree.transaction(|tx| {
        tx.update("large", |file| {
            let end = file.seek(SeekFrom::End(0))?;
            file.write_all(b"a tail")?;
            file.seek(SeekFrom::Start(end / 2))?;
            file.write_all(b"a part")
        })?;
        tx.append("log", "a line\n")?;
        tx.copy("large", "large too")?;
        tx.copy("a", "d/a")?;
        tx.update("d/a", |file| file.write_all(b"changed"))
    })
    .unwrap();
}
