//! Others act while a commit is at work, and it is killed before it can look at what it moved: what they wrote may then stand
//! in the stage, where the commit has just put it, and nobody but recovery can tell.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use treewal::Durability;
use treewal_vfs::sim::SimDisk;

use crate::hooked::Hooked;
use crate::world::{ACTS, Act, BODIES, Body, PATHS, ROOT, holds_theirs, open, options, prepared};

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
