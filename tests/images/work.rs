//! A tree, the work that is under way in it, and what it must hold afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use treewal::{Options, RecoveryReport, Transaction, Tree};
use treewal_vfs::{Fault, FaultDisk, RealDisk};

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) fn options() -> Options {
    // A command that another test is about to start has the locks of this process for a moment.
    Options::new().segment_bytes(256 << 10).inline_max(16 << 10).lock_wait(Duration::from_secs(10))
}

/// Of the calls of a commit, every so many-th is tried; each where `TREEWAL_IMAGES` is `all`.
pub(crate) fn step() -> usize {
    if std::env::var("TREEWAL_IMAGES").is_ok_and(|how| how == "all") { 1 } else { 9 }
}

/// Every file and symlink of a tree, treewal's own left out.
pub(crate) fn files(tree: &Path) -> Files {
    let mut found = Files::new();
    let mut dirs = vec![tree.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(tree).unwrap().to_string_lossy().into_owned();
            let meta = fs::symlink_metadata(&path).unwrap();
            if name == ".treewal" || name == "lost+found" {
                continue;
            }
            if meta.is_dir() {
                dirs.push(path.clone());
            }
            let contents = match meta.file_type() {
                kind if kind.is_dir() => b"a directory".to_vec(),
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().to_string_lossy().as_bytes().to_vec(),
                _ => fs::read(&path).unwrap(),
            };
            found.insert(name, contents);
        }
    }
    found
}

pub(crate) fn prepare(tree: &Path) {
    fs::create_dir_all(tree.join("d/deep")).unwrap();
    for (path, contents) in [("a", "old a"), ("b", "old b"), ("d/x", "old x"), ("d/deep/y", "old y"), ("gone", "going")]
    {
        fs::write(tree.join(path), contents).unwrap();
    }
    fs::write(tree.join("large"), vec![b'l'; 40_000]).unwrap();
    drop(options().open(tree).unwrap());
}

/// A transaction with a change of each kind; with moves, it stands alone between two checkpoints.
pub(crate) fn change(tx: &mut Transaction, moves: bool) -> treewal::Result<()> {
    tx.write("a", "new a")?;
    tx.write("large", vec![b'L'; 50_000])?;
    tx.write("large too", vec![b'M'; 50_000])?;
    tx.remove_file("gone")?;
    tx.create_dir_all("new/deep")?;
    tx.write("new/deep/z", "new z")?;
    tx.symlink("a", "link")?;
    if moves {
        tx.rename("d", "moved")?;
        tx.exchange("b", "moved/x")?;
    }
    Ok(())
}

/// Runs a commit whose process ends before its `at`th changing call; `false` where it has fewer. What it left open is closed.
pub(crate) fn cut_commit(tree: &Path, at: u64, moves: bool) -> bool {
    let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
    let handle = options().open_on(disk.clone(), tree).unwrap();
    disk.arm(Fault::Off { at });
    let committed = handle.transaction(|tx| change(tx, moves));
    let is_off = disk.is_off();
    // From here on it is dead in any case: nothing is settled.
    disk.arm(Fault::Off { at: 1 });
    drop(handle);
    assert!(is_off || committed.is_ok());
    is_off
}

/// A guard under which everything is changed in place, and whose process ends.
pub(crate) fn cut_guard(tree: &Path) {
    let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
    let handle = options().open_on(disk.clone(), tree).unwrap();
    let guard = handle.guard(["a", "d", "large", "not yet"]).unwrap();
    fs::write(tree.join("a"), "in place").unwrap();
    fs::write(tree.join("d/x"), "in place, too").unwrap();
    fs::remove_dir_all(tree.join("d/deep")).unwrap();
    fs::write(tree.join("large"), "short").unwrap();
    fs::write(tree.join("not yet"), "appeared").unwrap();
    disk.arm(Fault::Off { at: 1 });
    drop(guard);
    drop(handle);
}

/// The tree before and after the transaction.
pub(crate) fn states(tree: &Path, moves: bool) -> [Files; 2] {
    let before = files(tree);
    let handle = options().open(tree).unwrap();
    handle.transaction(|tx| change(tx, moves)).unwrap();
    let after = files(tree);
    handle.checkpoint().unwrap();
    drop(handle);
    [before, after]
}

/// Opens a tree, and gives what that found; nothing may be unfinished, and a second opening has nothing to do.
pub(crate) fn recovered(tree: &Path, at: &str) -> (RecoveryReport, Files) {
    let handle: Tree = options().open(tree).unwrap_or_else(|error| panic!("{at}: {error:?}"));
    let report = handle.recovery().clone();
    assert_eq!(report.pending().count(), 0, "{at}: {report}");
    drop(handle);
    let found = files(tree);
    let again = options().open(tree).unwrap();
    assert!(again.recovery().is_clean(), "{at}: {}", again.recovery());
    assert_eq!(files(tree), found, "{at}: the second opening changed something");
    (report, found)
}
