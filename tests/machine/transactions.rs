//! Transactions: what they are to leave, and how they are made.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use treewal::{Error, Outcome, Retried, RetryPolicy, Transaction};
use treewal_vfs::{Kind, RelPath};

use crate::call::{Answer, Call, Told, stage, told};
use crate::counts;
use crate::memory::{Groups, Memory, rel};
use crate::ops::Op;
use crate::step::{Act, Crash, Level, MOUNTED, Way};
use crate::world::{Checked, State, World, is_own, must};

/// What an act is to do.
pub(crate) struct Plan {
    pub(crate) after: State,
    /// The operations of a transaction.
    pub(crate) ops: Vec<Told>,
    /// Which names are one file then, where that is told.
    pub(crate) linked: Option<Groups>,
    /// Why it cannot be done.
    pub(crate) fails: Option<String>,
    /// Whether it is not said that it can be done.
    pub(crate) may_fail: bool,
    /// Paths that it is about.
    pub(crate) about: Vec<RelPath>,
    /// Those that it relies on, and leaves as they are.
    pub(crate) relied: Vec<RelPath>,
    /// What a crash may leave beside the states before and after.
    pub(crate) between: Vec<State>,
    /// The entry of quarantine that it is about, and what a retry says of it.
    pub(crate) case: Option<(String, Retried)>,
    /// Whether a retry goes into the tree.
    pub(crate) goes: bool,
    /// Whether what it leaves is known only afterwards.
    pub(crate) unforeseen: bool,
}

impl Plan {
    fn with(self, ops: Vec<Told>) -> Self {
        Self { ops, ..self }
    }

    pub(crate) fn of(after: State, about: Vec<RelPath>) -> Self {
        Self {
            after,
            ops: Vec::new(),
            linked: None,
            fails: None,
            may_fail: false,
            about,
            relied: Vec::new(),
            between: Vec::new(),
            case: None,
            goes: false,
            unforeseen: false,
        }
    }
}

/// What came of an act.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) error: Option<Error>,
    /// What a transaction said that it changes.
    pub(crate) changed: Vec<RelPath>,
    /// What it may have left, where that is not what the plan says: where it failed, the one that it was in comes first.
    pub(crate) states: Vec<State>,
}

impl Done {
    pub(crate) fn of<T>(result: treewal::Result<T>) -> Self {
        Self { error: result.err(), ..Self::default() }
    }
}

pub(crate) fn changed(tx: &Transaction) -> Vec<RelPath> {
    tx.changes().iter().map(|change| rel(&change.path)).collect()
}

/// A transaction shows the tree as it will be.
fn sees(tx: &Transaction, memory: &Memory) -> Checked {
    for (path, id) in &memory.names {
        let (entry, at) = (&memory.nodes[id], path.to_path());
        let right = match entry.kind {
            Kind::File => matches!(tx.read(&at), Ok(bytes) if bytes == entry.contents),
            Kind::Symlink => tx.read_link(&at).ok().map(|to| to.into_os_string().into_encoded_bytes()) == entry.target,
            Kind::Dir => tx.read_dir(&at).is_ok_and(|entries| {
                let inside = entries.iter().map(|one| path.join(one.file_name())).filter(|path| !is_own(path));
                let names = memory.names.keys().filter(|name| name.parent().as_ref() == Some(path));
                inside.collect::<BTreeSet<_>>() == names.cloned().collect()
            }),
            _ => true,
        };
        let told = tx.metadata(&at);
        must(right && matches!(&told, Ok(told) if told.kind() == entry.kind), || {
            format!("{path} is seen otherwise: {told:?}")
        })?;
        // What is set through one name of a file shows under the others once it is committed.
        if memory.links(path) == 1 {
            let told = told.map_err(|error| format!("{path}: {error:?}"))?;
            let xattrs = tx.xattrs(&at).map_err(|error| format!("{path}: {error:?}"))?;
            let mode = told.mode().filter(|_| entry.kind != Kind::Symlink);
            let alike = mode.is_none_or(|mode| mode == entry.mode)
                && told.uid().is_none_or(|uid| uid == entry.owner.0)
                && told.gid().is_none_or(|gid| gid == entry.owner.1);
            must(alike && xattrs == entry.xattrs, || format!("{path}: {told:?} with {xattrs:?}, not {entry:?}"))?;
        }
    }
    Ok(())
}

