//! Snapshots and restores beside transactions of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use treewal::{Error, Options, Outcome, Tree};
use treewal_vfs::{RealDisk, Verb};

use crate::hooked::Hooked;

fn write(tree: &Tree, value: u32) -> treewal::Result<()> {
    tree.transaction(|tx| {
        for n in 0..4 {
            tx.write(format!("pages/{n}"), value.to_string())?;
        }
        tx.write(format!("made/{value}"), "")
    })
}

/// Every page says the same, or this panics.
fn read(at: impl Fn(u32) -> String) -> String {
    let first = at(0);
    for n in 1..4 {
        assert_eq!(at(n), first, "page {n}");
    }
    first
}

#[test]
fn it_holds_all_of_a_transaction_or_nothing_of_it_and_so_does_the_tree_after_a_restore() {
    let dir =
        tempfile::tempdir_in(if std::path::Path::new("/dev/shm").exists() { "/dev/shm" } else { "/tmp" }).unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    tree.transaction(|tx| {
        tx.create_dir("pages")?;
        tx.create_dir("made")
    })
    .unwrap();
    write(&tree, 0).unwrap();
    let (stop, written) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for thread in 1..=2u32 {
            let (tree, stop, written) = (tree.clone(), &stop, &written);
            scope.spawn(move || {
                let mut value = thread;
                while !stop.load(Ordering::Relaxed) {
                    match write(&tree, value) {
                        Ok(()) => drop(written.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => assert_eq!(error.outcome(), Outcome::Unchanged, "{error:?}"),
                    }
                    value += 2;
                    std::thread::sleep(Duration::from_millis(3));
                }
            });
        }
        let mut restored = 0;
        for round in 0..12 {
            let snapshot = tree.snapshot(&format!("s{round}")).unwrap();
            let held = read(|n| String::from_utf8(snapshot.read(format!("pages/{n}")).unwrap()).unwrap());
            assert!(snapshot.read(format!("made/{held}")).is_ok(), "{held}");
            std::thread::sleep(Duration::from_millis(10));
            match tree.restore(&snapshot) {
                Ok(_) => restored += 1,
                Err(error) => assert!(matches!(error, Error::Conflict { .. }), "{error:?}"),
            }
            tree.remove_snapshot(&format!("s{round}")).unwrap();
            // As one transaction sees it.
            let now = tree.transaction(|tx| {
                // Before it reads: what is expected is what stands there when that is said.
                for n in 0..4 {
                    tx.expect(format!("pages/{n}"), treewal::Expect::Unchanged)?;
                }
                (0..4).map(|n| tx.read_to_string(format!("pages/{n}"))).collect::<treewal::Result<Vec<_>>>()
            });
            match now {
                Ok(pages) => drop(read(|n| pages[n as usize].clone())),
                Err(error) => assert!(matches!(error, Error::Conflict { .. }), "{error:?}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(restored > 0 && written.load(Ordering::Relaxed) > 0, "{restored}");
    });
    drop(tree);
    read(|n| std::fs::read_to_string(dir.path().join(format!("pages/{n}"))).unwrap());
}

#[test]
fn a_restore_that_looked_before_somebody_committed_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let other = Options::new().open(dir.path()).unwrap();
    tree.transaction(|tx| tx.write("a", "old")).unwrap();
    let snapshot = tree.snapshot("one").unwrap();
    // Nothing of this handle's doing tells it about the other's commit.
    other.transaction(|tx| tx.write("a", "new").and_then(|()| tx.write("b", "b"))).unwrap();
    assert_eq!(tree.restore(&snapshot).unwrap().changes, 2);
    assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"old");
    assert!(!dir.path().join("b").exists());
    assert_eq!(other.snapshots().unwrap().len(), 1);
}

/// Beside a process that commits while it looks, each time, a restore goes on for as long as it would wait for the lock.
#[test]
fn a_restore_that_is_overtaken_more_than_eight_times_goes_on_while_it_would_wait_and_no_longer() {
    const TIMES: u32 = 12;
    let dir = tempfile::tempdir().unwrap();
    let other = Options::new().lock_wait(Duration::ZERO).open(dir.path()).unwrap();
    other.transaction(|tx| tx.write("large", vec![b'o'; 200_000])).unwrap();
    other.snapshot("one").unwrap();
    let overtaken = Arc::new(AtomicU32::new(TIMES));
    let overtake = {
        let (other, overtaken) = (other.clone(), Arc::clone(&overtaken));
        move |verb| {
            if verb != Verb::List || overtaken.load(Ordering::SeqCst) >= TIMES {
                return;
            }
            // Where the handle under test holds the tree, nobody overtakes it.
            match other.transaction(|tx| tx.write("count", overtaken.load(Ordering::SeqCst).to_string())) {
                Ok(()) => drop(overtaken.fetch_add(1, Ordering::SeqCst)),
                Err(error) => assert!(matches!(error, Error::Locked { .. }), "{error:?}"),
            }
        }
    };
    for (wait, patient) in [(Duration::from_secs(600), true), (Duration::ZERO, false)] {
        let disk = Hooked { inner: RealDisk, after: overtake.clone() };
        let tree = Options::new().lock_wait(wait).open_on(Arc::new(disk), dir.path()).unwrap();
        let snapshot = tree.find_snapshot("one").unwrap();
        tree.transaction(|tx| tx.write("large", vec![b'n'; 200_000])).unwrap();
        overtaken.store(0, Ordering::SeqCst);
        let restored = tree.restore(&snapshot);
        let times = overtaken.swap(TIMES, Ordering::SeqCst);
        if patient {
            assert!(restored.is_ok() && times == TIMES, "{restored:?} after {times}");
            assert!(!dir.path().join("count").exists());
        } else {
            assert!(matches!(restored, Err(Error::Conflict { .. })) && times >= 8, "{restored:?} after {times}");
        }
    }
}

#[test]
fn a_snapshot_of_another_tree_is_refused() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, two] = [0, 1].map(|n| Tree::open(dirs[n].path()).unwrap());
    one.transaction(|tx| tx.write("a", "of one")).unwrap();
    two.transaction(|tx| tx.write("b", "of two")).unwrap();
    let snapshot = one.snapshot("one").unwrap();
    assert!(matches!(two.restore(&snapshot), Err(Error::Input(_))));
    assert!(dirs[1].path().join("b").exists() && !dirs[1].path().join("a").exists());
}

#[test]
fn a_guard_keeps_snapshots_out() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Options::new().lock_wait(Duration::ZERO).open(dir.path()).unwrap();
    tree.transaction(|tx| tx.write("a", "old")).unwrap();
    let guard = tree.guard(["a"]).unwrap();
    assert!(matches!(tree.snapshot("one"), Err(Error::Locked { .. })));
    guard.rollback().unwrap();
    tree.snapshot("one").unwrap();
}
