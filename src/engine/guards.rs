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

    /// Whether a commit touches what is guarded, or what would be if it were there.
    pub(super) fn meets(&self, claim: &Claim) -> bool {
        self.scope.meets(claim)
    }

    /// Whether something that another guard or a snapshot is about is guarded by this one.
    pub(super) fn overlaps(&self, scope: &Scope) -> bool {
        self.scope.overlaps(scope)
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
        self.hold_unless(|guard| guard.meets(claim))
    }

    /// The same for a guard or a snapshot.
    pub(crate) fn hold_over(&self, scope: &Scope) -> Result<Hold<'_>> {
        self.hold_unless(|guard| guard.overlaps(scope))
    }

    /// Takes the tree for this one piece of work, where no guard is in the way: waits for those that are, or says so.
    ///
    /// Where another handle was at work since this one last held the tree, this one [catches up](Self::catch_up), so that
    /// no work ever meets an unfinished transaction, whoever left it.
    fn hold_unless(&self, is_in_the_way: impl Fn(&Held) -> bool) -> Result<Hold<'_>> {
        // Before the lock of the state, which the other process may have held as it was forked.
        self.prove_own_process()?;
        let mut state = self.state.lock();
        loop {
            let guard = state.guards.iter().find(|guard| is_in_the_way(guard)).cloned();
            match guard {
                Some(guard) => self.wait_for_guard(&mut state, &guard)?,
                None if state.is_busy() => self.wait_alone(&mut state),
                None => break,
            }
        }
        self.enter_alone(state)
    }

    /// Waits for the end of a guard that is in the way, or says that it is.
    pub(super) fn wait_for_guard(&self, state: &mut MutexGuard<'_, State>, guard: &Arc<Held>) -> Result<()> {
        let this_thread = guard.thread == std::thread::current().id();
        if guard.others == Others::Refuse || this_thread {
            let holder = crate::Holder { this_process: true, this_thread, ..crate::Holder::default() };
            return Err(Error::Locked { holder });
        }
        self.changed.wait(state);
        Ok(())
    }
}
