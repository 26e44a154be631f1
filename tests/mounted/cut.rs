//! Commits and recoveries that end in the middle, by a kill or by an error, at each changing call.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Arc;

use treewal::Outcome;
use treewal_vfs::{Fault, FaultDisk, RealDisk, errno};

use crate::bed::{BENEATH, BOTH, Bed, From, NEW, OLD, change, options};

const TREE: &str = "TREEWAL_MOUNTED_TREE";
const AT: &str = "TREEWAL_MOUNTED_AT";

/// No test of its own: the process that is killed.
#[test]
fn child() {
    let (Ok(tree), Ok(at)) = (std::env::var(TREE), std::env::var(AT)) else { return };
    let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
    let tree = options().open_on(disk.clone(), tree).unwrap();
    disk.arm(Fault::Kill { at: at.parse().unwrap() });
    tree.transaction(change).unwrap();
}

/// Opens the tree until nothing is owed; the tree is before or after.
fn recovered(bed: &Bed, states: &[crate::bed::Files; 2], name: &str) -> bool {
    let tree = options().open(bed.tree()).unwrap();
    let report = tree.recovery().clone();
    assert_eq!(report.pending().count(), 0, "{name}: {report}");
    assert!(report.transactions.iter().all(|done| done.superseded.is_empty()), "{name}: {report}");
    drop(tree);
    let found = bed.files();
    assert!(states.contains(&found), "{name}: {report}: {found:?}");
    assert!(bed.kept().is_empty(), "{name}: {report}");
    assert!(options().open(bed.tree()).unwrap().recovery().is_clean(), "{name}");
    let stages = fs::read_dir(bed.tree().join(".treewal/stage")).unwrap().count();
    assert_eq!(stages, 0, "{name}: something is left in the stage");
    found == states[1]
}

#[test]
fn a_kill_at_any_call_leaves_the_old_or_the_new_state() {
    for from in BOTH {
        let Some(bed) = Bed::new(from, "a_kill_at_any_call_leaves_the_old_or_the_new_state") else { return };
        let states = bed.states();
        let (mut kills, mut redone) = (0, 0);
        for at in 1.. {
            let me = std::env::current_exe().unwrap();
            let mut child = Command::new(me);
            child.args(["--exact", "cut::child"]).env(TREE, bed.tree()).env(AT, at.to_string());
            let output = child.output().unwrap();
            let name = format!("{from:?}, killed at {at}");
            if output.status.signal() != Some(9) {
                assert!(output.status.success(), "{name}: {output:?}");
                assert_eq!(bed.files(), states[1], "{name}");
                break;
            }
            kills += 1;
            redone += usize::from(recovered(&bed, &states, &name));
            bed.reset();
        }
        println!("{from:?}: {kills} kills, {redone} times redone");
        assert!(kills > 20 && redone > 5, "{kills} {redone}");
    }
}

#[test]
fn an_error_at_any_call_is_put_back_or_finished() {
    for (from, errno) in [(From::Here, errno::EIO), (From::Elsewhere, errno::ENOSPC)] {
        let Some(bed) = Bed::new(from, "an_error_at_any_call_is_put_back_or_finished") else { return };
        let states = bed.states();
        let mut ends = [0; 4];
        for half in [false, true] {
            for at in 1.. {
                let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
                let tree = options().open_on(disk.clone(), bed.tree()).unwrap();
                // Once only, or for as long as the handle lives.
                disk.arm(if half { Fault::ErrorFrom { at, errno } } else { Fault::Error { at, errno } });
                let result = tree.transaction(change);
                let calls = disk.mutations();
                let name = format!("{from:?}, error at {at}, for ever {half}: {result:?}");
                let found = bed.files();
                match result.as_ref().map_err(treewal::Error::outcome) {
                    Ok(()) => assert_eq!(found, states[1], "{name}"),
                    Err(Outcome::Unchanged | Outcome::RolledBack) => assert_eq!(found, states[0], "{name}"),
                    Err(_) => {}
                }
                ends[match result.as_ref().map_err(treewal::Error::outcome) {
                    Ok(()) => 0,
                    Err(Outcome::Unchanged) => 1,
                    Err(Outcome::RolledBack) => 2,
                    Err(_) => 3,
                }] += 1;
                drop(tree);
                let is_new = recovered(&bed, &states, &name);
                match result.map_err(|error| error.outcome()) {
                    Ok(()) => assert!(is_new, "{name}"),
                    Err(Outcome::Unchanged | Outcome::RolledBack) => assert!(!is_new, "{name}"),
                    Err(_) => {}
                }
                bed.reset();
                if calls < at {
                    break;
                }
            }
        }
        println!("{from:?}: committed, unchanged, rolled back, undecided: {ends:?}");
        assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
    }
}

