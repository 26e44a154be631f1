//! Trees with a transaction in each state, as a process leaves them that ends in the middle.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use treewal::{Options, Tree};
use treewal_vfs::{Fault, FaultDisk, RealDisk, Verb, errno};

pub(crate) const STATES: [&str; 9] =
    ["none", "committed", "lost", "checkpointed", "guard", "guard-committed", "draft", "owed", "owed-guard"];
/// More than travels in a record.
pub(crate) const LARGE: usize = 4096;

pub(crate) fn options() -> Options {
    Options::new().segment_bytes(64 << 10).inline_max(1024).max_attempts(3).lock_wait(Duration::from_secs(2))
}

/// What was acknowledged, and so must be in the tree, or be told of.
pub(crate) fn acknowledged(state: &str) -> Vec<(&'static str, String)> {
    let mut promised = vec![("base", "base".to_owned()), ("dir/kept", "kept".to_owned())];
    if !matches!(state, "none" | "draft" | "owed-guard" | "guard") {
        promised.extend([("small", "small".to_owned()), ("large", "x".repeat(LARGE)), ("later", "later".to_owned())]);
    }
    match state {
        // What a guard had not committed is undone.
        "guard" | "owed-guard" => promised.push(("guarded", "before".to_owned())),
        "guard-committed" => promised.push(("guarded", "after".to_owned())),
        _ => {}
    }
    promised
}

/// Makes the state; the process ends behind it without another word.
pub(crate) fn make(state: &str, dir: &Path) {
    fs::write(dir.join("small"), "old").unwrap();
    fs::write(dir.join("guarded"), "before").unwrap();
    let tree = options().open(dir).unwrap();
    tree.transaction(|tx| {
        tx.create_dir("dir")?;
        tx.write("base", "base")?;
        tx.write("dir/kept", "kept")
    })
    .unwrap();
    tree.snapshot("named").unwrap();
    let case = dir.join(".treewal/quarantine/txn-999");
    fs::create_dir(&case).unwrap();
    fs::write(case.join("report.txt"), "of old\n").unwrap();
    fs::write(case.join("0001"), "kept of old").unwrap();
    tree.checkpoint().unwrap();
    let changes = |tree: &Tree| {
        tree.transaction(|tx| {
            tx.write("small", "small")?;
            tx.write("large", "x".repeat(LARGE))
        })
        .unwrap();
    };
    let later = |tree: &Tree| tree.transaction(|tx| tx.write("later", "later")).unwrap();
    let guard = |tree: &Tree| {
        let guard = tree.guard(["guarded", "newer"]).unwrap();
        fs::write(dir.join("guarded"), "after").unwrap();
        fs::write(dir.join("newer"), "newer").unwrap();
        guard
    };
    match state {
        "none" => return drop(tree),
        "draft" => {
            drop(tree);
            fs::create_dir_all(dir.join(".treewal/snapshots/.00112233/contents/0")).unwrap();
            return fs::write(dir.join(".treewal/snapshots/.00112233/contents/0/0"), "half").unwrap();
        }
        "committed" => [changes(&tree), later(&tree)],
        "lost" | "owed" => {
            changes(&tree);
            later(&tree);
            // As a power loss leaves it that takes two renames.
            fs::remove_file(dir.join("later")).unwrap();
            fs::write(dir.join("small"), "").unwrap();
            fs::remove_file(dir.join("small")).unwrap();
            [(), ()]
        }
        "checkpointed" => {
            changes(&tree);
            tree.checkpoint().unwrap();
            [later(&tree), ()]
        }
        "guard-committed" => {
            changes(&tree);
            later(&tree);
            [guard(&tree).commit().unwrap(), ()]
        }
        "guard" | "owed-guard" => [std::mem::forget(guard(&tree)), ()],
        _ => panic!("{state}"),
    };
    std::mem::forget(tree);
}

/// A try to recover that fails, for the states that are owed something.
pub(crate) fn fail(dir: &Path) {
    let fault = Fault::ErrorFrom { at: 1, errno: errno::EIO };
    let broken = Arc::new(FaultDisk::new(Arc::new(RealDisk), fault).only(Verb::Rename));
    let tree = options().open_on(broken, dir).unwrap();
    assert!(tree.recovery().pending().count() > 0, "{}", tree.recovery());
    std::mem::forget(tree);
}
