//! The protocols of the two systems in docs/seeds.md, as those who move to treewal write them.

use std::ffi::OsStr;
use std::time::Duration;

use treewal::{Durability, Publish, RetryPolicy, Transaction, Tree};
use treewal_vfs::sim::{SimDisk, seed_random};
use treewal_vfs::{Disk, Open, RelPath, Rename, write_all};

use super::run;
use crate::count::{is_mine, say_total};
use crate::judge::{Dump, Expected, Lasting, dump};
use crate::rig::{Case, Plan, prepare};
use crate::workloads::{Step, Workload, overwrite, put, sequence};

/// A conversation with a file of the user's, and a base of documents with what is kept about them.
fn store(disk: &SimDisk) {
    let root = disk.open_root("/".as_ref()).unwrap();
    for dir in ["c", "documents"] {
        disk.create_dir(&root, OsStr::new(dir), 0o755).unwrap();
    }
    let documents = disk.open_dir(&root, &RelPath::new("documents").unwrap()).unwrap();
    disk.create_dir(&documents, OsStr::new("one"), 0o755).unwrap();
    for path in ["c/meta", "c/events", "c/QUERY", "documents/one/text", "index", "log"] {
        put(disk, path, format!("old {path}").as_bytes());
    }
}

fn persist(tx: &mut Transaction, how: Publish, text: &str) -> treewal::Result<()> {
    tx.create_dir("next")?;
    tx.write("next/meta", text)?;
    tx.write("next/events", vec![b'E'; 5000])?;
    tx.publish_with(how.keep_unmanaged(true), "next", "c")?;
    if tx.exists("next")? { tx.remove_dir_all("next") } else { Ok(()) }
}

/// As the first system did it: stage, the live directory aside, the stage in its place, and the clean-up.
fn stage(tx: &mut Transaction) -> treewal::Result<()> {
    tx.create_dir(".staging-c")?;
    tx.write(".staging-c/meta", "new meta")?;
    tx.write(".staging-c/events", vec![b'E'; 5000])?;
    tx.copy("c/QUERY", ".staging-c/QUERY").map(drop)
}

fn swap(tx: &mut Transaction) -> treewal::Result<()> {
    tx.rename("c", ".old-c")?;
    tx.rename(".staging-c", "c")
}

fn clean_up(tx: &mut Transaction) -> treewal::Result<()> {
    tx.remove_dir_all(".old-c")
}

const GUARDED: [&str; 4] = ["index", "index-wal", "log", "documents"];

/// What adding a document does in place, like any program: publish, index, log.
fn add(disk: &SimDisk) -> std::io::Result<()> {
    let root = disk.open_root("/".as_ref())?;
    let documents = disk.open_dir(&root, &RelPath::new("documents").unwrap())?;
    disk.create_dir(&documents, OsStr::new(".two"), 0o755)?;
    let two = disk.open_dir(&documents, &RelPath::new(".two").unwrap())?;
    let text = disk.open(&two, OsStr::new("text"), Open::CreateNew { mode: 0o644 })?;
    write_all(disk, &text, b"a document of more than one sector ".repeat(20).as_slice(), 0)?;
    disk.sync_file(&text)?;
    disk.rename(&documents, OsStr::new(".two"), &documents, OsStr::new("two"), Rename::NoReplace)?;
    let wal = disk.open(&root, OsStr::new("index-wal"), Open::Create { mode: 0o644 })?;
    write_all(disk, &wal, b"a sidecar", 0)?;
    overwrite(disk, "index", b"one, two")?;
    disk.remove_file(&root, OsStr::new("index-wal"))?;
    overwrite(disk, "log", b"old log, added two")
}

fn in_store(name: &'static str, steps: Vec<Step>) -> Workload {
    Workload { name, prepare: store, steps, lasting: Lasting::Guarded, also: None }
}

fn added(tree: &Tree, disk: &SimDisk) -> bool {
    let Ok(guard) = tree.guard(GUARDED) else { return false };
    add(disk).is_ok() && guard.commit().is_ok()
}

fn failed(tree: &Tree, disk: &SimDisk) -> bool {
    let Ok(guard) = tree.guard(GUARDED) else { return false };
    add(disk).is_ok() && guard.rollback().is_ok()
}

/// The process that adds dies, and the next one, which knows nothing of it, removes another document.
fn interrupted(tree: &Tree, disk: &SimDisk) -> bool {
    let process = disk.another_process();
    let Ok(other) = Plan::new(Durability::Journal).open(&process) else { return false };
    let Ok(guard) = other.guard(GUARDED) else { return false };
    let begun = add(&process).is_ok();
    drop(process.kill());
    drop((guard, other));
    let remove = |tx: &mut Transaction| {
        tx.remove_dir_all("documents/one")?;
        tx.write("index", "none")
    };
    // What the add had changed is back by the time this one is to commit: it looked before that, and looks again.
    let at_once = RetryPolicy::new().pause_min(Duration::ZERO).pause_max(Duration::ZERO);
    begun && tree.transaction_with(at_once, remove).is_ok()
}