#[test]
fn a_recovery_that_is_cut_short_is_done_again() {
    let Some(bed) = Bed::new(From::Elsewhere, "a_recovery_that_is_cut_short_is_done_again") else { return };
    let states = bed.states();
    let mut cuts = 0;
    for at in 1.. {
        if !bed.cut(at) {
            bed.reset();
            break;
        }
        // Torn, as a power loss would leave it, where the rewriting had begun.
        for inside in 1..6 {
            let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::Off { at: inside * 4 }));
            drop(options().open_on(disk, bed.tree()));
            cuts += 1;
        }
        recovered(&bed, &states, &format!("cut at {at}"));
        bed.reset();
    }
    println!("{cuts} recoveries cut short");
}

/// The call of a commit before which the mounted file still holds what it held, and all else is new.
fn cut_before_rewriting(bed: &Bed) {
    for at in 1.. {
        assert!(bed.cut(at), "the commit has no such call");
        let is_promised = fs::read(bed.tree().join("a")).unwrap() == b"new a" && !bed.tree().join("gone").exists();
        if is_promised && fs::read(bed.source()).unwrap() == OLD.as_bytes() {
            return;
        }
        bed.reset();
    }
}

#[test]
fn what_somebody_else_wrote_meanwhile_stays() {
    for from in BOTH {
        let Some(bed) = Bed::new(from, "what_somebody_else_wrote_meanwhile_stays") else { return };
        cut_before_rewriting(&bed);
        fs::write(bed.source(), "theirs").unwrap();
        let tree = options().open(bed.tree()).unwrap();
        let report = tree.recovery();
        assert!(report.transactions.iter().any(|done| !done.superseded.is_empty()), "{report}");
        assert_eq!(fs::read(bed.source()).unwrap(), b"theirs");
        for kept in [OLD, NEW] {
            assert!(bed.kept().iter().any(|contents| contents == kept.as_bytes()), "{report}: {kept} is nowhere");
        }
        tree.transaction(|tx| tx.write("d/bound", "after all")).unwrap();
        assert_eq!(fs::read(bed.source()).unwrap(), b"after all");
    }
}

#[test]
fn a_rewrite_that_was_torn_is_finished() {
    let Some(bed) = Bed::new(From::Elsewhere, "a_rewrite_that_was_torn_is_finished") else { return };
    let torn: [&[u8]; 4] = [b"", b"new in", b"new in the mounted filer than the new one", b"\0\0\0, and"];
    for torn in torn {
        cut_before_rewriting(&bed);
        fs::write(bed.source(), torn).unwrap();
        drop(options().open(bed.tree()).unwrap());
        let found = fs::read(bed.source()).unwrap();
        assert_eq!(found, NEW.as_bytes(), "{}", torn.escape_ascii());
        assert!(bed.kept().is_empty());
        bed.reset();
    }
}

/// After a boot, the tree may be opened before somebody has mounted the file again.
#[test]
fn where_it_is_not_mounted_what_lies_beneath_stays_and_both_versions_are_kept() {
    let Some(mut bed) = Bed::new(From::Elsewhere, "where_it_is_not_mounted") else { return };
    cut_before_rewriting(&bed);
    bed.unbind();
    let tree = options().open(bed.tree()).unwrap();
    let report = tree.recovery();
    assert!(report.transactions.iter().any(|done| !done.superseded.is_empty()), "{report}");
    assert_eq!(fs::read(bed.bound()).unwrap(), BENEATH.as_bytes());
    for kept in [OLD, NEW] {
        assert!(bed.kept().iter().any(|contents| contents == kept.as_bytes()), "{report}: {kept} is nowhere");
    }
    drop(tree);
    assert_eq!(fs::read(bed.tree().join("a")).unwrap(), b"new a");
}
