//! A person decides about what is owed.

use std::sync::Arc;

use treewal::{Error, Resolution, Transaction};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, FaultDisk, errno};

use crate::seen::{Seen, differences, leftovers, look};
use crate::world::*;

fn resolve(disk: &SimDisk, txn: u64, how: Resolution) -> treewal::Result<treewal::RecoveryReport> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    options().resolve_on(&disk, "/", txn, how)
}

/// The number of what is owed in a tree, once opened on a disk that cannot do it.
fn fails_once(disk: &SimDisk, names: &[&str]) -> u64 {
    let (tree, _) = stubborn(disk, names);
    tree.recovery().pending().next().unwrap_or_else(|| panic!("{}", tree.recovery())).txn
}

fn without_times(mut seen: Seen) -> Seen {
    seen.values_mut().for_each(|entry| entry.set = None);
    seen
}

/// Bodies whose state before can be brought back by what they displaced.
const BODIES: &[(&str, Body, &[&str])] = &[
    ("files", owed, OWED),
    (
        "a directory",
        |tx| {
            tx.create_dir_all("n/m")?;
            tx.write("n/m/file", "new")?;
            tx.write("a", "new a")
        },
        &["n", "a"],
    ),
    (
        "a directory goes",
        |tx| {
            tx.remove_dir_all("d")?;
            tx.write("a", "new a")
        },
        &["a"],
    ),
    (
        "a directory taken apart",
        |tx| {
            tx.remove_file("d/dx")?;
            tx.remove_file("d/dy")?;
            tx.remove_dir("d")?;
            tx.write("a", "new a")
        },
        &["a"],
    ),
    (
        "attributes",
        |tx: &mut Transaction| {
            use std::os::unix::fs::PermissionsExt;
            tx.set_permissions("d/dx", std::fs::Permissions::from_mode(0o600))?;
            tx.set_xattr("e/ex", "user.k", b"v")?;
            tx.write("a", "new a")
        },
        &["a"],
    ),
];

/// At whatever step the disk begins to refuse: the state before comes back, wholly.
#[test]
fn ro24_restored_by_hand_a_staged_transaction_leaves_the_state_before_it() {
    let base = base();
    let before = without_times(look(&base, "/"));
    for (name, body, _) in BODIES {
        let mut tried = 0;
        for step in 0..8 {
            let disk = promised(&base, *body);
            // A redo that fails at its n-th rename.
            let fault = treewal_vfs::Fault::ErrorFrom { at: step + 1, errno: errno::ENODATA };
            for verb in [treewal_vfs::Verb::Rename, treewal_vfs::Verb::SetMode] {
                let disk = disk.remount();
                let faulty = Arc::new(FaultDisk::new(Arc::new(disk.clone()), fault).only(verb));
                let tree = open_on(faulty);
                let Some(owed) = tree.recovery().pending().next().map(|line| line.txn) else { continue };
                // Later work stands beside it.
                tree.transaction(|tx| tx.write("f/later", "later")).unwrap_or_default();
                drop(tree);
                tried += 1;
                let report = resolve(&disk, owed, Resolution::Restore).unwrap();
                assert_eq!(report.pending().count(), 0, "{name} {step}: {report}");
                assert!(report.transactions.iter().any(|line| line.label == "restored-by-hand"), "{report}");
                let mut found = without_times(look(&disk, "/"));
                found.remove(&path("f/later"));
                assert!(found == before, "{name} {step}:\n{}", differences(&found, &before));
                let tree = open(&disk);
                assert_eq!(tree.recovery().pending().count(), 0);
                tree.transaction(*body).unwrap();
            }
        }
        assert!(tried > 0, "{name}: nothing was ever owed");
    }
}

