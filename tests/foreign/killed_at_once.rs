//! Others act while a commit is at work, and it is killed before it can look at what it moved: what they wrote may then stand
//! in the stage, where the commit has just put it, and nobody but recovery can tell.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use treewal::Durability;
use treewal_vfs::sim::SimDisk;

use crate::hooked::Hooked;
use crate::world::{ACTS, Act, BODIES, Body, PATHS, ROOT, died_at, holds_theirs, open, options, prepared};

/// So many calls after the act: the commit has moved what was written, and has not looked yet.
const LATER_MAX: u64 = 3;

/// The disk after a kill at call `at + later` of a commit, where somebody has written before call `at`; `None` where the commit
/// makes fewer calls, or where nothing could be written.
fn killed(base: &SimDisk, body: Body, act: (Act, &'static str), at: u64, later: u64) -> Option<(bool, SimDisk)> {
    let sim = base.remount();
    let calls = Arc::new(AtomicU64::new(u64::MAX / 2));
    let left = Arc::new(Mutex::new((false, None)));
    let hook = {
        let (sim, calls, left) = (sim.clone(), Arc::clone(&calls), Arc::clone(&left));
        move |_| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            if call == at {
                left.lock().unwrap().0 = act.0.on(&sim, act.1).is_ok();
            }
            if call == at + later {
                left.lock().unwrap().1 = Some(sim.kill());
            }
        }
    };
    let tree = options(Durability::Journal).open_on(Arc::new(Hooked { inner: sim, after: hook }), ROOT).unwrap();
    let mut tx = tree.begin();
    body(&mut tx).unwrap();
    calls.store(0, Ordering::SeqCst);
    drop(tx.commit());
    let (acted, disk) = std::mem::take(&mut *left.lock().unwrap());
    disk.map(|disk| (acted, disk))
}

#[test]
fn what_others_write_is_kept_where_the_commit_is_killed_before_it_looks() {
    let mut met = 0;
    let mut lost = Vec::new();
    for (name, body) in BODIES {
        let base = prepared();
        for act in ACTS {
            for path in PATHS {
                for later in 0..=LATER_MAX {
                    for at in 0.. {
                        let Some((acted, disk)) = killed(&base, body, (act, path), at, later) else { break };
                        if !acted {
                            continue;
                        }
                        met += 1;
                        let said = open(&disk).recovery().to_string();
                        if holds_theirs(&disk).is_empty() {
                            lost.push(format!("{name}: {act:?} {path} after call {at}, killed {later} later: {said}"));
                        }
                    }
                }
            }
        }
    }
    println!("{met} kills after others wrote, {} lost what they wrote", lost.len());
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    assert!(met > 500, "{met}");
}

/// A recovery that moved what somebody has just put there fails, and takes that back: nothing of theirs goes with the next one.
#[test]
fn what_others_write_while_a_recovery_renames_is_kept() {
    let mut met = 0;
    // A directory that goes is looked into before its entries are: what is written there between the two may go with it.
    for (name, body) in BODIES.into_iter().filter(|(name, _)| !name.starts_with("remove a directory")) {
        let base = prepared();
        let redone = |dead: &SimDisk| open(&dead.remount()).recovery().transactions.iter().any(|done| done.changed > 0);
        let dead = (1..).map_while(|at| died_at(&base, body, at)).find(redone).unwrap();
        for act in [Act::Edit, Act::Replace] {
            for path in ["a", "d/x"] {
                for at in 0.. {
                    let sim = dead.remount();
                    let (calls, acted) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
                    let hook = {
                        let (sim, acted) = (sim.clone(), Arc::clone(&acted));
                        move |_| {
                            if calls.fetch_add(1, Ordering::SeqCst) == at {
                                acted.store(1 + u64::from(act.on(&sim, path).is_ok()), Ordering::SeqCst);
                            }
                        }
                    };
                    let first = options(Durability::Journal)
                        .open_on(Arc::new(Hooked { inner: sim.clone(), after: hook }), ROOT);
                    match acted.load(Ordering::SeqCst) {
                        0 => break,
                        1 => continue,
                        _ => met += 1,
                    }
                    let said = first.as_ref().map(|tree| tree.recovery().to_string()).map_err(ToString::to_string);
                    drop(first);
                    let sim = sim.kill();
                    let tree = open(&sim);
                    let again = tree.recovery().to_string();
                    drop(tree);
                    assert!(
                        !holds_theirs(&sim).is_empty(),
                        "{name}: {act:?} {path} after call {at}: {said:?}, {again}"
                    );
                }
            }
        }
    }
    println!("{met} recoveries that others wrote in the middle of");
    assert!(met > 100, "{met}");
}
