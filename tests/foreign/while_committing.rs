//! Others act while a commit is at work: after each call that it makes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use treewal::{Durability, Error, Outcome};
use treewal_vfs::RelPath;

use crate::hooked::Hooked;
use crate::seen::{Seen, differences, look};
use crate::world::{ACTS, BODIES, PATHS, ROOT, THEIRS, holds_theirs, open, options, prepared};

/// Where a tree is not as it should be, apart from what others wrote.
fn differ(found: &Seen, wanted: &Seen, path: &str) -> String {
    let theirs = |at: &RelPath| {
        let written = found.get(at).is_some_and(|entry| entry.contents == THEIRS);
        written || at.to_string() == path || at.to_string().ends_with('~')
    };
    let ours = |seen: &Seen| -> Seen {
        seen.iter().filter(|(at, _)| !theirs(at)).map(|(at, entry)| (at.clone(), entry.clone())).collect()
    };
    differences(&ours(found), &ours(wanted))
}

#[test]
fn what_others_write_is_kept_and_the_outcome_is_true() {
    let mut met = 0;
    for (name, body) in BODIES {
        let base = prepared();
        let before = look(&base, ROOT);
        let after = {
            let disk = base.remount();
            open(&disk).transaction(body).unwrap();
            look(&disk, ROOT)
        };
        for act in ACTS {
            for path in PATHS {
                for at in 0.. {
                    let sim = base.remount();
                    let calls = Arc::new(AtomicU64::new(u64::MAX / 2));
                    let done = Arc::new(AtomicU64::new(0));
                    let hook = {
                        let (sim, calls, done) = (sim.clone(), Arc::clone(&calls), Arc::clone(&done));
                        move |_| {
                            if calls.fetch_add(1, Ordering::SeqCst) == at {
                                done.store(1 + u64::from(act.on(&sim, path).is_ok()), Ordering::SeqCst);
                            }
                        }
                    };
                    let disk = Arc::new(Hooked { inner: sim.clone(), after: hook });
                    let tree = options(Durability::Journal).open_on(disk, ROOT).unwrap();
                    let mut tx = tree.begin();
                    body(&mut tx).unwrap();
                    calls.store(0, Ordering::SeqCst);
                    let result = tx.commit();
                    match done.load(Ordering::SeqCst) {
                        0 => break,
                        1 => continue,
                        _ => met += 1,
                    }
                    let at = format!("{name}: {act:?} {path} after call {at}: {result:?}");
                    let check = |when: &str| {
                        let found = look(&sim, ROOT);
                        assert!(!holds_theirs(&sim).is_empty(), "{at}, {when}: theirs is lost");
                        let wanted = match result.as_ref().map_err(Error::outcome) {
                            Ok(_) => vec![&after],
                            Err(Outcome::Unchanged | Outcome::RolledBack) => vec![&before],
                            Err(_) => vec![&before, &after],
                        };
                        let good = wanted.iter().any(|wanted| differ(&found, wanted, path).is_empty());
                        assert!(good, "{at}, {when}:\n{}", differ(&found, wanted[0], path));
                    };
                    if result.as_ref().err().is_none_or(|error| error.outcome() != Outcome::Undecided) {
                        check("at once");
                    }
                    drop(tree);
                    check("closed");
                    let tree = open(&sim);
                    check("reopened");
                    assert_eq!(tree.recovery().pending().count(), 0, "{at}: {}", tree.recovery());
                }
            }
        }
    }
    assert!(met > 500, "{met}");
}
