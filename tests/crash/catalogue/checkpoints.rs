//! Checkpoints at each place: asked for, beside commits, due by size, due by age, and when the last handle closes.

use std::time::Duration;

use treewal::{Durability, Tree};
use treewal_vfs::sim::SimDisk;

use super::run;
use crate::judge::Lasting;
use crate::rig::Plan;
use crate::workloads::{Body, Step, Workload, tree_of_files};

fn commit(body: Body) -> Step {
    Box::new(move |tree, _| tree.transaction(body).is_ok())
}

fn asked() -> Step {
    Box::new(|tree: &Tree, _: &SimDisk| tree.checkpoint().is_ok())
}

fn beside() -> Step {
    Box::new(|tree: &Tree, _: &SimDisk| tree.checkpoint_beside().is_ok())
}

const SMALL: Body = |tx| {
    tx.write("a", "new a")?;
    tx.write("d/new", "new")?;
    tx.remove_file("b")
};
const LARGE: Body = |tx| {
    tx.write("large", vec![b'N'; 9001])?;
    tx.write("d/large", vec![b'M'; 5000])
};
const MOVES: Body = |tx| {
    tx.rename("d", "moved")?;
    tx.write("moved/x", "new x")
};
const AGAIN: Body = |tx| {
    tx.write("a", "newer a")?;
    tx.write("large", vec![b'O'; 7000])
};
/// Sixteen of these fill a segment.
const FILL: Body = |tx| (0..8).try_for_each(|n| tx.write(format!("e/{n}"), vec![b'f'; 4000]));

fn workload(name: &'static str, steps: Vec<Step>) -> Workload {
    Workload { name, prepare: tree_of_files, steps, lasting: Lasting::All, also: None }
}

fn of_commits(name: &'static str, bodies: &[Body]) -> Workload {
    workload(name, bodies.iter().copied().map(commit).collect())
}

#[test]
fn checkpoints_that_are_asked_for_forget_nothing() {
    let plan = Plan::new(Durability::Journal).shallow();
    let steps = || vec![commit(SMALL), asked(), commit(LARGE), commit(AGAIN), beside(), commit(MOVES), asked()];
    run(vec![workload("checkpoints on request and beside", steps())], plan);
    run(vec![workload("checkpoints on request, of everything", steps())], plan.synced_whole());
    let synced: Step = Box::new(|tree, _| tree.sync().is_ok());
    run(vec![workload("a sync between", vec![commit(LARGE), synced, commit(AGAIN), commit(SMALL)])], plan);
}

#[test]
fn checkpoints_that_are_due_forget_nothing() {
    let plan = Plan::new(Durability::Journal).shallow();
    let sized = || vec![of_commits("due by size", &[FILL, SMALL, FILL, LARGE, FILL, AGAIN])];
    run(sized(), plan.due_after_bytes(32 << 10));
    run(sized(), plan.due_after_bytes(32 << 10).synced_whole());
    let aged = vec![of_commits("due by age", &[SMALL, LARGE, MOVES, AGAIN])];
    run(aged, plan.due_after(Duration::ZERO));
}
