//! RO11: the disk fails at every call of recovery itself. Tries are counted, with the reason of each; then comes
//! quarantine, with everything that was promised; and where the fault goes away before, all ends as if it had never been.

use std::sync::Arc;

use treewal::{Error, Tree};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Fault, FaultDisk, Verb, errno};

use crate::seen::{differences, leftovers, look};
use crate::world::*;

const TRIES: u32 = 3;

/// Opens the tree on a disk that fails from its `at`-th change on, or from its `at`-th call of a verb on; says whether the
/// fault was met.
fn failing(disk: &SimDisk, verb: Option<Verb>, at: u64, errno: i32) -> (treewal::Result<Tree>, bool) {
    let mut faulty = FaultDisk::new(Arc::new(disk.clone()), Fault::ErrorFrom { at, errno });
    if let Some(verb) = verb {
        faulty = faulty.only(verb);
    }
    let faulty = Arc::new(faulty);
    let tree = options().open_on(faulty.clone(), "/");
    let met = faulty.mutations() >= at;
    (tree, met)
}

/// What fails where the journal, whose segments have their length already, can still be written.
const BESIDE_THE_JOURNAL: [Verb; 6] =
    [Verb::Rename, Verb::Create, Verb::CreateDir, Verb::SetMode, Verb::SetTimes, Verb::SyncAll];

fn world(name: &str) -> (SimDisk, SimDisk) {
    let base = base();
    match name {
        "redo" => {
            let done = base.remount();
            open(&done).transaction(owed).unwrap();
            (promised(&base, owed), done)
        }
        _ => (guarded(&base, &["d", "absent"], &["d/dx", "d/new", "absent"]), base),
    }
}

#[test]
fn ro11_at_every_call_of_recovery_tries_are_counted_and_end_in_quarantine() {
    let (mut owed_at, mut given_up) = (0, 0);
    let verbs = [None].into_iter().chain(BESIDE_THE_JOURNAL.map(Some));
    for (name, verb) in verbs.flat_map(|verb| [("redo", verb), ("undo", verb)]) {
        let (start, done) = world(name);
        let wanted = look(&done, "/");
        for at in 1.. {
            let disk = start.remount();
            let (mut counted, mut met_once) = (0, false);
            // The fault stays: one try more than there are, and then some that may do nothing.
            for opening in 1..=TRIES + 2 {
                let (tree, met) = failing(&disk, verb, at, errno::ENODATA);
                met_once |= met;
                let Ok(tree) = tree else { continue };
                if let Some(line) = tree.recovery().pending().next() {
                    counted += 1;
                    assert!(line.attempt >= counted && line.attempt <= TRIES, "{name} {at} {opening}: {line}");
                    assert_eq!(line.failures.len(), line.attempt as usize);
                    let why = line.failures.last().unwrap();
                    assert!(why.contains("os error 61"), "{name} {at}: {why:?}");
                    assert_eq!(line.label, format!("{name}-owed"));
                }
            }
            if !met_once {
                assert!(at > 15 || verb.is_some(), "{name}: {at}");
                break;
            }
            owed_at += u32::from(counted > 0);
            // The fault is gone.
            let tree = open(&disk);
            let report = tree.recovery().clone();
            assert_eq!(report.pending().count(), 0, "{name} {at}: {report}");
            tree.transaction(|tx| tx.write("d/later", "works")).unwrap();
            tree.transaction(|tx| tx.remove_file("d/later")).unwrap();
            drop(tree);
            let kept: Vec<String> = names(&disk, "quarantine");
            if kept.is_empty() {
                let found = look(&disk, "/");
                assert!(found == wanted, "{name} {at}: {report}\n{}", differences(&found, &wanted));
            } else {
                given_up += 1;
                let all: &[&[u8]] =
                    if name == "redo" { &[b"new dx", b"new made", &[b'L'; 9000]] } else { &[b"old dx"] };
                for contents in all {
                    let stands = disk.dump().into_values().any(|node| node.contents == *contents);
                    assert!(stands, "{name} {at}: neither in the tree nor in quarantine");
                }
            }
            assert!(leftovers(&disk, "/").iter().all(|left| left.starts_with("quarantine/")), "{name} {at}");
            assert!(open(&disk).recovery().is_clean(), "{name} {at}");
        }
    }
    assert!(owed_at >= 6 && given_up >= 4, "{owed_at} {given_up}");
}

/// A full disk at every call of recovery, for longer than there are tries: nothing is given up, and all is done once there is
/// room.
#[test]
fn ro11_a_full_disk_alone_gives_nothing_up() {
    for (name, verb) in BESIDE_THE_JOURNAL.into_iter().flat_map(|verb| [("redo", verb), ("undo", verb)]) {
        let (start, done) = world(name);
        let wanted = look(&done, "/");
        for at in 1.. {
            let disk = start.remount();
            let mut met_once = false;
            for _ in 0..TRIES + 4 {
                let (tree, met) = failing(&disk, Some(verb), at, errno::ENOSPC);
                met_once |= met;
                drop(tree);
            }
            if !met_once {
                break;
            }
            let tree = open(&disk);
            assert!(!tree.recovery().found_damage(), "{name} {verb:?} {at}: {}", tree.recovery());
            drop(tree);
            let found = look(&disk, "/");
            assert!(found == wanted, "{name} {at}:\n{}", differences(&found, &wanted));
            assert_eq!(leftovers(&disk, "/"), Vec::<String>::new(), "{name} {at}");
        }
    }
}

/// Far more tries come to an end all the same, which says why.
#[test]
fn ro11_a_device_that_fails_for_ever_is_not_tried_for_ever() {
    let disk = promised(&base(), owed);
    let stubborn = || crate::stubborn::Stubborn::new(&disk, errno::EIO, OWED);
    for n in 1..=8 * TRIES {
        let tree = open_on(stubborn());
        assert_eq!(tree.recovery().pending().next().map(|line| line.attempt), Some(n), "{}", tree.recovery());
    }
    let fault = stubborn();
    let tree = open_on(fault.clone());
    fault.give_in();
    let line = &tree.recovery().transactions[0];
    assert_eq!(line.label, "redo-starved");
    let report = at(&disk, &format!(".treewal/quarantine/{}/report.txt", line.quarantine.as_ref().unwrap())).unwrap();
    assert!(report.contains("nothing is wrong with it") && report.contains("os error 5"), "{report}");
    tree.transaction(|tx| tx.write("d/dx", "later")).unwrap();
    assert!(is_kept(&disk, b"new dx"));
}

/// The last try of RO24: afterwards the path is free.
#[test]
fn ro24_after_the_last_try_it_is_in_quarantine_and_others_may_work() {
    let disk = promised(&base(), owed);
    for _ in 0..TRIES {
        let (tree, _) = stubborn(&disk, OWED);
        let refused = tree.transaction(|tx| tx.write("d/dx", "theirs"));
        assert!(matches!(refused, Err(Error::Pending { .. })), "{refused:?}");
        tree.transaction(|tx| tx.write("e/ex", "beside")).unwrap();
    }
    let (tree, fault) = stubborn(&disk, OWED);
    assert_eq!(tree.recovery().transactions[0].label, "redo-exhausted", "{}", tree.recovery());
    fault.give_in();
    tree.transaction(|tx| tx.write("d/dx", "theirs")).unwrap();
    drop(tree);
    assert_eq!(at(&disk, "d/dx").unwrap(), "theirs");
    assert!(is_kept(&disk, b"new dx") && is_kept(&disk, &[b'L'; 9000]));
}
