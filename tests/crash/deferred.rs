//! Commits of all levels on one tree. A kill takes none of them, nor leaves one in part. A power loss may leave a part of the
//! deferred ones that nothing has made durable since, in the paths that they wrote and nowhere else; what is durable stays.

use std::collections::BTreeSet;

use treewal::Durability::{self, Deferred, Journal};
use treewal::{RecoveryReport, Tree};
use treewal_recovery::redo::is_torn_form;
use treewal_vfs::sim::{Profile, SimDisk, seed_random};
use treewal_vfs::{Kind, RelPath};

use crate::count::{add_to_total, hash, is_to_recover, say_total};
use crate::judge::{Dump, Expected, Lasting, Seen, dump, is_as, is_entry_as, judge, judge_unrecovered};
use crate::recover::{crash_inside, recover_twice};
use crate::rig::{Count, Nested, Plan, outcomes, prepare};
use crate::workloads::{Body, tree_of_files};

#[derive(Clone, Copy)]
enum Work {
    Commit(Durability, Body),
    Sync,
    Checkpoint,
    CheckpointBeside,
    /// A commit by a handle of its own, as another process would make it.
    Elsewhere(Body),
}

/// What is done, and whether it and all before it survive a power loss from then on.
struct Step(Work, bool);

const LOST: bool = false;
const KEPT: bool = true;

fn deferred(body: Body, kept: bool) -> Step {
    Step(Work::Commit(Deferred, body), kept)
}

fn journal(body: Body) -> Step {
    Step(Work::Commit(Journal, body), KEPT)
}

fn workloads() -> Vec<(&'static str, Vec<Step>)> {
    let a: [Body; 3] = [|tx| tx.write("a", "new a"), |tx| tx.write("a", "newer a"), |tx| tx.write("a", "newest a")];
    let b: Body = |tx| tx.write("b", "new b");
    let several: Body = |tx| {
        tx.write("a", "new a, and longer than a sector ".repeat(30))?;
        tx.write("d/new", "new")?;
        tx.remove_file("d/y")
    };
    vec![
        ("deferred alone", vec![deferred(several, LOST), deferred(a[1], LOST), deferred(b, LOST)]),
        ("a durable one after them", vec![deferred(several, LOST), deferred(a[1], LOST), journal(b)]),
        ("over a durable one", vec![journal(a[0]), deferred(a[1], KEPT), deferred(b, LOST), deferred(a[2], KEPT)]),
        ("over what has become durable", vec![deferred(a[0], LOST), Step(Work::Sync, KEPT), deferred(a[1], KEPT)]),
        (
            "over what is settled",
            vec![journal(a[0]), Step(Work::Checkpoint, KEPT), deferred(a[1], LOST), deferred(a[2], LOST)],
        ),
        (
            "a checkpoint beside",
            vec![deferred(several, LOST), Step(Work::CheckpointBeside, KEPT), deferred(a[1], LOST), journal(b)],
        ),
        (
            "another process takes over",
            vec![deferred(a[0], LOST), Step(Work::Elsewhere(b), KEPT), deferred(a[1], LOST)],
        ),
    ]
}

fn shapes() -> Vec<(&'static str, Vec<Step>)> {
    let b: Body = |tx| tx.write("b", "new b");
    vec![
        (
            "into a new directory of a durable one",
            vec![
                journal(|tx| {
                    tx.create_dir("n")?;
                    tx.write("n/x", "x")
                }),
                deferred(|tx| tx.write("n/y", "y"), LOST),
                deferred(|tx| tx.write("n/x", "new x"), KEPT),
            ],
        ),
        (
            "a directory goes that a durable one wrote into",
            vec![
                journal(|tx| tx.write("d/x", "new x")),
                deferred(|tx| tx.remove_dir_all("d"), KEPT),
                deferred(b, LOST),
            ],
        ),
        (
            "where a durable one removed something",
            vec![journal(|tx| tx.remove_file("a")), deferred(|tx| tx.write("a", "back"), KEPT), deferred(b, LOST)],
        ),
        (
            "attributes over attributes",
            vec![
                journal(|tx| {
                    use std::os::unix::fs::PermissionsExt;
                    tx.set_permissions("a", std::fs::Permissions::from_mode(0o600))
                }),
                deferred(
                    |tx| {
                        use std::os::unix::fs::PermissionsExt;
                        tx.set_permissions("a", std::fs::Permissions::from_mode(0o640))
                    },
                    KEPT,
                ),
            ],
        ),
    ]
}

