//! Snapshots, as they are taken, restored and removed.

use std::path::Path;
use std::sync::OnceLock;

use treewal::{Durability, Sharing, SnapshotOptions, Tree};
use treewal_vfs::sim::SimDisk;

use super::run;
use crate::judge::{Dump, Lasting, dump};
use crate::rig::{Plan, prepare};
use crate::workloads::{Body, Step, Workload, tree_of_files};

fn commit(body: Body) -> Step {
    Box::new(move |tree, _| tree.transaction(body).is_ok())
}

fn take(sharing: Sharing) -> Step {
    Box::new(move |tree, _| tree.snapshot_with(SnapshotOptions::new().sharing(sharing), "one").is_ok())
}

fn restored(tree: &Tree, _: &SimDisk) -> bool {
    tree.find_snapshot("one").and_then(|one| tree.restore(&one)).is_ok()
}

fn restored_in_part(tree: &Tree, _: &SimDisk) -> bool {
    tree.find_snapshot("one").and_then(|one| tree.restore_paths(&one, ["d", "a"])).is_ok()
}

const BEFORE: Body = |tx| tx.write("a", "a that is kept");
const CHANGE: Body = |tx| {
    tx.write("a", "a that is lost")?;
    tx.write("large", vec![b'N'; 6000])?;
    tx.remove_dir_all("d")?;
    tx.write("d", "a file now")?;
    tx.create_dir("fresh")?;
    tx.write("fresh/f", "f")
};

/// Taken by the second step, removed by the sixth.
fn life(name: &'static str, sharing: Sharing) -> Workload {
    let removed: Step = Box::new(|tree, _| tree.remove_snapshot("one").is_ok());
    let steps = vec![
        commit(BEFORE),
        take(sharing),
        commit(CHANGE),
        Box::new(restored) as Step,
        commit(CHANGE),
        removed,
        commit(|tx| tx.write("b", "after it")),
    ];
    Workload { name, prepare: tree_of_files, steps, lasting: Lasting::All, also: Some(is_kept) }
}

/// Restored in part, by a transaction that others follow.
fn in_part() -> Workload {
    let steps = vec![
        commit(BEFORE),
        take(Sharing::Auto),
        commit(CHANGE),
        Box::new(restored_in_part) as Step,
        commit(|tx| tx.write("d/x", "after it")),
    ];
    Workload {
        name: "a snapshot, restored in part",
        prepare: tree_of_files,
        steps,
        lasting: Lasting::All,
        also: Some(is_kept),
    }
}

/// The tree when the snapshot was taken.
fn kept() -> &'static Dump {
    static KEPT: OnceLock<Dump> = OnceLock::new();
    KEPT.get_or_init(|| {
        let plan = Plan::new(Durability::Journal);
        let disk = prepare(tree_of_files, plan);
        plan.open(&disk).unwrap().transaction(BEFORE).unwrap();
        dump(&disk)
    })
}

/// A snapshot is there wholly or not at all; it is there once that was acknowledged, and gone once that was.
fn is_kept(disk: &SimDisk, plan: Plan, acknowledged: usize, at: &dyn Fn() -> String) {
    let disk = disk.remount();
    let tree = plan.open(&disk).unwrap();
    let snapshots = tree.snapshots().unwrap();
    let (must, may) = (matches!(acknowledged, 2..=4), matches!(acknowledged, 1..=5));
    assert!(!snapshots.is_empty() || !must, "{}: the snapshot is gone", at());
    assert!(snapshots.is_empty() || may, "{}: there is a snapshot", at());
    let [one] = snapshots.as_slice() else { return };
    assert_eq!(one.verify().unwrap(), Vec::<std::path::PathBuf>::new(), "{}", at());
    assert_eq!(one.read(Path::new("a")).unwrap(), b"a that is kept", "{}", at());
    tree.restore(one).unwrap_or_else(|error| panic!("{}: cannot be restored: {error}", at()));
    assert_eq!(&dump(&disk), kept(), "{}: something else was restored", at());
}

#[test]
fn snapshots_survive_every_crash_of_their_lives() {
    let lives = vec![
        life("the life of a snapshot, reflinked", Sharing::Reflink),
        life("the life of a snapshot, linked", Sharing::HardLink),
        life("the life of a snapshot, copied", Sharing::Copy),
        in_part(),
    ];
    run(lives, Plan::new(Durability::Journal).shallow());
}