/// What is done by a transaction, or interrupted, beside the levels and ways of it.
fn words(plan: &Plan) -> impl Iterator<Item = &'static str> {
    plan.ops.iter().filter(|told| told.answer.is_ok()).filter_map(|told| told.call.word())
}

impl World {
    /// Counts what a transaction did, or was to do where it was interrupted.
    pub(crate) fn count_calls(&self, plan: &Plan, interrupted: bool) {
        for word in words(plan) {
            self.counts.add(if interrupted { counts::within(word) } else { word.to_owned() });
        }
        if !interrupted && plan.ops.iter().any(|told| told.answer == Answer::Conflict) {
            self.counts.add("expectation that does not hold");
        }
    }

    /// What an act is to do; `None` where there is nothing to do it to.
    pub(crate) fn plan(&mut self, who: usize, act: &Act) -> Checked<Option<Plan>> {
        if self.handle(who)?.is_none() {
            return Ok(None);
        }
        Ok(match act {
            Act::Commit(_, _, ops) if ops.iter().filter_map(Call::op).any(|op| self.sets_what_is_guarded(op)) => None,
            // A time from before a commit makes what somebody else wrote since pass for an older state: see docs/guarantees.md.
            Act::Commit(_, _, ops) if self.foreign && ops.iter().any(|call| self.sets_a_time(call)) => None,
            Act::Commit(_, way, ops) => {
                self.prepare(ops);
                let plan = self.plan_commit(*way, ops);
                let unknown =
                    self.moves_what_is_kept_by_name(&plan.after.memory) || Self::drops_what_it_publishes(&plan);
                (!unknown).then_some(plan)
            }
            Act::Mounted(_, bytes, other) => {
                let ops = [Op::Write(MOUNTED.into(), bytes.clone()), Op::Write(other.clone(), bytes.clone())];
                let ops = ops.map(Call::Op);
                let plan = self.plan_commit(Way::Begin, &ops);
                // A handle that does not rewrite it.
                let refused = self.handles[who].as_ref().is_some_and(|handle| handle.drawn.refuse_mounted);
                let fails = refused.then(|| "the file is mounted".to_owned());
                Some(Plan { fails, ..plan })
            }
            Act::Checkpoint | Act::Beside | Act::Sync => Some(Plan::of(self.state.clone(), Vec::new())),
            Act::Guard(asked) => self.plan_guard(who, asked),
            Act::Within(path) => self.plan_within(who, &rel(path)),
            Act::GuardEnd(inner, end) => self.plan_end(who, *inner, *end),
            Act::Met(ops, _) => self.plan_met(ops),
            Act::Snapshot(name, path) => Some(self.plan_snapshot(*name, path.as_deref().map(rel))),
            Act::Restore(name, path) => self.plan_restore(*name, path.as_deref().map(rel).as_ref()),
            Act::Forget(name) => Some(self.plan_forget(*name)),
            Act::Retry(nth, manner) => self.plan_retry(who, *nth, *manner)?,
            Act::Export(nth) => self.plan_export(*nth),
            Act::Purge(nth) => self.plan_purge(*nth),
        })
    }

    /// Attributes belong to all names of a file: a guard that has one of them brings them back for all.
    fn sets_what_is_guarded(&self, op: &Op) -> bool {
        let (Op::Chmod(path, _)
        | Op::SetTime(path, _)
        | Op::Xattr(path, _)
        | Op::Chown(path, _)
        | Op::Lchown(path, _)
        | Op::Publish(path, ..)) = op
        else {
            return false;
        };
        let memory = &self.state.memory;
        let id = memory.names.get(&rel(path));
        let names = memory.names.iter().filter(|(_, other)| memory.links(&rel(path)) > 1 && Some(*other) == id);
        names.into_iter().any(|(name, _)| self.state.guards.iter().any(|guard| guard.scope.covers(name)))
    }

    /// A merge brings the times of what it merges.
    fn sets_a_time(&self, call: &Call) -> bool {
        let any_set = || self.state.memory.nodes.values().any(|entry| entry.set.is_some());
        matches!(call, Call::Op(Op::SetTime(..))) || call.word() == Some("merge") && any_set()
    }

