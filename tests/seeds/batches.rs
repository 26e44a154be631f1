//! Batches: what is prepared is private, and goes with its process; what is published comes as a whole, and in order.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use treewal::{Batch, Options, Receipt, Transaction, Tree};

use crate::child::{die, dies_of};
use crate::sim::{every_crash, holds, leftovers as left_on, mkdir, open, prepared, put};
use crate::walk::{leftovers, work_dir};

const LARGE: usize = 1 << 20;

/// Prepares transactions, each with something in the stage, and dies before the turn of one of them.
pub(crate) fn killed_batch(dir: &Path) {
    let tree = Tree::open(dir).unwrap();
    let staged = std::sync::atomic::AtomicUsize::new(0);
    let prepare = |n: &usize| {
        let mut tx = tree.begin();
        tx.write(format!("document-{n}"), vec![b'x'; LARGE])?;
        staged.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(tx)
    };
    Batch::new().threads(3).ahead_max(6).run(0..20, prepare, |n, tx: treewal::Result<Transaction>| {
        while staged.load(std::sync::atomic::Ordering::SeqCst) < n + 3 {
            std::thread::yield_now();
        }
        if n == 4 {
            die();
        }
        tx.unwrap().commit().unwrap();
    });
}

/// Stages a transaction, and dies.
pub(crate) fn killed_stage(dir: &Path) {
    let mut tx = Tree::open(dir).unwrap().begin();
    tx.write("never", vec![b'x'; LARGE]).unwrap();
    std::mem::forget(tx);
    die()
}

#[test]
fn ro15_what_a_killed_batch_had_staged_is_reclaimed() {
    let at = work_dir();
    let dir = at.path();
    drop(Tree::open(dir).unwrap());
    dies_of("a batch that is prepared", dir);
    let staged = fs::read_dir(dir.join(".treewal/stage")).unwrap().count();
    assert!(staged > 0, "nothing was staged when it died");
    let tree = Tree::open(dir).unwrap();
    assert_eq!(tree.recovery().stages_reclaimed, 1, "{}", tree.recovery());
    let found = tree.begin().read_dir(".").unwrap();
    let found: Vec<_> = found.iter().map(|entry| entry.file_name().to_str().unwrap()).collect();
    assert_eq!(found, ["document-0", "document-1", "document-2", "document-3"], "those that had their turn");
    drop(tree);
    assert!(leftovers(dir).is_empty());
    // After a power loss, too.
    let base = prepared(|_| {});
    every_crash(
        &base,
        |disk| {
            let staged = open(disk).and_then(|tree| tree.begin().write("never", vec![b'x'; 9000]));
            staged.is_ok()
        },
        |disk, _| {
            drop(open(disk).unwrap());
            assert_eq!((left_on(disk), holds(disk, "never")), (Vec::new(), None));
        },
    );
}

#[test]
fn ro14_what_is_published_together_comes_as_a_whole() {
    let base = prepared(|disk| {
        for dir in ["raw", "sources", "made", "made/raw", "made/sources"] {
            mkdir(disk, dir);
        }
        for path in ["made/raw/new", "made/sources/new", "raw/old"] {
            put(disk, path, "text");
        }
    });
    let publish = |tree: Tree| {
        tree.transaction(|tx| {
            tx.publish("made/raw/new", "raw/new")?;
            tx.publish("made/sources/new", "sources/new")
        })
    };
    let judged = every_crash(
        &base,
        |disk| open(disk).and_then(publish).is_ok(),
        |disk, said| {
            drop(open(disk).unwrap());
            let there = ["raw/new", "sources/new"].map(|path| holds(disk, path).is_some());
            let left = ["made/raw/new", "made/sources/new"].map(|path| holds(disk, path).is_some());
            assert!(there[0] == there[1] && left == there.map(|there| !there), "{there:?}, {left:?}");
            assert!(there[0] || !said);
            assert_eq!(holds(disk, "raw/old").as_deref(), Some("text"));
        },
    );
    println!("{judged} crashes of a set that is published");
    // From another file system it is copied.
    let (memory, at) = (work_dir(), tempfile::tempdir().unwrap());
    fs::write(memory.path().join("new"), "text").unwrap();
    Tree::open(at.path()).unwrap().transaction(|tx| tx.publish(memory.path().join("new"), "new")).unwrap();
    assert_eq!(fs::read(at.path().join("new")).unwrap(), b"text");
}

#[test]
fn ro16_many_are_prepared_and_committed_in_their_order() {
    let dir = work_dir();
    let tree = Options::new().open(dir.path()).unwrap();
    let begun = Mutex::new(Vec::new());
    let prepare = |n: &u64| {
        begun.lock().unwrap().push(*n);
        // The first one takes longest: all that may be ahead of it waits for its turn.
        std::thread::sleep(std::time::Duration::from_micros(if *n == 0 { 50_000 } else { n * 7919 % 700 }));
        let mut tx = tree.begin();
        tx.write(format!("{n:02}"), n.to_string())?;
        Ok(tx)
    };
    let mut turns = Vec::new();
    let receipts = Batch::new().threads(4).run(0..60, prepare, |n, tx: treewal::Result<Transaction>| {
        turns.push(n);
        tx?.commit()
    });
    let receipts: Vec<Receipt> = receipts.into_iter().collect::<treewal::Result<_>>().unwrap();
    assert_eq!(turns, (0..60).collect::<Vec<_>>());
    assert!(receipts.windows(2).all(|pair| pair[0].id < pair[1].id), "{receipts:?}");
    assert_eq!(begun.into_inner().unwrap().len(), 60);
}