#[test]
fn ro24_restored_by_hand_nothing_is_touched_where_a_part_cannot_be() {
    let disk = promised(&base(), owed);
    let txn = fails_once(&disk, OWED);
    // Somebody goes on with one of the paths.
    put(&disk, "d/made", "theirs");
    let seen = look(&disk, "/");
    match resolve(&disk, txn, Resolution::Restore) {
        Err(Error::Store { reason, .. }) => assert!(reason.contains("d/made"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(differences(&look(&disk, "/"), &seen), "");
    // What moves about the tree is not taken back.
    let disk = promised(&base(), |tx| tx.rename("d/dx", "e/moved"));
    let txn = fails_once(&disk, &["dx", "moved"]);
    let refused = resolve(&disk, txn, Resolution::Restore);
    assert!(matches!(&refused, Err(Error::Store { reason, .. }) if reason.contains("moves")), "{refused:?}");
    assert!(matches!(resolve(&disk, 4711, Resolution::Keep), Err(Error::Input(_))));
}

#[test]
fn ro24_kept_or_abandoned_a_staged_transaction_leaves_the_tree_and_its_contents_in_quarantine() {
    for how in [Resolution::Keep, Resolution::Abandon] {
        let disk = promised(&base(), owed);
        let txn = fails_once(&disk, OWED);
        let seen = look(&disk, "/");
        let report = resolve(&disk, txn, how).unwrap();
        assert_eq!(report.pending().count(), 0, "{report}");
        assert_eq!(differences(&look(&disk, "/"), &seen), "", "{how:?}");
        for contents in [&b"new dx"[..], b"new made", &[b'L'; 9000]] {
            assert!(is_kept(&disk, contents), "{how:?}: {report}");
        }
        let tree = open(&disk);
        assert!(tree.recovery().is_clean(), "{}", tree.recovery());
        tree.transaction(|tx| tx.write("d/dx", "later")).unwrap();
        drop(tree);
        assert!(leftovers(&disk, "/").iter().all(|name| name.starts_with("quarantine/")), "{how:?}");
    }
}

/// Two that touch the same paths are decided about together, and a handle that is open learns of it.
#[test]
fn ro24_transactions_on_the_same_paths_are_decided_about_together() {
    let disk = base().remount();
    let tree = open(&disk);
    tree.transaction(|tx| tx.write("d/dx", "first")).unwrap();
    tree.transaction(|tx| tx.write("d/dx", "second")).unwrap();
    tree.transaction(|tx| tx.write("e/ex", "apart")).unwrap();
    std::mem::forget(tree);
    let lost = disk.after(&disk.outcomes(treewal_vfs::sim::Profile::Strict).nothing()).remount();
    let (tree, fault) = stubborn(&lost, &["dx", "ex"]);
    let owed: Vec<u64> = tree.recovery().pending().map(|line| line.txn).collect();
    assert_eq!(owed.len(), 3);
    fault.give_in();
    let report = resolve(&lost.another_process(), owed[1], Resolution::Abandon).unwrap();
    let given_up: Vec<u64> =
        report.transactions.iter().filter(|line| line.label == "abandoned").map(|line| line.txn).collect();
    assert_eq!(given_up, owed[..2]);
    // The third is not tried by the way.
    assert_eq!(report.pending().map(|line| line.txn).collect::<Vec<_>>(), owed[2..]);
    tree.transaction(|tx| tx.write("d/dx", "third")).unwrap();
    let refused = tree.transaction(|tx| tx.write("e/ex", "no"));
    assert!(matches!(refused, Err(Error::Pending { txn, .. }) if txn == owed[2]), "{refused:?}");
    drop(tree);
    assert_eq!(open(&lost).recovery().pending().count(), 0);
    assert_eq!((at(&lost, "d/dx").unwrap(), at(&lost, "e/ex").unwrap()), ("third".into(), "apart".into()));
}

/// The power goes at every call of a restore by hand: what was decided is done, or still owed and then done by an opening.
#[test]
fn ro24_restored_by_hand_may_be_cut_anywhere() {
    let base = base();
    let before = look(&base, "/");
    let after = {
        let disk = base.remount();
        open(&disk).transaction(owed).unwrap();
        look(&disk, "/")
    };
    let start = promised(&base, owed);
    let txn = fails_once(&start, &["dy"]);
    let mut states = 0;
    for cut in 1.. {
        let disk = start.remount();
        disk.cut_at(Some(cut));
        let done = resolve(&disk, txn, Resolution::Restore);
        let is_over = !disk.is_off();
        for (lost, said) in losses(&disk, cut, 3) {
            states += 1;
            let tree = open(&lost);
            assert_eq!(tree.recovery().pending().count(), 0, "cut {cut}: {said}: {}", tree.recovery());
            drop(tree);
            let found = look(&lost, "/");
            assert!(
                found == before || found == after && done.is_err(),
                "cut {cut}: {said}:\n{}",
                differences(&found, &before)
            );
            if found == before {
                for contents in [&b"new dx"[..], b"new made", &[b'L'; 9000]] {
                    let own =
                        || lost.dump().into_keys().filter(|at| at.starts_with(&path(".treewal"))).collect::<Vec<_>>();
                    assert!(is_kept(&lost, contents), "cut {cut}: {said}: promised once, {:?}", own());
                }
            }
        }
        if is_over {
            assert!(cut > 10, "{cut}");
            break;
        }
    }
    assert!(states > 100, "{states}");
}

/// The same for what is given up by hand: the tree is as the try left it, or the transaction is whole.
#[test]
fn ro24_given_up_by_hand_may_be_cut_anywhere() {
    let base = base();
    let after = {
        let disk = base.remount();
        open(&disk).transaction(owed).unwrap();
        look(&disk, "/")
    };
    let start = promised(&base, owed);
    let txn = fails_once(&start, OWED);
    let as_it_was = look(&start, "/");
    let mut states = 0;
    for cut in 1.. {
        let disk = start.remount();
        disk.cut_at(Some(cut));
        let done = resolve(&disk, txn, Resolution::Abandon);
        let is_over = !disk.is_off();
        for (lost, said) in losses(&disk, cut, 3) {
            states += 1;
            let tree = open(&lost);
            assert_eq!(tree.recovery().pending().count(), 0, "cut {cut}: {said}: {}", tree.recovery());
            drop(tree);
            let found = look(&lost, "/");
            let is_whole = found == after && done.is_err();
            assert!(found == as_it_was || is_whole, "cut {cut}: {said}:\n{}", differences(&found, &as_it_was));
            for contents in [&b"new dx"[..], b"new made", &[b'L'; 9000]] {
                assert!(is_whole || is_kept(&lost, contents), "cut {cut}: {said}");
            }
        }
        if is_over {
            assert!(cut > 6, "{cut}");
            break;
        }
    }
    assert!(states > 60, "{states}");
}