    /// Whether something from outside is published and removed again: then a loss of power may give it back.
    fn drops_what_it_publishes(plan: &Plan) -> bool {
        let Some(last) = plan.ops.last() else { return false };
        let stays = |id: &u64| last.after.names.values().any(|own| own == id);
        plan.ops.iter().filter_map(|told| told.published).any(|id| !stays(&id))
    }

    pub(crate) fn plan_commit(&self, way: Way, ops: &[Call]) -> Plan {
        let State { memory, outside, .. } = &self.state;
        let ops = told(memory, outside, ops, way == Way::Batch && self.holder().is_none());
        let (memory, outside) = ops.last().map_or((memory, outside), |told| (&told.after, &told.outside));
        let about = ops.iter().flat_map(|told| told.call.paths()).map(rel).collect();
        let relied = ops.iter().filter(|told| told.answer.is_ok());
        let relied = relied.filter_map(|told| told.call.relied()).map(rel).collect();
        let linked = (way != Way::RolledBack).then(|| memory.groups());
        let after = match way {
            Way::RolledBack => self.state.clone(),
            _ => State { memory: memory.clone(), outside: outside.clone(), ..self.state.clone() },
        };
        Plan { relied, linked, ..Plan::of(after, about) }.with(ops)
    }

    /// Does it; with a crash, one at the n-th call.
    pub(crate) fn perform(
        &mut self,
        who: usize,
        act: &Act,
        plan: &Plan,
        crash: Option<(u64, &Crash)>,
    ) -> Checked<Done> {
        let (level, way) = match act {
            Act::Commit(level, way, _) => (*level, *way),
            Act::Mounted(level, ..) => (*level, Way::Begin),
            _ => {
                // What meets a guard is staged first.
                if !matches!(act, Act::Met(..)) {
                    self.arm(who, crash);
                }
                return self.perform_other(who, act, plan, crash);
            }
        };
        match way {
            Way::Batch if self.holder().is_none() => self.batch(who, level, plan, crash),
            way => self.commit(who, (level, way), plan, crash),
        }
        .inspect(|done| {
            if level == Level::Deferred {
                self.loose.extend(plan.about.iter().chain(&done.changed).cloned());
            }
        })
    }

    fn perform_other(&mut self, who: usize, act: &Act, plan: &Plan, crash: Option<(u64, &Crash)>) -> Checked<Done> {
        let crashes = crash.is_some();
        let tree = self.handles[who].as_ref().unwrap().tree.clone();
        Ok(match act {
            Act::Checkpoint => Done::of(tree.checkpoint()),
            Act::Beside => Done::of(tree.checkpoint_beside()),
            Act::Sync => Done::of(tree.sync()),
            Act::Guard(asked) => self.take_guard(who, asked),
            Act::Within(path) => self.take_within(who, path),
            Act::GuardEnd(inner, end) => {
                let id = self.ending(who, *inner).unwrap();
                self.end_guard(who, id, *end, crashes)?
            }
            Act::Met(_, end) => self.meet(who, plan, *end, crash)?,
            Act::Snapshot(name, path) => Done::of(self.take_snapshot(&tree, *name, path.as_deref())),
            Act::Restore(name, path) => Self::restore(&tree, *name, path.as_deref(), crashes)?,
            Act::Forget(name) => Done::of(tree.remove_snapshot(&crate::snaps::name(*name))),
            Act::Retry(_, manner) => self.retry(who, *manner, plan)?,
            Act::Export(_) => self.export(who, plan)?,
            Act::Purge(_) => self.purge_one(who, plan),
            Act::Commit(..) | Act::Mounted(..) => unreachable!("done elsewhere"),
        })
    }

