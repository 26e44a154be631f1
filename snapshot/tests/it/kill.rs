//! A process that is killed just before any call that changes something, on the file system of the machine.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use treewal_snapshot::{Check, Manifest, Sharing};
use treewal_vfs::{Disk, Fault, FaultDisk, RealDisk, errno, remove_tree};

use crate::bed::{Bed, assert_same};
use crate::furnished::{furnish, mutate, on_real};

/// What a child of the test does: `take` or `restore`, where, and the call before which it dies.
const CHILD: &str = "TREEWAL_TEST_KILLED";
const SHARINGS: [Sharing; 2] = [Sharing::Copy, Sharing::HardLink];

/// Runs the test `name` anew, to be killed; says whether it was.
fn is_killed(name: &str, home: &Path, sharing: usize, at: u64) -> bool {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, format!("{at} {sharing} {}", home.display()))
        .output()
        .unwrap();
    let killed = std::os::unix::process::ExitStatusExt::signal(&out.status) == Some(9);
    assert!(killed || out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    killed
}

/// In the child: the bed, and the disk that kills.
fn in_child(run: impl Fn(&Bed<'_>, Sharing)) -> bool {
    let Ok(told) = std::env::var(CHILD) else { return false };
    let mut told = told.splitn(3, ' ');
    let mut next = || told.next().unwrap();
    let (at, sharing, home) = (next().parse().unwrap(), next().parse::<usize>().unwrap(), next());
    let disk = FaultDisk::new(Arc::new(RealDisk), Fault::Kill { at });
    run(&Bed::new(&RealDisk, Path::new(home)).through(&disk), SHARINGS[sharing]);
    true
}

#[test]
fn a_killed_take_leaves_the_tree_alone_and_is_never_taken_for_whole() {
    if in_child(|bed, sharing| assert!(bed.take(&["w"], sharing).is_ok())) {
        return;
    }
    let name = "kill::a_killed_take_leaves_the_tree_alone_and_is_never_taken_for_whole";
    let home = tempfile::tempdir().unwrap();
    let bed = Bed::new(&RealDisk, home.path());
    furnish(&bed);
    let before = bed.dump();
    for sharing in 0..SHARINGS.len() {
        for at in 1.. {
            let killed = is_killed(name, home.path(), sharing, at);
            assert_same(&before, &bed.dump(), &format!("killed before call {at}"));
            let whole = Manifest::load(&RealDisk, &bed.private)
                .is_ok_and(|manifest| manifest.entries(&RealDisk).all(|entry| entry.is_ok()));
            // Before the last call, the sync, everything is there for whoever looks now.
            assert!(!killed || !whole || is_killed_after(name, &bed, sharing, at), "call {at}");
            clear(&bed);
            if !killed {
                assert!(at > 12, "too few calls to be worth a test");
                break;
            }
        }
    }
}

fn clear(bed: &Bed<'_>) {
    for entry in RealDisk.list(&bed.private).unwrap() {
        remove_tree(&RealDisk, &bed.private, &entry.name).unwrap();
    }
}

/// Whether no call comes after call `at`.
fn is_killed_after(name: &str, bed: &Bed<'_>, sharing: usize, at: u64) -> bool {
    clear(bed);
    !is_killed(name, &bed.home, sharing, at + 1)
}

#[test]
fn a_killed_restore_is_finished_by_the_next() {
    if in_child(|bed, _| assert!(bed.restore(Check::Attributes).is_ok())) {
        return;
    }
    let name = "kill::a_killed_restore_is_finished_by_the_next";
    for (number, sharing) in SHARINGS.into_iter().enumerate() {
        for at in 1.. {
            let mut killed = true;
            on_real(|bed| {
                let before = bed.dump();
                bed.take(&["w"], sharing).unwrap();
                mutate(bed);
                killed = is_killed(name, &bed.home, number, at);
                // Killed once more within the next one.
                is_killed(name, &bed.home, number, 1 + at / 2);
                let manifest = bed.manifest();
                assert_eq!(manifest.check(&RealDisk, &bed.tree), Check::Attributes, "the same mount");
                bed.restore(Check::Attributes).unwrap();
                assert_same(&before, &bed.dump(), &format!("{sharing:?}, killed before call {at}"));
            });
            if !killed {
                assert!(at > 12, "too few calls to be worth a test");
                break;
            }
        }
    }
}

#[test]
fn any_call_of_a_take_may_fail_and_nothing_is_left() {
    for sharing in [Sharing::Auto, Sharing::HardLink] {
        for code in [errno::EIO, errno::ENOSPC, errno::EDQUOT] {
            for at in 1.. {
                let mut failed = true;
                on_real(|bed| {
                    let before = bed.dump();
                    let disk = FaultDisk::new(Arc::new(RealDisk), Fault::Error { at, errno: code });
                    let taken = bed.through(&disk).take(&["w"], sharing);
                    failed = disk.mutations() >= at;
                    // That the file system knows no reflink is found out by a call that fails.
                    assert_eq!(taken.is_err(), failed, "call {at}: {taken:?}");
                    if failed {
                        assert_eq!(bed.disk.list(&bed.private).unwrap(), [], "call {at}");
                    }
                    assert_same(&before, &bed.dump(), &format!("call {at} failed"));
                });
                if !failed {
                    assert!(at > 12, "too few calls to be worth a test");
                    break;
                }
            }
        }
    }
}