/// What is more than files in the place of files.
fn structures() -> Vec<(&'static str, Vec<Step>)> {
    let b: Body = |tx| tx.write("b", "new b");
    vec![
        (
            "large contents, then a durable one",
            vec![
                deferred(|tx| tx.write("large", vec![b'N'; 9001]), LOST),
                deferred(b, LOST),
                journal(|tx| tx.write("n", "n")),
            ],
        ),
        (
            "a directory in the place of another, then a durable one",
            vec![
                deferred(
                    |tx| {
                        tx.remove_dir_all("d")?;
                        tx.create_dir("d")?;
                        tx.write("d/z", "new z")
                    },
                    LOST,
                ),
                journal(b),
            ],
        ),
        (
            "entries move",
            vec![
                deferred(b, LOST),
                deferred(
                    |tx| {
                        tx.rename("log.1", "log.2")?;
                        tx.rename("log", "log.1")?;
                        tx.rename("d", "moved")?;
                        tx.write("log", "tomorrow")
                    },
                    KEPT,
                ),
                deferred(|tx| tx.write("moved/x", "1"), LOST),
            ],
        ),
    ]
}

#[test]
fn a_power_loss_takes_deferred_commits_and_nothing_else() {
    for (name, steps) in workloads() {
        explore(name, &steps, Plan::new(Journal));
    }
}

#[test]
fn whatever_a_deferred_commit_replaces() {
    for (name, steps) in shapes().into_iter().chain(structures()) {
        explore(name, &steps, Plan::new(Journal));
    }
}

/// What is synced with the commit is so for everybody, also in a directory that no sync has covered before.
#[test]
fn a_synced_commit_shows_before_recovery_whatever_came_before_it() {
    let replaced: Body = |tx| {
        tx.remove_dir_all("d")?;
        tx.create_dir("d")?;
        tx.create_dir("d/e")?;
        tx.write("d/x", "of the new directory")
    };
    let synced: [(Body, Option<&[u8]>); 3] = [
        (|tx| tx.write("d/x", "new"), Some(b"new")),
        // Nothing is new here, and nothing has to be synced before the renames.
        (|tx| tx.remove_file("d/x"), None),
        (|tx| tx.remove_dir_all("d"), None),
    ];
    for (n, (body, wanted)) in synced.into_iter().enumerate() {
        for level in [Deferred, Journal] {
            let plan = Plan::new(level);
            let disk = prepare(tree_of_files, plan);
            let tree = plan.open(&disk).unwrap();
            tree.transaction(replaced).unwrap();
            let mut tx = tree.begin();
            tx.set_durability(Durability::Tree);
            body(&mut tx).unwrap();
            tx.commit().unwrap();
            std::mem::forget(tree);
            for profile in [Profile::Strict, Profile::Ordered] {
                for outcome in outcomes(&disk, profile, plan, 1) {
                    let found = dump(&disk.after(&outcome));
                    let seen = found.get(&RelPath::new("d/x").unwrap()).map(|seen| seen.contents.as_slice());
                    assert_eq!(seen, wanted, "{n}, {level:?}, {profile:?}: {}", disk.describe(&outcome));
                }
            }
        }
    }
}

impl Step {
    fn take(&self, tree: &Tree, disk: &SimDisk, plan: Plan) -> bool {
        match self.0 {
            Work::Commit(level, body) => {
                let leveled = |tx: &mut treewal::Transaction| {
                    tx.set_durability(level);
                    body(tx)
                };
                tree.transaction(leveled).is_ok()
            }
            Work::Sync => tree.sync().is_ok(),
            Work::Checkpoint => tree.checkpoint().is_ok(),
            Work::CheckpointBeside => tree.checkpoint_beside().is_ok(),
            Work::Elsewhere(body) => plan.open(disk).and_then(|other| other.transaction(body)).is_ok(),
        }
    }
}

