//! A catalogue of every operation: each alone, and all pairs, in one transaction and in two that follow each other.
//!
//! A run takes a few of the pairs; with `TREEWAL_CRASH_PAIRS=all` it takes all of them, or with a number one in so many.

use std::fs::Permissions;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;

use treewal::{Durability, Publish};

use crate::entries::long_gone;
use crate::rig::{Count, Plan, explore, prepare};
use crate::workloads::{Body, Workload, sequence, tree_of_files};

type Step = Box<dyn Fn(&treewal::Tree, &treewal_vfs::sim::SimDisk) -> bool>;

/// Each with a second target, so that a pair of one operation meets itself on the same path and on another.
const OPERATIONS: [(&str, Body); 26] = [
    ("write over", |tx| tx.write("a", "new a, and longer than a sector ".repeat(20))),
    ("write new", |tx| tx.write("d/n", "new")),
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
fn every() -> usize {
    match std::env::var("TREEWAL_CRASH_PAIRS").ok().as_deref() {
        Some("all") => 1,
        Some(number) => number.parse().unwrap(),
        None => 67,
    }
}

#[test]
fn each_operation_alone_survives_every_crash() {
    let mut total = Count::default();
    for (name, body) in OPERATIONS {
        let count = explore(&sequence(name, &[body]), Plan::new(Durability::Journal).shallow());
        println!("{name}: {count}");
        assert!(count.states > 50, "{name}: exploring next to nothing proves nothing");
        total.add(&count);
    }
    println!("each operation alone: {} operations, {total}", OPERATIONS.len());
}

#[test]
fn pairs_of_operations_survive_every_crash() {
    let plan = Plan::new(Durability::Journal).shallow();
    let mut total = Count::default();
    let (mut tried, mut refused) = (0, 0);
    let all = OPERATIONS.iter().flat_map(|first| OPERATIONS.iter().map(move |second| (first, second)));
    for (number, (first, second)) in all.enumerate() {
        if number % every() != 0 {
            continue;
        }
        for workload in [in_one(first.1, second.1), sequence("a pair, one after the other", &[first.1, second.1])] {
            if !is_possible(&workload, plan) {
                refused += 1;
                continue;
            }
            let count = explore(&workload, plan);
            println!("{}, {}, {}: {count}", first.0, second.0, workload.name);
            total.add(&count);
            tried += 1;
        }
    }
    println!("pairs: {tried} explored, {refused} refused by treewal; {total}");
    assert!(tried > 5, "{tried} pairs");
}

/// Both in one transaction.
fn in_one(first: Body, second: Body) -> Workload {
    let step: Step = Box::new(move |tree, _| tree.transaction(|tx| first(tx).and_then(|()| second(tx))).is_ok());
    Workload { name: "a pair, in one transaction", prepare: tree_of_files, steps: vec![step], staged: true }
}

/// Whether the second may follow the first: what is gone cannot be renamed.
fn is_possible(workload: &Workload, plan: Plan) -> bool {
    let disk = prepare(workload.prepare, plan);
    let tree = plan.open(&disk).unwrap();
    workload.run(&tree, &disk, &mut |_| {}) == workload.steps.len()
}
