//! A catalogue of everything that a tree is asked to do. Here each operation: alone, and all pairs, in one transaction and in two
//! that follow each other. In the modules below it what takes more: protocols, checkpoints, snapshots, guards in guards and
//! beside commits, what is owed and in quarantine.
//!
//! A run takes a few of the pairs; with `TREEWAL_CRASH_PAIRS=all` it takes all of them, or with a number one in so many. With
//! `TREEWAL_CRASH_SHARD=3/8` it explores the third of eight shares of the catalogue.

mod checkpoints;
mod guards;
mod kinds;
mod owed;
mod protocols;
mod snapshots;

use std::fs::Permissions;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use treewal::{Durability, Publish};

use crate::count::{is_mine, is_share, say_total};
use crate::entries::long_gone;
use crate::judge::Lasting;
use crate::rig::{Count, Plan, Renames, explore, prepare};
use crate::workloads::{Body, Step, Workload, sequence, tree_of_files};

/// Each with a second target, so that a pair of one operation meets itself on the same path and on another.
const OPERATIONS: [(&str, Body); 28] = [
    ("write over", |tx| tx.write("a", "new a, and longer than a sector ".repeat(20))),
    ("write new", |tx| tx.write("d/n", "new")),
    ("write over, with a time of long ago", |tx| {
        tx.write("a", "restored")?;
        tx.set_times("a", long_gone(5))
    }),
    ("write the same contents over, with attributes", |tx| {
        tx.write("a", "old a")?;
        tx.set_permissions("a", Permissions::from_mode(0o640))?;
        tx.set_times("a", long_gone(6))?;
        tx.set_xattr("a", "user.x", "same")
    }),
    ("write large over", |tx| tx.write("large", vec![b'N'; 9001])),
    ("write large new", |tx| tx.write("d/large", vec![b'M'; 5000])),
    ("create as a stream", |tx| {
        let mut file = tx.create("b")?;
        file.write_all(&[b'S'; 3000]).and_then(|()| file.write_all(b"end")).map_err(|_| treewal::Error::Poisoned)
    }),
    ("append", |tx| tx.append("log", "a line\n")),
    ("update in part", |tx| {
        tx.update("large", |file| file.seek(SeekFrom::Start(4000)).and_then(|_| file.write_all(b"a part")))
    }),
    ("copy", |tx| tx.copy("a", "d/copy").map(drop)),
    ("copy over", |tx| tx.copy("large", "b").map(drop)),
    ("create a directory", |tx| tx.create_dir("n")),
    ("create directories", |tx| tx.create_dir_all("n/m/o")),
    ("symlink", |tx| tx.symlink("a", "d/link")),
    ("hard link", |tx| tx.hard_link("a", "e/a too")),
    ("rename a file", |tx| tx.rename("d/x", "moved x")),
    ("rename over a file", |tx| tx.rename("log", "log.1")),
    ("rename a directory", |tx| tx.rename("d", "moved")),
    ("exchange files", |tx| tx.exchange("a", "b")),
    ("exchange directories", |tx| tx.exchange("d", "e")),
    ("exchange a file with a directory", |tx| tx.exchange("log.1", "e")),
    ("remove a file", |tx| tx.remove_file("d/y")),
    ("remove a directory, emptied", |tx| {
        tx.remove_file("e/z")?;
        tx.remove_dir("e")
    }),
    ("remove a directory with all in it", |tx| tx.remove_dir_all("d")),
    ("permissions", |tx| tx.set_permissions("a", Permissions::from_mode(0o600))),
    ("times, owner and an attribute", |tx| {
        tx.set_times("b", long_gone(1))?;
        tx.chown("b", Some(7), Some(8))?;
        tx.set_xattr("d/x", "user.x", "value")
    }),
    ("publish by exchange", |tx| {
        tx.create_dir("next")?;
        tx.write("next/x", "published")?;
        tx.publish("next", "d")
    }),
    ("publish by merging", |tx| {
        tx.create_dir("next")?;
        tx.write("next/z", "merged")?;
        tx.write("next/zz", "added")?;
        tx.publish_with(Publish::merge().keep_unmanaged(true), "next", "e")?;
        tx.remove_dir_all("next")
    }),
];

/// Of how many pairs one is taken: by default so many that a run is short.
pub(crate) fn every() -> usize {
    match std::env::var("TREEWAL_CRASH_PAIRS").ok().as_deref() {
        Some("all") => 1,
        Some(number) => number.parse().unwrap(),
        None => 67,
    }
}

/// A directory that takes the place of `d`.
fn lasting(name: &str) -> Lasting {
    if name == "publish by exchange" { Lasting::NotInside("d") } else { Lasting::All }
}

/// What is merged into `e` is merged into another directory where one of these took its place, or removed it, in the same
/// transaction.
fn lasting_in_one(first: &str, second: &str) -> Lasting {
    let replaces_e = ["exchange directories", "remove a directory, emptied"].contains(&first);
    match (lasting(first), lasting(second)) {
        (Lasting::All, Lasting::All) if replaces_e && second == "publish by merging" => Lasting::NotInside("e"),
        (Lasting::All, second) => second,
        (first, _) => first,
    }
}