fn protocols() -> Vec<Workload> {
    let write: Step = Box::new(|tree, _| tree.transaction(|tx| tx.append("log", ", and more")).is_ok());
    vec![
        // What it keeps follows the exchange: the guarantees name that gap.
        Workload {
            prepare: store,
            lasting: Lasting::NotInside("c"),
            ..sequence(
                "rs2: publish by exchange, and keep the user's files",
                &[|tx| persist(tx, Publish::exchange(), "new"), |tx| persist(tx, Publish::exchange(), "newer")],
            )
        },
        Workload {
            prepare: store,
            ..sequence(
                "rs10: publish by merging, and keep the user's files",
                &[|tx| persist(tx, Publish::merge(), "new"), |tx| persist(tx, Publish::merge(), "newer")],
            )
        },
        Workload {
            prepare: store,
            ..sequence(
                "rs6: stage, swap and clean up in one transaction",
                &[|tx| {
                    stage(tx)?;
                    swap(tx)?;
                    clean_up(tx)
                }],
            )
        },
        Workload {
            prepare: store,
            ..sequence("rs2: stage, swap and clean up in one after the other", &[stage, swap, clean_up])
        },
        in_store("ro9: a document is added under a guard", vec![Box::new(added), write]),
        in_store("ro7: adding a document fails, and then succeeds", vec![Box::new(failed), Box::new(added)]),
        in_store("ro22: an interrupted add, and the removal of another", vec![Box::new(interrupted)]),
    ]
}

#[test]
fn the_protocols_of_both_systems_survive_every_crash() {
    for durability in [Durability::Journal, Durability::Tree] {
        run(protocols(), Plan::new(durability).shallow().crashed_inside_at_one_level());
    }
}

#[test]
fn the_protocols_survive_every_crash_where_clock_and_inodes_are_coarse() {
    run(protocols(), Plan::new(Durability::Journal).shallow().coarse().without_crashes_inside_a_short_run());
}

const ITEMS: [&str; 3] = ["first", "second", "third"];

/// All are prepared before the first is committed; the second fails, and is left out.
fn in_order(tree: &Tree) -> usize {
    let prepared = ITEMS.map(|item| {
        let mut tx = tree.begin();
        let made = tx.create_dir(format!("documents/{item}"));
        let made = made.and_then(|()| tx.write(format!("documents/{item}/text"), vec![b'T'; 5000]));
        made.map(|()| tx)
    });
    let mut done = 0;
    for (item, tx) in ITEMS.iter().zip(prepared) {
        let Ok(mut tx) = tx else { return done };
        if *item == "second" {
            tx.rollback();
        } else if tx.write("index", *item).and_then(|()| tx.append("log", item)).is_err() || tx.commit().is_err() {
            return done;
        } else {
            done += 1;
        }
    }
    done
}

#[test]
fn what_is_prepared_at_once_and_committed_in_order_survives_every_crash_in_order() {
    let name = "ro16, ro17: prepared at once, committed in order, one of them left out";
    if !is_mine(name) {
        return;
    }
    let plan = Plan::new(Durability::Journal).shallow();
    let base = prepare(store, plan);
    seed_random(Some(1));
    let disk = base.remount();
    let mut states: Vec<Dump> = vec![dump(&disk)];
    let tree = plan.open(&disk).unwrap();
    for item in ["first", "third"] {
        let add = |tx: &mut Transaction| {
            tx.create_dir(format!("documents/{item}"))?;
            tx.write(format!("documents/{item}/text"), vec![b'T'; 5000])?;
            tx.write("index", item)?;
            tx.append("log", item)
        };
        tree.transaction(add).unwrap();
        states.push(dump(&disk));
    }
    let run = |disk: &SimDisk, cut: u64| {
        disk.cut_at(Some(cut));
        plan.open(disk).map_or(0, |tree| in_order(&tree))
    };
    let whole = base.remount();
    assert_eq!(run(&whole, u64::MAX), 2);
    assert_eq!(dump(&whole), states[2]);
    let expected = |acknowledged| Expected::after(&states, acknowledged);
    let lasting = Lasting::All;
    let case = Case { name, plan, base: &base, run: &run, all: 2, expected: &expected, lasting, also: None };
    let count = case.explore();
    super::said(name, plan, &count);
    say_total();
}
