//! A simulated tree, what is done to it, and what must hold after it failed.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use treewal::{CheckpointSync, Durability, Options, Outcome, Transaction, Tree};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, Open, RelPath, Verb, write_all};

use crate::seen::{Seen, differences, leftovers, look};

pub(crate) const ROOT: &str = "/";

pub(crate) type Body = fn(&mut Transaction) -> treewal::Result<()>;

/// Transactions that together meet every kind of step.
pub(crate) const BODIES: [(&str, Body); 7] = [
    ("replace, create, remove", |tx| {
        tx.write("a", "new a")?;
        tx.write("d/new", "new")?;
        tx.remove_file("b")
    }),
    ("a new directory", |tx| {
        tx.create_dir_all("n/m")?;
        tx.write("n/m/1", "one")?;
        tx.symlink("../a", "n/link")?;
        tx.write("n/large", vec![b'N'; 9001])
    }),
    ("large contents", |tx| {
        tx.write("large", vec![b'N'; 9001])?;
        tx.write("a", "small beside large")
    }),
    ("move a directory and change it", |tx| {
        tx.rename("d", "moved")?;
        tx.write("moved/x", "new x")?;
        tx.rename("moved/y", "y")
    }),
    ("rotate", |tx| {
        tx.rename("a", "c")?;
        tx.rename("b", "a")?;
        tx.write("b", "new b")
    }),
    ("modes", |tx| {
        use std::os::unix::fs::PermissionsExt;
        tx.set_permissions("a", std::fs::Permissions::from_mode(0o600))?;
        tx.set_permissions("d", std::fs::Permissions::from_mode(0o700))?;
        tx.remove_dir_all("e")
    }),
    ("more than a segment", |tx| {
        for n in 0..30 {
            tx.write(format!("d/f{n}"), vec![b'f'; 4000])?;
        }
        Ok(())
    }),
];

pub(crate) fn options(durability: Durability) -> Options {
    Options::new()
        .durability(durability)
        .segment_bytes(64 << 10)
        .inline_max(4 << 10)
        .lock_wait(Duration::ZERO)
        .checkpoint_sync(CheckpointSync::Entries)
}

pub(crate) fn put(disk: &dyn Disk, path: &str, contents: &[u8]) {
    let path = RelPath::new(path).unwrap();
    let (parent, name) = path.split().unwrap();
    let dir = disk.open_dir(&disk.open_root(ROOT.as_ref()).unwrap(), &parent).unwrap();
    match disk.remove_file(&dir, name) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
    let file = disk.open(&dir, name, Open::CreateNew { mode: 0o644 }).unwrap();
    write_all(disk, &file, contents, 0).unwrap();
}

/// A tree that treewal has been used on, all of it durable.
pub(crate) fn prepared() -> SimDisk {
    let disk = untouched();
    let root = disk.open_root(ROOT.as_ref()).unwrap();
    drop(options(Durability::Journal).open_on(Arc::new(disk.clone()), ROOT).unwrap());
    disk.sync_all(&root).unwrap();
    disk.remount()
}

/// What it was before.
pub(crate) fn untouched() -> SimDisk {
    let disk = SimDisk::new();
    let root = disk.open_root(ROOT.as_ref()).unwrap();
    for dir in ["d", "e"] {
        disk.create_dir(&root, OsStr::new(dir), 0o755).unwrap();
    }
    for (path, contents) in [("a", "old a"), ("b", "old b"), ("d/x", "old x"), ("d/y", "old y"), ("e/z", "old z")] {
        put(&disk, path, contents.as_bytes());
    }
    put(&disk, "large", &[b'L'; 9000]);
    disk
}

/// The tree after a transaction on a disk that works.
pub(crate) fn after(base: &SimDisk, bodies: &[Body]) -> Seen {
    let disk = base.remount();
    let tree = options(Durability::Journal).open_on(Arc::new(disk.clone()), ROOT).unwrap();
    bodies.iter().for_each(|body| tree.transaction(body).unwrap());
    look(&disk, ROOT)
}

/// A tree on a disk that fails when it is told to.
pub(crate) struct Bed {
    pub(crate) sim: SimDisk,
    pub(crate) faulty: Arc<FaultDisk>,
    pub(crate) tree: Tree,
}

impl Bed {
    pub(crate) fn new(base: &SimDisk, durability: Durability) -> Self {
        Self::with(base, &options(durability), None)
    }

    /// With options of one's own, on a disk where only one verb fails.
    pub(crate) fn with(base: &SimDisk, options: &Options, only: Option<Verb>) -> Self {
        let sim = base.remount();
        let faulty = FaultDisk::new(Arc::new(sim.clone()), Fault::None);
        let faulty = Arc::new(match only {
            Some(verb) => faulty.only(verb),
            None => faulty,
        });
        let tree = options.open_on(faulty.clone(), ROOT).unwrap();
        Self { sim, faulty, tree }
    }
}

/// What may be found after `outcome`, `None` being a success: what stood before, what was to stand after, or either.
pub(crate) fn allowed<'a>(outcome: Option<Outcome>, before: &'a Seen, after: &'a Seen) -> Vec<&'a Seen> {
    match outcome {
        None => vec![after],
        Some(Outcome::Unchanged | Outcome::RolledBack) => vec![before],
        Some(_) => vec![before, after],
    }
}

pub(crate) fn assert_among(found: &Seen, allowed: &[&Seen], at: &str) {
    if !allowed.contains(&found) {
        let all: Vec<String> = allowed.iter().map(|wanted| differences(found, wanted)).collect();
        panic!("{at}: the tree differs from what was said\n{}", all.join("--- and\n"));
    }
}

/// Opens the tree on a disk that works again: it must be as was said, with nothing pending, in quarantine or left over,
/// and stay so after a loss of power.
pub(crate) fn assert_reopens(disk: &SimDisk, allowed: &[&Seen], at: &str) {
    let tree = options(Durability::Journal)
        .open_on(Arc::new(disk.clone()), Path::new(ROOT))
        .unwrap_or_else(|error| panic!("{at}: cannot open: {error:?}"));
    let report = tree.recovery().clone();
    let found = look(disk, ROOT);
    assert_among(&found, allowed, &format!("{at}, reopened: {report}"));
    assert!(!report.found_damage() && report.pending().count() == 0, "{at}: {report}");
    assert!(report.transactions.iter().all(|done| done.superseded.is_empty()), "{at}: {report}");
    tree.transaction(|tx| tx.write("later", "work")).unwrap_or_else(|error| panic!("{at}: no more work: {error:?}"));
    drop(tree);
    assert_eq!(leftovers(disk, ROOT), Vec::<String>::new(), "{at}");
    let lost = disk.after(&disk.outcomes(Profile::Strict).nothing());
    let mut expected = found;
    expected.extend(look(disk, ROOT).into_iter().filter(|(path, _)| *path == RelPath::new("later").unwrap()));
    drop(options(Durability::Journal).open_on(Arc::new(lost.clone()), ROOT).unwrap());
    assert_among(&look(&lost, ROOT), &[&expected], &format!("{at}, after a later loss of power"));
}
