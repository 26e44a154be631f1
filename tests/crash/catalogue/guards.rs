//! Guards inside guards, and beside commits.

use treewal::{Durability, Guard, GuardOptions, Tree};
use treewal_vfs::sim::{SimDisk, seed_random};

use super::{run, said};
use crate::count::{is_mine, say_total};
use crate::judge::{Dump, Expected, Lasting, dump};
use crate::rig::{Case, Plan, prepare};
use crate::workloads::{Body, Step, guarded, overwrite, tree_of_files, vandalise};

const PATHS: [&str; 5] = ["a", "b", "d", "large", "fresh"];

fn end(guard: Guard, commits: bool) -> bool {
    if commits { guard.commit().is_ok() } else { guard.rollback().is_ok() }
}

/// A guard with another in it; each is committed or rolled back.
fn nested(tree: &Tree, disk: &SimDisk, outer_commits: bool, inner_commits: bool) -> bool {
    let Ok(outer) = tree.guard(PATHS) else { return false };
    if overwrite(disk, "a", b"before the inner one").is_err() {
        return false;
    }
    let Ok(inner) = outer.guard(["b", "d", "large"]) else { return false };
    let inside = vandalise_inside(disk).is_ok() && end(inner, inner_commits);
    inside && overwrite(disk, "b", b"after the inner one").is_ok() && end(outer, outer_commits)
}

fn vandalise_inside(disk: &SimDisk) -> std::io::Result<()> {
    overwrite(disk, "d/x", b"in place, and longer than it was")?;
    overwrite(disk, "large", b"in place, the head only")?;
    overwrite(disk, "b", b"inside")
}

#[test]
fn guards_inside_guards_end_with_the_outer_one() {
    let write: fn() -> Step = || Box::new(|tree, _| tree.transaction(|tx| tx.write("a", "committed")).is_ok());
    let both = |outer: bool, inner: bool| -> Step { Box::new(move |tree, disk| nested(tree, disk, outer, inner)) };
    let workloads = vec![
        guarded("nested, both committed", vec![both(true, true), write()]),
        guarded("nested, the inner one rolled back", vec![write(), both(true, false)]),
        guarded("nested, the outer one rolled back", vec![write(), both(false, true)]),
        guarded("nested, both rolled back", vec![both(false, false), write()]),
    ];
    run(workloads, Plan::new(Durability::Journal).shallow());
}

const BESIDE: Body = |tx| {
    tx.write("log", "beside the guard")?;
    tx.write("e/new", "new")?;
    tx.remove_file("e/z")
};
const AFTER: Body = |tx| tx.write("log.1", "after the guard");

/// Acknowledges the commit beside the guard, the end of the guard, and the commit after it.
fn beside(disk: &SimDisk, plan: Plan, commits: bool) -> usize {
    let Ok(tree) = plan.open(disk) else { return 0 };
    let Ok(guard) = tree.guard(PATHS) else { return 0 };
    if overwrite(disk, "a", b"in place").is_err() || tree.transaction(BESIDE).is_err() {
        return 0;
    }
    // Nobody settles while a guard goes on: the journal would forget it.
    drop(tree.checkpoint_beside());
    if vandalise(disk).is_err() || !end(guard, commits) {
        return 1;
    }
    if tree.transaction(AFTER).is_ok() { 3 } else { 2 }
}

#[test]
fn a_guard_and_what_is_committed_beside_it_survive_each_for_itself() {
    for (name, commits) in [("beside a guard that is committed", true), ("beside one that is rolled back", false)] {
        if !is_mine(name) {
            continue;
        }
        let plan = Plan::new(Durability::Journal).shallow().with_a_young_root();
        let base = prepare(tree_of_files, plan);
        seed_random(Some(1));
        let disk = base.remount();
        let mut states: Vec<Dump> = vec![dump(&disk)];
        let tree = plan.open(&disk).unwrap();
        tree.transaction(BESIDE).unwrap();
        states.push(dump(&disk));
        if commits {
            vandalise(&disk).unwrap();
        }
        states.push(dump(&disk));
        tree.transaction(AFTER).unwrap();
        states.push(dump(&disk));
        drop(tree);
        let run = |disk: &SimDisk, cut: u64| {
            disk.cut_at(Some(cut));
            beside(disk, plan, commits)
        };
        let whole = base.remount();
        assert_eq!(run(&whole, u64::MAX), 3, "{name}");
        assert_eq!(dump(&whole), states[3], "{name}");
        let expected = |acknowledged| Expected::after(&states, acknowledged);
        let lasting = Lasting::Guarded;
        let case = Case { name, plan, base: &base, run: &run, all: 3, expected: &expected, lasting, also: None };
        let count = case.explore();
        said(name, plan, &count);
        say_total();
    }
}

/// What the crashes beside this one are compared with: a rollback brings back every time as well, also of a directory above what
/// was guarded, whose names have only come and gone by the rollback itself.
#[test]
fn a_rollback_brings_back_the_times_of_everything() {
    let guards: [(&[&str], bool); 4] =
        [(&["."], false), (&["a", "d", "large"], false), (&["d/x"], false), (&["d/x", "large"], true)];
    for (paths, exchanges) in guards {
        let plan = Plan::new(Durability::Journal);
        let plan = if paths == ["."] { plan } else { plan.with_a_young_root() };
        let disk = prepare(tree_of_files, plan);
        let before = dump(&disk);
        let tree = plan.open(&disk).unwrap();
        let guard = tree.guard_with(GuardOptions::new().exchange(exchanges), paths).unwrap();
        overwrite(&disk, "d/x", b"in place").unwrap();
        if paths != ["d/x"] {
            overwrite(&disk, "large", b"in place, the head only").unwrap();
        }
        guard.rollback().unwrap();
        drop(tree);
        assert_eq!(dump(&disk), before, "{paths:?}, exchange {exchanges}");
        assert!(before.values().filter(|seen| seen.set.is_some()).count() > 10, "times are compared");
    }
}
