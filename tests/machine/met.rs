//! A commit of another thread that meets a guard: it waits for its end, or is refused.

use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use treewal::Error;
use treewal_vfs::{Kind, RelPath};

use crate::call::{Call, stage};
use crate::guards::Guarding;
use crate::memory::Memory;
use crate::quarantine::same_body;
use crate::step::{Crash, End, Way};
use crate::transactions::{Done, Plan, changed};
use crate::world::{Checked, State, World, must};

/// Who waits longer than this waits for ever.
const LONGEST: Duration = Duration::from_secs(5);

impl State {
    /// As it is with what a transaction changes, which began before others changed something else.
    pub(crate) fn with(&self, changes: &[RelPath], before: &Memory, after: &Memory) -> Self {
        let mut merged = self.clone();
        for path in changes {
            match after.at(path) {
                Some(entry) if entry.kind == Kind::Dir && before.names.get(path) != after.names.get(path) => {
                    merged.memory.cut(path);
                    for name in after.beneath(path) {
                        merged.memory.put(&name, after.nodes[&after.names[&name]].clone());
                    }
                }
                Some(entry) => {
                    if entry.kind != Kind::Dir {
                        merged.memory.cut(path);
                    }
                    merged.memory.put(path, entry.clone());
                }
                None => drop(merged.memory.cut(path)),
            }
        }
        merged
    }

    /// The first guard that is in the way of what touches these paths.
    fn in_the_way(&self, touched: &[RelPath]) -> Option<&Guarding> {
        self.guards.iter().find(|guard| touched.iter().any(|path| guard.scope.meets(path)))
    }
}

fn joined(thread: JoinHandle<treewal::Result<()>>) -> Checked<treewal::Result<()>> {
    let begun = Instant::now();
    while !thread.is_finished() {
        must(begun.elapsed() < LONGEST, || "a commit waits for a guard that has ended".to_owned())?;
        sleep(Duration::from_micros(50));
    }
    Ok(thread.join().unwrap())
}

impl World {
    pub(crate) fn plan_met(&self, ops: &[Call]) -> Option<Plan> {
        self.holder()?;
        let plan = Plan { linked: None, ..self.plan_commit(Way::Begin, ops) };
        Some(plan).filter(|plan| !self.moves_what_is_kept_by_name(&plan.after.memory))
    }

    /// Commits it in another thread, and ends each guard that it waits for.
    pub(crate) fn meet(&mut self, who: usize, plan: &Plan, end: End, crash: Option<(u64, &Crash)>) -> Checked<Done> {
        let start = self.state.clone();
        let mut tx = self.handles[who].as_ref().unwrap().tree.begin();
        tx.set_durability(treewal::Durability::Journal);
        stage(&mut tx, &plan.ops)?;
        let changes = changed(&tx);
        let touched: Vec<RelPath> = changes.iter().chain(&plan.relied).cloned().collect();
        if changes.is_empty() || start.in_the_way(&touched).is_none() {
            return Ok(Done { states: vec![start], ..Done::default() });
        }
        self.arm(who, crash);
        let commit = spawn(move || tx.commit().map(drop));
        let (mut states, mut error) = (vec![start.clone()], None);
        while let Some(guard) = self.state.in_the_way(&touched).filter(|guard| guard.wait && error.is_none()) {
            let id = guard.id;
            if crash.is_none() {
                sleep(Duration::from_micros(200));
                must(!commit.is_finished(), || "does not wait for the end of a guard".to_owned())?;
            }
            let after = self.state.ended(id, end == End::Commit);
            error = self.end_guard(who, id, end, crash.is_some())?.error;
            states.push(after.clone());
            self.state = after;
            self.counts.add("waited for a guard");
        }
        if error.is_some() {
            // Those that are left go with the handle, and whoever waits for them is told.
            self.handles[who].as_mut().unwrap().guards.clear();
        }
        let result = joined(commit)?;
        let now = std::mem::replace(&mut self.state, start);
        let merged = now.with(&changes, &self.state.memory, &plan.after.memory);
        if crash.is_some() && (error.is_some() || matches!(&result, Err(met) if !is_told(met))) {
            let error = error.or(result.err());
            let alone = now.died(|one| one == who).with(&changes, &self.state.memory, &plan.after.memory);
            let states = states.into_iter().chain([merged, alone]).collect();
            return Ok(Done { error, states, ..Done::default() });
        }
        must(error.is_none(), || format!("the guard does not end: {error:?}"))?;
        let after = self.came_of(result, &touched, &now, merged)?;
        Ok(Done { states: vec![after], ..Done::default() })
    }

    /// What a commit leaves that has met guards, some of which have ended.
    fn came_of(&self, result: treewal::Result<()>, touched: &[RelPath], now: &State, merged: State) -> Checked<State> {
        let in_the_way = now.in_the_way(touched).map(|guard| guard.id);
        let (then, stands) = (&self.state.memory, &now.memory);
        let differs = touched.iter().find(|path| !same_body(then.at(path), stands.at(path)));
        match result {
            Ok(()) => {
                must(in_the_way.is_none(), || format!("goes on beside guard {in_the_way:?}"))?;
                must(differs.is_none(), || format!("overwrote what the guard has left: {differs:?}"))?;
                Ok(merged)
            }
            Err(Error::Locked { holder }) => {
                let other = holder.this_process && !holder.this_thread;
                must(in_the_way.is_some() && other, || format!("refused, with {in_the_way:?} in the way: {holder:?}"))?;
                self.counts.add("refused beside a guard");
                Ok(now.clone())
            }
            Err(Error::Conflict { .. }) if in_the_way.is_none() && now.guards.len() < self.state.guards.len() => {
                self.counts.add("refused after a guard");
                Ok(now.clone())
            }
            Err(error) => Err(format!("has met a guard: {error:?}")),
        }
    }
}

/// Whether it is an answer, and no failure of the disk.
fn is_told(error: &Error) -> bool {
    matches!(error, Error::Locked { .. } | Error::Conflict { .. })
}
