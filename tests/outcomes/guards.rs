//! Guards, and recovery itself.

use std::ffi::OsStr;
use std::sync::Arc;

use treewal::{Durability, Error, Outcome, Tree};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Fault, FaultDisk, errno};

use crate::seen::{Seen, look};
use crate::world::{BODIES, Bed, ROOT, after, allowed, assert_among, assert_reopens, options, prepared, put};

/// What anybody may do under a guard.
pub(crate) fn vandalise(disk: &SimDisk) {
    let root = disk.open_root(ROOT.as_ref()).unwrap();
    put(disk, "a", b"in place");
    put(disk, "d/fresh", b"fresh");
    disk.remove_file(&root, OsStr::new("b")).unwrap();
    disk.set_mode(&root, OsStr::new("large"), 0o600).unwrap();
}

fn end(tree: &Tree, disk: &SimDisk, commit: bool) -> treewal::Result<()> {
    let guard = tree.guard(["a", "b", "d", "large", "none"])?;
    vandalise(disk);
    if commit { guard.commit() } else { guard.rollback() }
}

#[test]
fn a_guard_says_what_became_of_it() {
    let base = prepared();
    let before = look(&base, ROOT);
    let done = {
        let disk = base.remount();
        vandalise(&disk);
        look(&disk, ROOT)
    };
    let mut count = 0;
    for commit in [true, false] {
        for errno in [errno::EIO, errno::ENOSPC] {
            for once in [true, false] {
                for at in 1.. {
                    let bed = Bed::new(&base, Durability::Journal);
                    bed.faulty.arm(if once { Fault::Error { at, errno } } else { Fault::ErrorFrom { at, errno } });
                    let result = end(&bed.tree, &bed.sim, commit);
                    if bed.faulty.mutations() < at {
                        result.unwrap();
                        break;
                    }
                    count += 1;
                    let at = format!("commit {commit}, {errno} at {at}, once {once}: {result:?}");
                    let outcome = result.as_ref().err().map(Error::outcome);
                    let wanted: Vec<&Seen> = match outcome {
                        None if !commit => vec![&before],
                        other => allowed(other, &before, &done),
                    };
                    if outcome == Some(Outcome::Unchanged) {
                        assert_among(&look(&bed.sim, ROOT), &[&before], &at);
                    }
                    assert_reopens(&bed.sim.remount(), &wanted, &format!("{at}, killed"));
                    bed.faulty.arm(Fault::None);
                    drop(bed.tree);
                    assert_reopens(&bed.sim, &wanted, &format!("{at}, closed"));
                }
            }
        }
    }
    assert!(count > 200, "{count}");
}

/// The disk fails at any call of a recovery: the tree opens, or says why it does not, and a later opening ends it.
#[test]
fn a_recovery_that_fails_is_ended_by_the_next() {
    let mut count = 0;
    for (name, body) in BODIES {
        let base = prepared();
        let done = after(&base, &[body]);
        // The process dies after its promise, before the first rename in the tree.
        let dead = died_after_the_promise(&base, body);
        for errno in [errno::EIO, errno::ENOSPC] {
            for once in [true, false] {
                for at in 1.. {
                    let sim = dead.remount();
                    let fault = if once { Fault::Error { at, errno } } else { Fault::ErrorFrom { at, errno } };
                    let faulty = Arc::new(FaultDisk::new(Arc::new(sim.clone()), fault));
                    let opened = options(Durability::Journal).open_on(faulty.clone(), ROOT);
                    if faulty.mutations() < at {
                        break;
                    }
                    count += 1;
                    let at = format!("{name}, {errno} at {at}, once {once}: {opened:?}");
                    if let Ok(tree) = &opened {
                        // A handle on a tree that is still owed something takes new work beside that.
                        faulty.arm(Fault::None);
                        let worked = tree.checkpoint();
                        let guarded = tree.guard(["."]).map(drop);
                        let pending = tree.recovery().pending().count() > 0;
                        assert!(worked.is_ok(), "{at}: {worked:?}");
                        assert_eq!(matches!(guarded, Err(Error::Pending { .. })), pending, "{at}: {guarded:?}");
                    }
                    drop(opened);
                    assert_reopens(&sim, &[&done], &at);
                }
            }
        }
    }
    assert!(count > 200, "{count}");
}

pub(crate) fn died_after_the_promise(base: &SimDisk, body: crate::world::Body) -> SimDisk {
    (1..)
        .find_map(|at| {
            let bed = Bed::new(base, Durability::Journal);
            bed.faulty.arm(Fault::Off { at });
            let result = bed.tree.transaction(body);
            let found = bed.sim.remount();
            let tree = options(Durability::Journal).open_on(Arc::new(found.remount()), ROOT).unwrap();
            let redone = tree.recovery().transactions.iter().any(|done| done.label == "redo");
            assert!(redone || result.is_err(), "{result:?}");
            redone.then_some(found)
        })
        .unwrap()
}

/// The page-cache trap: a sync that failed may have given the bytes up, and the next one says that all is well.
#[test]
fn a_guard_whose_sync_failed_is_not_committed_by_another_sync() {
    let base = prepared();
    let bed = Bed::new(&base, Durability::Journal);
    let guard = bed.tree.guard(["a"]).unwrap();
    put(&bed.sim, "a", b"in place");
    bed.sim.fail_sync_at(Some(1));
    let error = guard.commit().unwrap_err();
    assert_eq!(error.outcome(), Outcome::Undecided, "{error}");
    drop(bed.tree);
    assert_reopens(&bed.sim.remount(), &[&look(&base, ROOT)], "after the failed sync");
}
