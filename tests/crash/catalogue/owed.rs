//! What is owed, and what a person does about it: decided by hand, retried from quarantine, thrown away.

use std::ffi::OsString;
use std::sync::Arc;

use treewal::{Durability, Resolution, Retry};
use treewal_vfs::sim::{SimDisk, seed_random};
use treewal_vfs::{Disk, Fault, FaultDisk, Verb, errno};

use super::said;
use crate::count::{is_mine, say_total};
use crate::judge::{Dump, Expected, Lasting, dump, entries};
use crate::rig::{Also, Case, Plan, prepare};
use crate::workloads::{tree_of_files, vandalise};

/// A try is one that a crash has ended as well: there must be enough of them for every crash inside recovery.
const MANY: u32 = 9;
const FEW: u32 = 2;

fn plan(tries: u32) -> Plan {
    Plan::new(Durability::Journal).shallow().with_a_young_root().giving_up_after(tries)
}

/// Opens a tree on a disk that renames nothing; gives the number of what is owed.
fn fails_once(disk: &SimDisk, plan: Plan) -> u64 {
    let fault = Fault::ErrorFrom { at: 1, errno: errno::ENODATA };
    let broken = FaultDisk::new(Arc::new(disk.clone()), fault).only(Verb::Rename);
    let tree = plan.options().open_on(Arc::new(broken), "/").unwrap();
    tree.recovery().pending().next().unwrap_or_else(|| panic!("nothing is owed: {}", tree.recovery())).txn
}

/// Its process died under a guard, and undoing that has failed so many times.
fn owed(plan: Plan, tries: u32) -> (SimDisk, u64) {
    let base = prepare(tree_of_files, plan);
    let process = base.another_process();
    let tree = plan.open(&process).unwrap();
    let guard = tree.guard(["a", "b", "d", "large", "fresh"]).unwrap();
    vandalise(&process).unwrap();
    drop(process.kill());
    drop((guard, tree));
    let tried: Vec<u64> = (0..tries).map(|_| fails_once(&base, plan)).collect();
    base.sync_all(&base.open_root("/".as_ref()).unwrap()).unwrap();
    (base.remount(), tried[0])
}

fn resolve(disk: &SimDisk, txn: u64, how: Resolution) -> bool {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    plan(MANY).options().resolve_on(&disk, "/", txn, how).is_ok()
}

#[test]
fn a_decision_by_hand_is_made_or_not() {
    let before = dump(&prepare(tree_of_files, plan(MANY)));
    for (name, how) in [("kept by hand", Resolution::Keep), ("restored by hand", Resolution::Restore)] {
        let (base, txn) = owed(plan(MANY), 1);
        seed_random(Some(1));
        let whole = base.remount();
        assert!(resolve(&whole, txn, how), "{name}");
        // Until somebody has decided, it is undone by whoever opens it.
        let states = [before.clone(), dump(&whole)];
        assert_eq!(states[0] == states[1], how == Resolution::Restore, "{name}");
        let run = |disk: &SimDisk, cut: u64| {
            disk.cut_at(Some(cut));
            usize::from(resolve(disk, txn, how))
        };
        explore((name, plan(MANY)), &base, &states, &run, None);
    }
}

/// Given up: what a guard would have restored is in quarantine.
fn given_up() -> (SimDisk, OsString) {
    let (base, _) = owed(plan(FEW), FEW);
    drop(plan(FEW).open(&base).unwrap());
    base.sync_all(&base.open_root("/".as_ref()).unwrap()).unwrap();
    let kept = entries(&base, "quarantine");
    assert_eq!(kept.len(), 1, "{kept:?}");
    (base.remount(), kept.into_iter().next().unwrap())
}

fn retried(disk: &SimDisk) -> bool {
    let retry = |tree: treewal::Tree| {
        let ids: Vec<String> = tree.quarantine().unwrap_or_default().into_iter().map(|entry| entry.id).collect();
        ids.iter().all(|id| tree.retry_quarantine(id, Retry::new()).is_ok_and(|done| done.purged))
    };
    !entries(disk, "quarantine").is_empty() && plan(FEW).open(disk).is_ok_and(retry)
}

#[test]
fn what_is_retried_from_quarantine_is_in_the_tree_or_still_there() {
    let (base, _) = given_up();
    seed_random(Some(1));
    let whole = base.remount();
    let states = [dump(&whole), dump(&prepare(tree_of_files, plan(FEW)))];
    assert!(retried(&whole) && dump(&whole) == states[1]);
    let run = |disk: &SimDisk, cut: u64| {
        disk.cut_at(Some(cut));
        usize::from(retried(disk))
    };
    explore(("retried from quarantine", plan(FEW)), &base, &states, &run, Some(can_be_retried));
}

/// In quarantine, and then it can be brought back, or brought back.
fn can_be_retried(disk: &SimDisk, _: Plan, acknowledged: usize, at: &dyn Fn() -> String) {
    let disk = disk.remount();
    let is_there = !entries(&disk, "quarantine").is_empty();
    assert!(!is_there || acknowledged == 0, "{}: still in quarantine", at());
    assert!(!is_there || retried(&disk), "{}: cannot be retried", at());
    let wanted = dump(&prepare(tree_of_files, plan(FEW)));
    assert_eq!(dump(&disk), wanted, "{}: neither in quarantine nor in the tree", at());
}

#[test]
fn what_is_thrown_away_is_there_wholly_or_not_at_all() {
    let (base, id) = given_up();
    let id = id.into_string().unwrap();
    let states = [dump(&base), dump(&base)];
    let purge = |disk: &SimDisk| plan(FEW).open(disk).and_then(|tree| tree.purge_quarantine(&id)).is_ok();
    seed_random(Some(1));
    let whole = base.remount();
    assert!(purge(&whole) && entries(&whole, "quarantine").is_empty());
    let run = |disk: &SimDisk, cut: u64| {
        disk.cut_at(Some(cut));
        usize::from(purge(disk))
    };
    explore(("thrown away", plan(FEW)), &base, &states, &run, Some(is_whole_or_gone));
}

fn is_whole_or_gone(disk: &SimDisk, _: Plan, acknowledged: usize, at: &dyn Fn() -> String) {
    let disk = disk.remount();
    let there = entries(&disk, "quarantine");
    assert!(there.is_empty() || acknowledged == 0, "{}: still there", at());
    assert!(there.is_empty() || retried(&disk), "{}: a part of it is gone", at());
}

fn explore(
    (name, plan): (&str, Plan),
    base: &SimDisk,
    states: &[Dump; 2],
    run: &(dyn Fn(&SimDisk, u64) -> usize + Sync),
    also: Option<Also>,
) {
    if !is_mine(name) {
        return;
    }
    let may_keep = also.is_some();
    let expected = |acknowledged| Expected { may_keep, ..Expected::after(states, acknowledged) };
    let case = Case { name, plan, base, run, all: 1, expected: &expected, lasting: Lasting::Guarded, also };
    let count = case.explore();
    said(name, plan, &count);
    say_total();
}
