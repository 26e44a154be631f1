//! A tree, and what others do to it.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use treewal::{Durability, Options, Transaction, Tree};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, Fault, FaultDisk, Open, RelPath, Rename, write_all};

use crate::seen::Seen;

pub(crate) const ROOT: &str = "/";
/// What others write.
pub(crate) const THEIRS: &[u8] = b"theirs, and nobody else's";

pub(crate) type Body = fn(&mut Transaction) -> treewal::Result<()>;

pub(crate) const BODIES: [(&str, Body); 7] = [
    ("replace and create", |tx| {
        tx.write("a", "new a")?;
        tx.write("d/new", "new")?;
        tx.write("large", vec![b'N'; 9001])
    }),
    ("remove", |tx| {
        tx.remove_file("a")?;
        tx.remove_file("d/x")
    }),
    ("remove a directory, one entry after the other", |tx| {
        tx.remove_file("d/x")?;
        tx.rename("d/y", "y")?;
        tx.remove_dir("d")
    }),
    ("rename over", |tx| tx.rename("b", "a")),
    ("rotate", |tx| {
        tx.rename("a", "c")?;
        tx.rename("b", "a")?;
        tx.write("b", "new b")
    }),
    ("swap", |tx| tx.exchange("a", "d/x")),
    ("move a directory", |tx| {
        tx.rename("d", "moved")?;
        tx.write("moved/x", "new x")?;
        tx.rename("moved/y", "a")
    }),
];

pub(crate) fn options(durability: Durability) -> Options {
    Options::new().durability(durability).segment_bytes(64 << 10).inline_max(4 << 10).lock_wait(Duration::ZERO)
}

pub(crate) fn open(disk: &SimDisk) -> Tree {
    options(Durability::Journal).open_on(Arc::new(disk.clone()), ROOT).unwrap()
}

fn split(disk: &SimDisk, path: &str) -> io::Result<(Dir, std::ffi::OsString)> {
    let path = RelPath::new(path).unwrap();
    let (parent, name) = path.split().unwrap();
    Ok((disk.open_dir(&disk.open_root(ROOT.as_ref())?, &parent)?, name.to_os_string()))
}

pub(crate) fn put(disk: &SimDisk, path: &str, contents: &[u8]) -> io::Result<()> {
    let (dir, name) = split(disk, path)?;
    let file = disk.open(&dir, &name, Open::CreateNew { mode: 0o644 })?;
    write_all(disk, &file, contents, 0)
}

/// What others may do to a path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Write into what stands there.
    Edit,
    /// Put another file in its place, as editors do.
    Replace,
    /// Make a file where there is none.
    Create,
}

impl Act {
    /// Whether it could be done.
    pub(crate) fn on(self, disk: &SimDisk, path: &str) -> io::Result<()> {
        let (dir, name) = split(disk, path)?;
        match self {
            Self::Edit => {
                let file = disk.open(&dir, &name, Open::ReadWrite)?;
                disk.set_len(&file, 0)?;
                write_all(disk, &file, THEIRS, 0)
            }
            Self::Replace => {
                disk.stat(&dir, &name)?;
                let draft = OsStr::new("draft~");
                let file = disk.open(&dir, draft, Open::CreateNew { mode: 0o644 })?;
                write_all(disk, &file, THEIRS, 0)?;
                disk.rename(&dir, draft, &dir, &name, Rename::Replace)
            }
            Self::Create => put(disk, path, THEIRS),
        }
    }
}

pub(crate) const ACTS: [Act; 3] = [Act::Edit, Act::Replace, Act::Create];
pub(crate) const PATHS: [&str; 8] = ["a", "b", "c", "d/x", "d/new", "moved/x", "moved", "large"];

/// A tree that treewal has been used on, all of it durable.
pub(crate) fn prepared() -> SimDisk {
    let disk = SimDisk::new();
    let root = disk.open_root(ROOT.as_ref()).unwrap();
    disk.create_dir(&root, OsStr::new("d"), 0o755).unwrap();
    for (path, contents) in [("a", "old a"), ("b", "old b"), ("d/x", "old x"), ("d/y", "old y")] {
        put(&disk, path, contents.as_bytes()).unwrap();
    }
    put(&disk, "large", &[b'L'; 9000]).unwrap();
    drop(open(&disk));
    disk.sync_all(&root).unwrap();
    disk.remount()
}

/// The disk after the process died at its `at`th changing call; `None` where it made fewer.
pub(crate) fn died_at(base: &SimDisk, body: Body, at: u64) -> Option<SimDisk> {
    let sim = base.remount();
    let faulty = Arc::new(FaultDisk::new(Arc::new(sim.clone()), Fault::None));
    let tree = options(Durability::Journal).open_on(faulty.clone(), ROOT).unwrap();
    faulty.arm(Fault::Off { at });
    drop(tree.transaction(body));
    faulty.is_off().then(|| sim.remount())
}

/// Everything that holds the bytes of others, in the tree and in quarantine.
pub(crate) fn holds_theirs(disk: &SimDisk) -> Vec<String> {
    let held = disk.dump().into_iter().filter(|(_, node)| node.contents == THEIRS);
    held.map(|(path, _)| path.to_string()).filter(|path| !path.starts_with(".treewal/stage")).collect()
}

/// A tree without the paths that others touched.
pub(crate) fn without(mut seen: Seen, path: &str) -> Seen {
    seen.retain(|other, entry| *other != RelPath::new(path).unwrap() && entry.contents != THEIRS);
    seen
}