/// Explores what must hold, one after another, and goes on behind what does not, to find all of it.
fn run(workloads: Vec<Workload>, plan: Plan) -> Count {
    let (mut total, mut failed) = (Count::default(), Vec::new());
    for workload in workloads.into_iter().filter(|workload| is_mine(workload.name)) {
        let explored = || {
            let count = explore(&workload, plan);
            said(workload.name, plan, &count);
            count
        };
        match catch_unwind(AssertUnwindSafe(explored)) {
            Ok(count) => total.add(&count),
            Err(_) => failed.push(workload.name),
        }
    }
    say_total();
    assert_eq!(failed, Vec::<&str>::new(), "these failed, as said above");
    total
}

fn said(name: &str, plan: Plan, count: &Count) {
    println!("{}, {name}: {count}", plan.said());
    assert!(count.states > 50, "{name}: exploring next to nothing proves nothing");
    // A recovery has nothing to do with what somebody throws away.
    let is_inside = plan.inside.is_on && name != "thrown away";
    assert!(count.nested_distinct > 10 || !is_inside, "{name}: next to nothing inside recovery");
}

fn alone() -> Vec<Workload> {
    let alone = |(name, body): &(&'static str, Body)| Workload { lasting: lasting(name), ..sequence(name, &[*body]) };
    OPERATIONS.iter().map(alone).collect()
}

#[test]
fn each_operation_alone_survives_every_crash() {
    let total = run(alone(), Plan::new(Durability::Journal).shallow().thorough());
    println!("each operation alone: {} operations, {total}", OPERATIONS.len());
}

/// Times that are the same for all that a commit does, and new entries that are told from old ones neither by them nor by their
/// number.
#[test]
fn each_operation_alone_survives_every_crash_where_clock_and_inodes_are_coarse() {
    let plan = Plan::new(Durability::Journal).shallow().coarse().without_crashes_inside_a_short_run();
    let total = run(alone(), plan);
    println!("each operation alone, coarse: {} operations, {total}", OPERATIONS.len());
}

/// POSIX says of no crash that a rename is atomic. The new name may be there beside the old one, in the tree, the stage and the
/// journal.
#[test]
fn each_operation_alone_survives_renames_that_leave_both_names() {
    let mut total = Count::default();
    for renames in [Renames::All, Renames::NoExchange, Renames::Plain] {
        // Another name of a file is refused where there are none.
        let possible = |workload: &Workload| renames != Renames::Plain || workload.name != "hard link";
        let workloads = alone().into_iter().filter(possible).collect();
        let plan = Plan::new(Durability::Journal).shallow().on(renames).split().without_crashes_inside_a_short_run();
        total.add(&run(workloads, plan));
    }
    println!("each operation alone, renames split: {total}");
    assert!(total.split > 500 || is_share(), "{} with both names", total.split);
}

/// Without crashes inside recovery: the operations alone, the protocols, snapshots and guards have those.
#[test]
fn pairs_of_operations_survive_every_crash() {
    let plan = Plan::new(Durability::Journal).shallow().without_crashes_inside();
    let (mut total, mut failed) = (Count::default(), Vec::new());
    let (mut tried, mut refused) = (0, 0);
    let all = OPERATIONS.iter().flat_map(|first| OPERATIONS.iter().map(move |second| (first, second)));
    for (first, second) in all.step_by(every()) {
        for workload in [in_one(first.1, second.1), sequence("a pair, one after the other", &[first.1, second.1])] {
            let name = format!("{}, {}, {}", first.0, second.0, workload.name);
            if !is_mine(&name) {
                continue;
            }
            if !is_possible(&workload, plan) {
                refused += 1;
                continue;
            }
            let workload = Workload { lasting: lasting_in_one(first.0, second.0), ..workload };
            match catch_unwind(AssertUnwindSafe(|| explore(&workload, plan))) {
                Ok(count) => {
                    println!("{name}: {count}");
                    total.add(&count);
                    tried += 1;
                }
                Err(_) => failed.push(name),
            }
        }
    }
    println!("pairs: {tried} explored, {refused} refused by treewal; {total}");
    say_total();
    assert_eq!(failed, Vec::<String>::new(), "these failed, as said above");
    assert!(tried > 5 || is_share(), "{tried} pairs");
}

/// Both in one transaction.
fn in_one(first: Body, second: Body) -> Workload {
    let step: Step = Box::new(move |tree, _| tree.transaction(|tx| first(tx).and_then(|()| second(tx))).is_ok());
    Workload {
        name: "a pair, in one transaction",
        prepare: tree_of_files,
        steps: vec![step],
        lasting: Lasting::All,
        also: None,
    }
}

/// Whether the second may follow the first: what is gone cannot be renamed.
fn is_possible(workload: &Workload, plan: Plan) -> bool {
    let disk = prepare(workload.prepare, plan);
    let tree = plan.open(&disk).unwrap();
    workload.run(&tree, &disk, &mut |_| {}) == workload.steps.len()
}
