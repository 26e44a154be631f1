//! The random run.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use treewal::{Durability, Options, Transaction};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, ITSELF, Kind, Meta, RealDisk, RelPath};

use crate::hooked::Hooked;
use crate::ops::{INLINE_MAX, Op, transactions};
use crate::replay::{Answer, Replay};
use crate::seen::{Entry, LONG_GONE, Seen, differences, leftovers, look};

/// How many times as many cases to run as are fit for every run: the environment variable `TREEWAL_MODEL_DEPTH`.
fn depth() -> u32 {
    std::env::var("TREEWAL_MODEL_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1)
}

pub(crate) fn cases(few: u32) -> u32 {
    few * depth()
}

pub(crate) fn options() -> Options {
    Options::new().segment_bytes(64 << 10).inline_max(INLINE_MAX as u64).lock_wait(Duration::ZERO)
}

/// What every run begins with: directories, files above and below the limit, a symlink, a fifo, two names of one file.
pub(crate) fn begin(disk: &dyn Disk, at: &Path, with_links: bool) {
    let root = disk.open_root(at).unwrap();
    disk.set_mode(&root, OsStr::new(ITSELF), 0o755).unwrap();
    for dir in ["a", "b", "a/b", "b/c"] {
        let path = RelPath::new(dir).unwrap();
        let (parent, name) = path.split().unwrap();
        disk.create_dir(&disk.open_dir(&root, &parent).unwrap(), name, 0o755).unwrap();
    }
    for (file, len) in [("a/a", 5), ("a/b/c", 7), ("b/a", 70), ("c", 9), ("b/c/a", 3)] {
        let path = RelPath::new(file).unwrap();
        let (parent, name) = path.split().unwrap();
        let dir = disk.open_dir(&root, &parent).unwrap();
        let made = disk.open(&dir, name, treewal_vfs::Open::CreateNew { mode: 0o644 }).unwrap();
        treewal_vfs::write_all(disk, &made, file.as_bytes().repeat(len).as_slice(), 0).unwrap();
    }
    let dir = |path: &str| disk.open_dir(&root, &RelPath::new(path).unwrap()).unwrap();
    disk.symlink(OsStr::new(crate::ops::TARGET), &dir("b"), OsStr::new("b")).unwrap();
    if with_links {
        disk.hard_link(&root, OsStr::new("c"), &dir("a"), OsStr::new("c")).unwrap();
    }
    let fifo = Meta { kind: Kind::Fifo, mode: 0o644, ..disk.stat_dir(&root).unwrap() };
    disk.make_node(&dir("b/c"), OsStr::new("b"), &fifo).unwrap();
}

/// Stages operations in both worlds; every answer and every look must be the same.
fn stage(tx: &mut Transaction, ops: &[Op], replay: &Replay) -> Result<(), TestCaseError> {
    for op in ops {
        let before = tx.changes();
        let wanted = replay.take(op);
        if wanted == Answer::Outside {
            continue;
        }
        let found = op.stage(tx);
        let answer = match &found {
            Ok(()) => Answer::Done,
            Err(_) if wanted == Answer::Refuses => Answer::Refuses,
            Err(error) => Answer::Fails(error.kind()),
        };
        prop_assert_eq!(&answer, &wanted, "{:?}: {:?}", op, found);
        if answer != Answer::Done {
            prop_assert_eq!(before, tx.changes(), "{:?} failed and changed something", op);
        }
        let (found, wanted) = (look_through(tx), look(&RealDisk, replay.root()));
        prop_assert!(found == wanted, "{:?}: the transaction sees\n{}", op, differences(&found, &wanted));
    }
    Ok(())
}

/// The tree as the transaction sees it.
pub(crate) fn look_through(tx: &Transaction) -> Seen {
    let mut seen = Seen::from([(RelPath::root(), look_at(tx, &RelPath::root()))]);
    let mut dirs = vec![RelPath::root()];
    while let Some(path) = dirs.pop() {
        for entry in tx.read_dir(path.to_path()).unwrap() {
            let path = path.join(entry.file_name());
            let found = look_at(tx, &path);
            assert_eq!((found.kind, true), (entry.kind(), tx.exists(path.to_path()).unwrap()), "{path}");
            if found.kind == Kind::Dir {
                dirs.push(path.clone());
            }
            seen.insert(path, found);
        }
    }
    seen
}

fn look_at(tx: &Transaction, path: &RelPath) -> Entry {
    let at = path.to_path();
    let meta = tx.metadata(&at).unwrap();
    let owner = (meta.uid().unwrap_or(RealDisk.user()), meta.gid().unwrap_or(RealDisk.user()));
    let modified = meta.modified().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let secs = modified.map(|since| i64::try_from(since.as_secs()).unwrap());
    let mut found = Entry {
        kind: meta.kind(),
        mode: 0,
        contents: Vec::new(),
        target: None,
        owner,
        xattrs: tx.xattrs(&at).unwrap(),
        set: secs.filter(|secs| *secs < LONG_GONE),
    };
    let plain = if meta.is_dir() { 0o755 } else { 0o644 };
    match meta.kind() {
        Kind::File => {
            found.contents = tx.read(&at).unwrap();
            assert_eq!(meta.len(), found.contents.len() as u64, "{path}");
        }
        Kind::Symlink => found.target = Some(tx.read_link(&at).unwrap().into_os_string().into_encoded_bytes()),
        _ => {}
    }
    if !meta.is_symlink() {
        found.mode = meta.mode().unwrap_or(plain);
    }
    found
}

/// Every path of a simulated tree, with the inode that stands there.
type Inodes = BTreeMap<RelPath, u64>;

fn inodes(disk: &SimDisk) -> Inodes {
    let root = disk.open_root("/".as_ref()).unwrap();
    let mut found = Inodes::new();
    let mut dirs = vec![RelPath::root()];
    while let Some(path) = dirs.pop() {
        let Ok(dir) = disk.open_dir(&root, &path) else { continue };
        for entry in disk.list(&dir).unwrap() {
            let path = path.join(&entry.name);
            if path != RelPath::new(".treewal").unwrap() {
                found.insert(path.clone(), entry.ino);
                if entry.kind == Some(Kind::Dir) {
                    dirs.push(path);
                }
            }
        }
    }
    found
}

/// P7: what is there before and after is there at every moment between; beneath directories that another takes the
/// place of, the guarantees name a gap.
fn never_missing(moments: &[Inodes]) -> Result<(), TestCaseError> {
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else { return Ok(()) };
    for path in first.keys().filter(|path| last.contains_key(*path)) {
        if path.ancestors().any(|above| first.get(&above) != last.get(&above)) {
            continue;
        }
        for (n, moment) in moments.iter().enumerate() {
            prop_assert!(moment.contains_key(path), "{} is missing after call {} of {}", path, n, moments.len());
        }
    }
    Ok(())
}

fn run(
    disk: &Arc<dyn Disk>,
    at: &Path,
    transactions: &[Vec<Op>],
    durability: Durability,
    moments: &Mutex<Vec<Inodes>>,
) -> Result<(), TestCaseError> {
    let replay = Replay::new();
    begin(&RealDisk, replay.root(), true);
    begin(&**disk, at, true);
    let tree = options().durability(durability).open_on(Arc::clone(disk), at).unwrap();
    for ops in transactions {
        let mut tx = tree.begin();
        stage(&mut tx, ops, &replay)?;
        moments.lock().unwrap().clear();
        let changes = tx.changes();
        let receipt = tx.commit();
        prop_assert!(receipt.is_ok(), "{:?} of {:?}", receipt, changes);
        prop_assert_eq!(receipt.unwrap().changes, changes.len());
        never_missing(&moments.lock().unwrap())?;
        let (found, wanted) = (look(&**disk, at), look(&RealDisk, replay.root()));
        prop_assert!(found == wanted, "after the commit of {:?}\n{}", changes, differences(&found, &wanted));
    }
    let before = look(&**disk, at);
    drop(tree);
    prop_assert_eq!(leftovers(&**disk, at), Vec::<String>::new());
    let tree = options().open_on(Arc::clone(disk), at).unwrap();
    prop_assert!(tree.recovery().is_clean(), "{}", tree.recovery());
    prop_assert_eq!(look(&**disk, at), before);
    Ok(())
}

pub(crate) fn check<S: Strategy>(cases: u32, of: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 4000, ..ProptestConfig::default() };
    // The same cases each time, so that a change is what breaks a test; a deeper run takes others each time.
    let mut runner = match depth() {
        1 => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
        _ => TestRunner::new(config),
    };
    if let Err(failure) = runner.run(&of, test) {
        panic!("{failure}");
    }
}

#[test]
fn a_simulated_tree_is_as_std_fs_leaves_it_and_no_path_goes_missing() {
    check(cases(400), transactions(), |transactions| {
        let sim = SimDisk::new();
        let moments = Arc::new(Mutex::new(Vec::new()));
        let after = {
            let (sim, moments) = (sim.clone(), Arc::clone(&moments));
            move |verb: treewal_vfs::Verb| {
                if verb.is_mutating() {
                    moments.lock().unwrap().push(inodes(&sim));
                }
            }
        };
        let disk: Arc<dyn Disk> = Arc::new(Hooked { inner: sim, after });
        run(&disk, Path::new("/"), &transactions, Durability::Journal, &moments)
    });
}

#[test]
fn a_real_tree_is_as_std_fs_leaves_it() {
    check(cases(40), transactions(), |transactions| {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        run(&disk, dir.path(), &transactions, Durability::Tree, &Mutex::default())
    });
}
