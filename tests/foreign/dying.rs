//! Others put something into a directory that a commit takes away because it is empty, and the process dies: any moment of
//! the one before any moment of the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use treewal::Durability;
use treewal_vfs::{Fault, FaultDisk};

use crate::hooked::Hooked;
use crate::seen::look;
use crate::world::{Body, ROOT, THEIRS, holds_theirs, open, options, prepared, put};

/// Each takes the directory `d` away, once nothing is in it.
const WAYS: [(&str, Body); 3] = [
    ("removed", |tx| {
        tx.remove_file("d/x")?;
        tx.rename("d/y", "y")?;
        tx.remove_dir("d")
    }),
    ("a file in its place", |tx| {
        tx.remove_file("d/x")?;
        tx.remove_file("d/y")?;
        tx.remove_dir("d")?;
        tx.write("d", "a file now")
    }),
    ("another in its place", |tx| {
        tx.remove_file("d/x")?;
        tx.remove_file("d/y")?;
        tx.remove_dir("d")?;
        tx.create_dir("d")?;
        tx.write("d/x", "new x")
    }),
];

#[test]
fn what_others_put_into_a_directory_that_goes_is_not_lost_with_the_process() {
    let mut met = 0;
    for (name, body) in WAYS {
        let base = prepared();
        'theirs: for at in 0.. {
            for dies_at in 1.. {
                let sim = base.remount();
                let done = Arc::new(AtomicU64::new(0));
                let calls = Arc::new(AtomicU64::new(u64::MAX / 2));
                let hook = {
                    let (sim, done, calls) = (sim.another_process(), Arc::clone(&done), Arc::clone(&calls));
                    move |_| {
                        if calls.fetch_add(1, Ordering::SeqCst) == at {
                            done.store(1 + u64::from(put(&sim, "d/theirs", THEIRS).is_ok()), Ordering::SeqCst);
                        }
                    }
                };
                let faulty =
                    Arc::new(FaultDisk::new(Arc::new(Hooked { inner: sim.clone(), after: hook }), Fault::None));
                let tree = options(Durability::Journal).open_on(faulty.clone(), ROOT).unwrap();
                let mut tx = tree.begin();
                body(&mut tx).unwrap();
                calls.store(0, Ordering::SeqCst);
                faulty.arm(Fault::Off { at: dies_at });
                let result = tx.commit();
                let is_dead = faulty.is_off();
                let disk = sim.kill();
                drop(tree);
                let at = format!("{name}: theirs after call {at}, died at {dies_at}: {result:?}");
                match done.load(Ordering::SeqCst) {
                    // It died before, or the commit has fewer calls.
                    0 if is_dead => continue,
                    0 => break 'theirs,
                    1 => break,
                    _ => {}
                }
                if is_dead {
                    met += 1;
                    let tree = open(&disk);
                    let report = tree.recovery().clone();
                    drop(tree);
                    assert!(!holds_theirs(&disk).is_empty(), "{at}: theirs is lost: {report}");
                    assert_eq!(report.pending().count(), 0, "{at}: {report}");
                    let found = look(&disk, ROOT);
                    assert!(open(&disk).recovery().is_clean() && look(&disk, ROOT) == found, "{at}: done twice");
                } else {
                    break;
                }
            }
        }
    }
    println!("{met} deaths of a commit after others put something into a directory that goes");
    assert!(met > 50, "{met}");
}
