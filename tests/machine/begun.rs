//! Transactions that are staged, and committed after others have done something.

use treewal::{Error, Outcome, Transaction};
use treewal_vfs::RelPath;

use crate::call::{Call, stage, told};
use crate::memory::Memory;
use crate::quarantine::same_body;
use crate::step::{Act, Level, Way};
use crate::transactions::changed;
use crate::world::{Checked, Handle, World, must};

/// A transaction that was staged some time ago.
pub(crate) struct Begun {
    tx: Transaction,
    before: Memory,
    after: Memory,
    /// What must be as it was before.
    relied: Vec<RelPath>,
    moves: u64,
}

impl World {
    pub(crate) fn begin(&mut self, who: usize, ops: &[Call]) -> Checked {
        // What is given to keep is linked to, and to be given back it needs the tree: where another handle has that, it comes to
        // quarantine with the stage, which the model does not know.
        if ops.iter().any(Call::links) {
            return Ok(());
        }
        let Some(handle) = self.handle(who)? else { return Ok(()) };
        handle.begun = None;
        self.state.outside.is_given_back(|one| one == who);
        self.prepare(ops);
        let (before, moves) = (self.state.memory.clone(), self.moves);
        let ops = told(&before, &self.state.outside, ops, false);
        let after = ops.last().map_or(&before, |told| &told.after).clone();
        let relied = ops.iter().flat_map(|told| told.relied.iter().cloned()).collect();
        let handle = self.handles[who].as_mut().unwrap();
        let mut tx = handle.tree.begin();
        stage(&mut tx, &ops)?;
        if let Some(last) = ops.last() {
            self.state.outside.is_taken_by(who, &last.outside);
        }
        handle.begun = Some(Begun { tx, before, after, relied, moves });
        Ok(())
    }

    /// Commits what was staged some time ago.
    pub(crate) fn end(&mut self, who: usize) -> Checked {
        let has = |handle: &Option<Handle>| handle.as_ref().is_some_and(|handle| handle.begun.is_some());
        let who = if has(&self.handles[who]) { who } else { self.handles.iter().position(has).unwrap_or(who) };
        let begun = self.handles[who].as_mut().and_then(|handle| handle.begun.take());
        let Some(Begun { tx, before, after, relied, moves }) = begun else { return Ok(()) };
        let level = self.handles[who].as_ref().and_then(|handle| handle.drawn.level).unwrap_or(Level::Journal);
        let changes = changed(&tx);
        let mut merged = self.state.with(&changes, &before, &after);
        let met = changes.iter().find(|path| !same_body(before.at(path), self.state.memory.at(path)));
        let now = &self.state.memory;
        let differs = |path: &&RelPath| {
            before.names.get(*path) != now.names.get(*path) || !same_body(before.at(path), now.at(path))
        };
        let differing = relied.iter().find(differs).cloned();
        let guards = &self.state.guards;
        let meets = |paths: &[RelPath]| {
            guards.iter().any(|guard| guard.who != who || paths.iter().any(|path| guard.scope.meets(path)))
        };
        let (near_guard, may_wait) = (meets(&changes), meets(&relied));
        if level == Level::Deferred {
            self.loose.extend(changes.iter().cloned());
        }
        let done = tx.commit();
        if done.is_err() {
            self.state.outside.is_given_back(|one| one == who);
        }
        match done {
            Ok(_) => {
                self.counts.add("begun and committed");
                must(met.is_none(), || format!("overwrote what another has changed: {met:?}"))?;
                must(differing.is_none(), || format!("another has changed {differing:?}, which it relies on"))?;
                must(!near_guard || changes.is_empty(), || format!("goes on beside a guard: {changes:?}"))?;
                self.moves += 1;
                merged.outside.is_published(who);
                self.becomes(vec![merged])?;
                self.note(who, &Act::Commit(level, Way::Begin, Vec::new()));
                Ok(())
            }
            Err(Error::Locked { .. }) if near_guard || may_wait => self.becomes(vec![self.state.clone()]),
            Err(error) => {
                self.counts.add("begun and refused");
                if differing.is_some() && met.is_none() {
                    self.counts.add("begun and refused for what it relies on");
                }
                must(moves != self.moves, || format!("nobody else was there: {error:?}"))?;
                must(error.outcome() != Outcome::Undecided, || format!("{error:?}"))?;
                self.becomes(vec![self.state.clone()])
            }
        }
    }
}
