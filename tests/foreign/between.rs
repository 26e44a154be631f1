//! Others act between a crash and the recovery.

use std::collections::BTreeSet;

use treewal_vfs::RelPath;
use treewal_vfs::sim::Profile;

use crate::seen::{Seen, look};
use crate::world::{ACTS, BODIES, PATHS, ROOT, died_at, holds_theirs, open, prepared, without};

/// The process dies anywhere in a commit; somebody changes a path; the tree is opened. Theirs is still there, in its place
/// or in quarantine, and nothing is pending.
#[test]
fn what_others_write_after_a_crash_is_not_lost() {
    let mut met = 0;
    for (name, body) in BODIES {
        let base = prepared();
        let before = look(&base, ROOT);
        let after = {
            let disk = base.remount();
            open(&disk).transaction(body).unwrap();
            look(&disk, ROOT)
        };
        for at in 1.. {
            let Some(dead) = died_at(&base, body, at) else { break };
            for act in ACTS {
                for path in PATHS {
                    let disk = dead.remount();
                    let there = look(&disk, ROOT).remove(&RelPath::new(path).unwrap());
                    if act.on(&disk, path).is_err() {
                        continue;
                    }
                    met += 1;
                    let at = format!("{name}: died at call {at}, then {act:?} {path}");
                    let tree = open(&disk);
                    let report = tree.recovery().clone();
                    drop(tree);
                    assert!(!holds_theirs(&disk).is_empty(), "{at}: theirs is lost: {report}");
                    assert_eq!(report.pending().count(), 0, "{at}: {report}");
                    // And of ours nothing is lost but what they wrote over themselves.
                    let promised = report.transactions.iter().any(|done| done.label == "redo");
                    let kept: BTreeSet<Vec<u8>> = disk.dump().into_values().map(|node| node.contents).collect();
                    let lost = |wanted: &Seen| {
                        let lost = wanted.values().map(|entry| &entry.contents).filter(|contents| {
                            let overwritten = there.as_ref().is_some_and(|there| there.contents == **contents);
                            !overwritten && !kept.contains(*contents)
                        });
                        lost.count() > 0
                    };
                    assert!(!lost(&after) || !promised && !lost(&before), "{at}: something is lost: {report}");
                    let found = look(&disk, ROOT);
                    let again = open(&disk);
                    assert!(again.recovery().is_clean(), "{at}: {}", again.recovery());
                    assert_eq!(look(&disk, ROOT), found, "{at}: the second opening changed something");
                }
            }
        }
    }
    assert!(met > 600, "{met}");
}

/// A commit that nothing crashed in, and the process killed later: every other path of it stays committed.
#[test]
fn what_others_did_to_one_path_takes_nothing_from_the_rest() {
    for (name, body) in BODIES {
        let base = prepared();
        let done = base.remount();
        let tree = open(&done);
        tree.transaction(body).unwrap();
        let after = look(&done, ROOT);
        for act in ACTS {
            for path in PATHS {
                for power in [false, true] {
                    let disk =
                        if power { done.after(&done.outcomes(Profile::Ordered).nothing()) } else { done.remount() };
                    if act.on(&disk, path).is_err() {
                        continue;
                    }
                    let recovered = open(&disk);
                    let report = recovered.recovery().clone();
                    assert!(!holds_theirs(&disk).is_empty(), "{name}: {act:?} {path}, power {power}: lost: {report}");
                    if !power {
                        let found = without(look(&disk, ROOT), path);
                        assert_eq!(found, without(after.clone(), path), "{name}: {act:?} {path}: {report}");
                    }
                }
            }
        }
        drop(tree);
    }
}
