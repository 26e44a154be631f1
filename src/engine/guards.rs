//! Guards as the engine knows them: what they hold of the tree, and what becomes of those who meet them.

use std::sync::Arc;
use std::thread::ThreadId;

use parking_lot::MutexGuard;
use treewal_journal::record::{Guard as GuardRecord, PathBytes, Record};
use treewal_vfs::{Dir, RelPath};

use super::{Claim, Core, Hold, Scope, State};
use crate::{Error, Result};

/// What becomes of a commit, a guard or a snapshot of another thread of the same handle that meets a guard. Others go on
/// beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Others {
    /// It fails with [`Error::Locked`].
    #[default]
    Refuse,
    /// It waits until the guard has ended. The thread that took the guard would wait for itself, and is refused.
    Wait,
}

/// What a guard is about.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) paths: Vec<RelPath>,
    pub(crate) scope: Scope,
    pub(crate) others: Others,
    /// Whether it is rolled back by exchange.
    pub(crate) exchange: bool,
    /// The guard that it is inside of.
    pub(crate) outer: Option<u64>,
}

/// A guard that holds the tree.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) from: Dir,
    /// The guard that it is inside of.
    pub(crate) outer: Option<u64>,
    /// Whether it is rolled back by exchange.
    pub(crate) exchange: bool,
    record: GuardRecord,
    scope: Scope,
    others: Others,
    /// Who took it, and is not to wait for it.
    thread: ThreadId,
}

impl Held {
    pub(crate) fn new(txn: u64, name: String, from: Dir, about: About) -> Self {
        let About { paths, scope, others, exchange, outer } = about;
        let record = record(txn, &name, &paths);
        let thread = std::thread::current().id();
        Self { record, name, from, outer, exchange, scope, others, thread }
    }

    pub(crate) fn txn(&self) -> u64 {
        self.record.txn
    }

    /// What is guarded, or would be if it were there, and is touched by a commit.
    pub(super) fn met_by(&self, claim: &Claim) -> Option<&RelPath> {
        self.scope.met_by(claim)
    }

    /// What is guarded and is, or lies above or beneath, one path.
    pub(crate) fn touched_by(&self, path: &RelPath) -> Option<&RelPath> {
        self.scope.touched_by(path)
    }

    /// What is guarded, something of which another guard or a snapshot is about.
    pub(super) fn shared_with(&self, scope: &Scope) -> Option<&RelPath> {
        self.scope.shared_with(scope)
    }

    /// The first of what is guarded; a pattern where that is all.
    pub(crate) fn first(&self) -> RelPath {
        self.scope.first().cloned().unwrap_or_default()
    }

    /// Whether everything that another guard is about is guarded by this one.
    pub(crate) fn covers(&self, scope: &Scope) -> bool {
        self.scope.covers(scope)
    }

    /// What the journal says of it while it goes on.
    pub(super) fn record(&self) -> Record {
        Record::Guard(self.record.clone())
    }
}

pub(crate) fn record(txn: u64, name: &str, paths: &[RelPath]) -> GuardRecord {
    GuardRecord { txn, snapshot: name.to_owned(), paths: paths.iter().map(PathBytes::from).collect() }
}

impl Core {
    /// Takes the tree for a commit that stands alone: nothing else is under way until the hold is dropped, and no guard is
    /// that it meets.
    pub(crate) fn hold_for(&self, claim: &Claim) -> Result<Hold<'_>> {
        self.hold_unless(|guard| guard.met_by(claim))
    }

    /// The same for a guard or a snapshot.
    pub(crate) fn hold_over(&self, scope: &Scope) -> Result<Hold<'_>> {
        self.hold_unless(|guard| guard.shared_with(scope))
    }

    /// Takes the tree for this one piece of work, where no guard is in the way: waits for those that are, or says so.
    ///
    /// Where another handle was at work since this one last held the tree, this one [catches up](Self::catch_up), so that
    /// no work ever meets an unfinished transaction, whoever left it.
    fn hold_unless(&self, in_the_way: impl Fn(&Held) -> Option<&RelPath>) -> Result<Hold<'_>> {
        // Before the lock of the state, which the other process may have held as it was forked.
        self.prove_own_process()?;
        let mut state = self.state.lock();
        loop {
            let guard = state.guards.iter().find_map(|guard| Some((Arc::clone(guard), in_the_way(guard)?.clone())));
            match guard {
                Some((guard, path)) => self.wait_for_guard(&mut state, &guard, &path)?,
                None if state.is_busy() => self.wait_alone(&mut state),
                None => break,
            }
        }
        self.enter_alone(state)
    }

    /// Waits for the end of a guard that is in the way with a path of its own, or says that it is.
    pub(super) fn wait_for_guard(
        &self,
        state: &mut MutexGuard<'_, State>,
        guard: &Arc<Held>,
        path: &RelPath,
    ) -> Result<()> {
        let this_thread = guard.thread == std::thread::current().id();
        if guard.others == Others::Refuse || this_thread {
            let guards = Some(if path.is_root() { ".".into() } else { path.to_path() });
            let holder = crate::Holder { this_process: true, this_thread, guards, ..crate::Holder::default() };
            return Err(Error::Locked { holder });
        }
        self.changed.wait(state);
        Ok(())
    }

    /// Waits until a guard that is in the way with a path of its own has ended, or says that it is.
    pub(crate) fn wait_for_end(&self, guard: &Arc<Held>, path: &RelPath) -> Result<()> {
        let mut state = self.state.lock();
        while state.guards.iter().any(|held| Arc::ptr_eq(held, guard)) {
            self.wait_for_guard(&mut state, guard, path)?;
        }
        Ok(())
    }
}
