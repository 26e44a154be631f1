//! Others change a path after a commit, and then the power goes. What of all that reached the disk is tried in every
//! combination that the simulated disk knows: each kind of change of ours × each way in which others write after it × what
//! is left of the names × what is left of the contents of each file.
//!
//! `TREEWAL_FOREIGN` = `all` crashes inside the commit, too, at each call and for every kind of change; without it, at one call
//! in [`WITHIN_EVERY`] of those changes that need a barrier.

mod acts;
mod changes;
mod judge;

use std::collections::BTreeMap;
use std::sync::Arc;

use treewal::{Durability, Tree};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Fault, FaultDisk};

use crate::world::{ROOT, open, options};
use acts::ACTS;
use changes::{CHANGES, Change, prepared};
use judge::{Case, eyes};

/// More outcomes than these of one crash are sampled.
const OUTCOMES_MAX: usize = 40_000;

/// A tree at work, in which the change can be made; all of it is durable.
fn at_work(change: &Change) -> (SimDisk, Arc<FaultDisk>, Tree) {
    let sim = prepared(change);
    let faulty = Arc::new(FaultDisk::new(Arc::new(sim.clone()), Fault::None));
    let tree = options(Durability::Journal).open_on(faulty.clone(), ROOT).unwrap();
    // What it needs once is there, and only what the commit does is open.
    tree.transaction(|tx| tx.write("other", "of no interest")).unwrap();
    tree.checkpoint().unwrap();
    (sim, faulty, tree)
}

/// The disk as a commit left it, or, `killed_at` a call of it, as the process that was killed there left it: nothing is
/// synced but what the commit synced. `None` where the commit has fewer calls.
fn moment(change: &Change, killed_at: Option<u64>) -> Option<SimDisk> {
    let (sim, faulty, tree) = at_work(change);
    faulty.arm(killed_at.map_or(Fault::None, |at| Fault::Off { at }));
    let committed = tree.transaction(change.body);
    assert!(committed.is_ok() || killed_at.is_some(), "{}: {committed:?}", change.name);
    let disk = sim.kill();
    (faulty.is_off() || killed_at.is_none()).then_some(disk)
}

/// What was tried, by what stood at the path when recovery came.
type Counts = BTreeMap<&'static str, u64>;

/// All that a loss of power may leave of what others did, and the loss of nothing.
fn try_all(case: &Case<'_>, disk: &SimDisk, counts: &mut Counts) -> Vec<String> {
    let outcomes = disk.outcomes(Profile::Strict).exhaustive(OUTCOMES_MAX);
    let Some(outcomes) = outcomes else { panic!("{case}: more than {OUTCOMES_MAX} outcomes") };
    let mut broken = Vec::new();
    let mut judge = |disk: SimDisk, told: &dyn Fn() -> String| match case.judge(&disk) {
        Ok(met) => *counts.entry(met).or_default() += 1,
        Err(why) => broken.push(format!("{case}: {why}\nthe disk: {}", told())),
    };
    for outcome in outcomes {
        judge(disk.after(&outcome), &|| disk.describe(&outcome));
    }
    judge(disk.remount(), &|| "killed alone".into());
    broken
}

/// One call in so many of a commit is one at which it crashes.
const WITHIN_EVERY: usize = 4;

fn product(changes: &[Change], also_within: impl Fn(&Change) -> bool, every: usize) -> Counts {
    let (mut counts, mut broken) = (Counts::new(), Vec::new());
    for change in changes {
        let old = eyes(&at_work(change).0);
        let last = if also_within(change) { (1..).find(|at| moment(change, Some(*at)).is_none()).unwrap() } else { 1 };
        for killed_at in (1..last).step_by(every).map(Some).chain([None]) {
            let disk = moment(change, killed_at).unwrap();
            // What the commit leads to, with the inodes that it made.
            drop(open(&disk));
            let new = eyes(&disk);
            for act in ACTS {
                let disk = moment(change, killed_at).unwrap();
                if act.on(&disk).is_ok() {
                    let case = Case { change, act, killed_at, old: &old, new: &new };
                    broken.extend(try_all(&case, &disk, &mut counts));
                }
            }
        }
    }
    let sum: u64 = counts.values().sum();
    println!("others after a commit: {sum} disks; {counts:?}");
    for why in broken.iter().take(5) {
        println!("{why}");
    }
    assert!(broken.is_empty(), "{} disks of {sum} break a promise", broken.len());
    counts
}

#[test]
fn what_is_newer_is_never_overwritten() {
    let all = std::env::var("TREEWAL_FOREIGN").is_ok_and(|how| how == "all");
    let counts = product(&CHANGES, |change| all || change.is_barrier, if all { 1 } else { WITHIN_EVERY });
    for met in ["ours, whole", "ours, cut or zeroed", "old", "nothing", "theirs"] {
        assert!(counts.get(met).is_some_and(|count| *count > 100), "{met}: {counts:?}");
    }
}