    fn commit(
        &mut self,
        who: usize,
        (level, way): (Level, Way),
        plan: &Plan,
        crash: Option<(u64, &Crash)>,
    ) -> Checked<Done> {
        let handle = self.handles[who].as_ref().unwrap();
        let (tree, own) = (handle.tree.clone(), handle.drawn.level.unwrap_or(Level::Journal));
        let (said, wrong) = (RefCell::new(Vec::new()), RefCell::new(Ok(())));
        let fill = |tx: &mut Transaction| {
            tx.set_durability(level.durability());
            *wrong.borrow_mut() = stage(tx, &plan.ops).and_then(|()| match way {
                Way::RolledBack => Ok(()),
                _ => sees(tx, &plan.after.memory),
            });
            *said.borrow_mut() = changed(tx);
            self.arm(who, crash);
            Ok(())
        };
        let set = if way == Way::Apply { crate::apply::set(&plan.ops) } else { None };
        let result = match (way, set) {
            (_, Some(set)) => {
                let mut tx = tree.begin();
                tx.set_durability(level.durability());
                let staged = set.stage(&mut tx);
                must(staged.is_ok(), || format!("{set:?}: {staged:?}"))?;
                *wrong.borrow_mut() = sees(&tx, &plan.after.memory);
                *said.borrow_mut() = changed(&tx);
                // What is applied by itself has the level of the handle.
                let other = (level != own).then_some(tx);
                self.arm(who, crash);
                other.map_or_else(|| tree.apply(&set), Transaction::commit).map(drop)
            }
            (Way::Begin | Way::Batch | Way::Apply, None) => {
                let mut tx = tree.begin();
                fill(&mut tx).and_then(|()| tx.commit().map(drop))
            }
            (Way::RolledBack, None) => {
                let mut tx = tree.begin();
                fill(&mut tx).map(|()| tx.rollback())
            }
            (Way::Closure, None) => tree.transaction(fill),
            (Way::Retry, None) => {
                let policy = RetryPolicy::new().tries_max(2).pause_min(Duration::ZERO).pause_max(Duration::ZERO);
                tree.transaction_with(policy, fill)
            }
        };
        wrong.into_inner()?;
        let changed = if way == Way::RolledBack { Vec::new() } else { said.into_inner() };
        Ok(Done { changed, ..Done::of(result) })
    }

    /// Whether it may be refused in this way.
    pub(crate) fn refused(&self, who: usize, act: &Act, plan: &Plan, changed: &[RelPath], error: &Error) -> Checked {
        let about = || plan.about.iter().chain(&plan.relied).chain(changed);
        let meets = || self.state.guards.iter().any(|guard| about().any(|path| guard.scope.meets(path)));
        let may = match (error, self.holder()) {
            (Error::Locked { .. }, Some(holder)) => holder != who || meets(),
            _ => (plan.may_fail || plan.fails.is_some()) && error.outcome() == Outcome::Unchanged,
        };
        must(may, || format!("{act:?} is refused: {error:?}"))
    }

    /// Whether it may be done while guards are open.
    pub(crate) fn allowed(&self, who: usize, act: &Act, plan: &Plan, changed: &[RelPath]) -> Checked {
        let Some(holder) = self.holder() else { return Ok(()) };
        let idle = matches!(act, Act::Checkpoint | Act::Beside | Act::Sync);
        let nothing = idle || plan.after.memory.seen() == self.state.memory.seen() && changed.is_empty();
        must(holder == who || nothing, || format!("{act:?} goes on beside a guard of {holder}"))?;
        let guards = &self.state.guards;
        let met = changed.iter().find(|path| guards.iter().any(|guard| guard.scope.covers(path)));
        must(met.is_none(), || format!("{act:?} goes on at {met:?}, which is guarded"))
    }

    /// What is durable after an act.
    pub(crate) fn note(&mut self, who: usize, act: &Act) {
        let seen = self.state.memory.seen();
        let same = self.since.last() == Some(&seen);
        match act {
            Act::Commit(Level::Deferred, ..) | Act::Mounted(Level::Deferred, ..) => {
                self.since.push(seen);
                self.deferred.insert(who);
            }
            Act::Commit(..) | Act::Mounted(..) | Act::Retry(..) if same => {}
            // It waits for the end of guards.
            Act::Beside if !self.state.guards.is_empty() => {}
            // One sync of the journal, for the commits of this handle.
            Act::Sync if self.deferred.iter().any(|one| *one != who) => {}
            Act::Commit(..)
            | Act::Mounted(..)
            | Act::Guard(_)
            | Act::Retry(..)
            | Act::Checkpoint
            | Act::Beside
            | Act::Sync => {
                self.settled();
            }
            _ if self.since.len() > 1 => self.since.push(seen),
            _ => self.settled(),
        }
    }
}