fn explore(name: &str, steps: &[Step], plan: Plan) {
    let base = prepare(tree_of_files, plan);
    let disk = base.remount();
    let tree = plan.open(&disk).unwrap();
    let mut states = vec![dump(&disk)];
    for (n, step) in steps.iter().enumerate() {
        assert!(step.take(&tree, &disk, plan), "{name}: step {n} must succeed on a whole disk");
        states.push(dump(&disk));
    }
    drop(tree);
    let mut count = Count::default();
    for cut in 1.. {
        let disk = base.remount();
        disk.cut_at(Some(cut));
        seed_random(Some(1));
        let acknowledged = plan.open(&disk).map_or(0, |tree| {
            let done = steps.iter().take_while(|step| step.take(&tree, &disk, plan)).count();
            // Closing the tree makes a checkpoint, and is cut as well.
            drop(tree);
            done
        });
        // Where it ends before that, the power goes once it is closed.
        let is_whole = !disk.is_off();
        assert!(!is_whole || acknowledged == steps.len(), "{name}: {acknowledged} steps on a whole disk");
        count.cuts += 1;
        count.acknowledged += u64::from(acknowledged == steps.len());
        let at = || format!("{name}: cut before call {cut}");
        let measure = hash(&(name, acknowledged));
        let expected = Expected::after(&states, acknowledged);
        let killed =
            |disk: &SimDisk, report: &RecoveryReport, at: &dyn Fn() -> String| judge(disk, &expected, report, at);
        let kept = disk.after(&disk.outcomes(Profile::Strict).everything());
        let work = recover_twice(&kept.remount(), plan, 1, &killed, &|| format!("{}, killed", at()));
        let wanted = Wanted::new(&states, steps, acknowledged);
        let lost = |disk: &SimDisk, report: &RecoveryReport, at: &dyn Fn() -> String| wanted.judge(disk, report, at);
        // After a loss of power, below, each cut is crashed inside.
        if cut % 3 == 0 && Nested::default().takes(work, plan, &mut count) {
            crash_inside(&kept, plan, (&lost, measure), &mut count, &|| format!("{}, killed", at()));
        }
        let mut nested = Nested::default();
        for profile in [Profile::Strict, Profile::Ordered] {
            for (n, outcome) in outcomes(&disk, profile, plan, cut).into_iter().enumerate() {
                count.states += 1;
                let at = || format!("{}, {profile:?} outcome {n}: {}", at(), disk.describe(&outcome));
                let crashed = disk.after(&outcome);
                judge_unrecovered(&crashed, &expected, (plan, Lasting::All), &at);
                if !is_to_recover(crashed.digest(), measure) {
                    continue;
                }
                count.distinct += 1;
                let work = recover_twice(&crashed.remount(), plan, 1, &lost, &at);
                if nested.takes(work, plan, &mut count) {
                    crash_inside(&crashed, plan, (&lost, measure), &mut count, &at);
                }
            }
        }
        if is_whole {
            break;
        }
    }
    count.explorations = 1;
    add_to_total(&count);
    println!("{name}: {count}");
    say_total();
    assert!(count.states > 100, "{name}: exploring next to nothing proves nothing");
    assert!(count.acknowledged > 0, "{name}: no crash comes after all of it");
    assert!(count.nested_distinct > 100, "{name}: next to nothing inside recovery");
}

/// What a power loss may lead to.
struct Wanted<'a> {
    /// As after everything that is durable, and after each of what came later.
    whole: &'a [Dump],
    /// The first of them, and those that a part of may be found.
    parts: &'a [Dump],
}

impl<'a> Wanted<'a> {
    fn new(states: &'a [Dump], steps: &[Step], acknowledged: usize) -> Self {
        let durable = steps[..acknowledged].iter().rposition(|Step(_, kept)| *kept).map_or(0, |at| at + 1);
        let lossy = acknowledged + usize::from(steps.get(acknowledged).is_some_and(|Step(_, kept)| !kept));
        let whole = &states[durable..states.len().min(acknowledged + 2)];
        Self { whole, parts: &states[durable..=lossy] }
    }

    fn judge(&self, disk: &SimDisk, report: &RecoveryReport, at: &dyn Fn() -> String) {
        let found = dump(disk);
        assert!(report.damage.is_empty(), "{}: damage reported: {report}", at());
        assert_eq!(report.pending().count(), 0, "{}: still pending: {report}", at());
        let paths: BTreeSet<&RelPath> = self.parts.iter().chain([&found]).flat_map(|state| state.keys()).collect();
        let touched: BTreeSet<&RelPath> = paths.iter().filter(|path| self.is_touched(path)).copied().collect();
        for path in report.transactions.iter().flat_map(|done| &done.superseded) {
            let path = RelPath::new(path).unwrap();
            assert!(touched.contains(&path), "{}: {path} is superseded: {report}", at());
        }
        if self.whole.iter().any(|whole| is_as(&found, whole)) {
            return;
        }
        for path in paths {
            let seen = found.get(path);
            let allowed = if touched.contains(path) {
                let old = self.parts[0].get(path);
                is_entry_as(seen, old) || self.parts[1..].iter().any(|state| is_part(seen, state.get(path)))
            } else {
                is_entry_as(seen, self.parts[0].get(path))
            };
            assert!(allowed, "{}: {path} is {seen:?}\nrecovery: {report}", at());
        }
    }

    fn is_touched(&self, path: &RelPath) -> bool {
        self.parts.iter().any(|state| state.get(path) != self.parts[0].get(path))
    }
}

/// Whether something is a version of an entry, or a form of it that a power loss tore.
fn is_part(seen: Option<&Seen>, version: Option<&Seen>) -> bool {
    match (seen, version) {
        (None, None) => true,
        (Some(seen), Some(version)) if seen.kind == version.kind => {
            let torn = seen.kind == Kind::File && is_torn_form(&seen.contents, &version.contents);
            torn || seen.contents == version.contents
        }
        _ => false,
    }
}
