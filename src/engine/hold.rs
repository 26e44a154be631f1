//! Holding the tree: the time in which this handle alone may commit.

use std::sync::Arc;

use parking_lot::MutexGuard;
use treewal_journal::record::Record;
use treewal_journal::{Log, Lsn};
use treewal_recovery::recover::append;

use super::{Engine, State};
use crate::{Error, Result};

/// A hold on the tree: the lock of its directory, and the engine's state. Dropping it gives both back.
pub(crate) struct Hold<'a> {
    engine: &'a Engine,
    state: MutexGuard<'a, State>,
    keep: bool,
}

impl<'a> Hold<'a> {
    pub(super) fn new(engine: &'a Engine, state: MutexGuard<'a, State>) -> Self {
        Self { engine, state, keep: false }
    }

    pub(super) fn state(&mut self) -> &mut State {
        &mut self.state
    }

    pub(super) fn read_anew(&mut self) -> Result<()> {
        self.engine.read_anew(&mut self.state)
    }

    /// Keeps the lock of the directory beyond this hold, for a guard.
    pub(crate) fn keep_for_guard(mut self, txn: u64) {
        self.state.guard = Some(txn);
        self.keep = true;
    }

    pub(crate) fn log(&self) -> Result<Arc<Log>> {
        self.state.log.clone().ok_or(Error::Poisoned)
    }

    /// The number that the next transaction gets: the LSN of its first record.
    pub(crate) fn next_txn(&self) -> Result<u64> {
        Ok(self.log()?.last().0 + 1)
    }

    /// Appends records as one batch; not durable before [`sync`](Self::sync).
    ///
    /// An error here is undecided only where the log says so: it may have been written in part.
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<Lsn> {
        let log = self.log()?;
        append(&log, records).map_err(|error| self.judge(error))
    }

    /// Makes everything appended durable.
    pub(crate) fn sync(&mut self, upto: Lsn) -> Result<()> {
        let log = self.log()?;
        log.sync_to(upto).map_err(|error| self.judge(treewal_recovery::Error::Journal(error)))
    }

    /// An error of the log, and what it means for the handle: a log that is poisoned is not used again.
    fn judge(&mut self, error: treewal_recovery::Error) -> Error {
        let poisoned = matches!(&error, treewal_recovery::Error::Journal(treewal_journal::Error::Poisoned { .. }));
        let error = Error::from_recovery(error);
        if !poisoned {
            return error;
        }
        self.poison();
        Error::Undecided { source: Box::new(error) }
    }

    /// Stops this handle from trusting its journal: only opening the tree again decides what is on the disk.
    pub(crate) fn poison(&mut self) {
        self.state.log = None;
    }

    pub(crate) fn is_unsettled(&self) -> bool {
        self.state.unsettled.is_some()
    }

    /// Notes a commit that no checkpoint covers yet, and the slots of what it displaced.
    pub(crate) fn note_commit(&mut self, lsn: Lsn, displaced: impl IntoIterator<Item = u64>) {
        self.state.unsettled = Some(lsn);
        self.state.garbage.extend(displaced);
    }

    pub(crate) fn checkpoint(&mut self) -> Result<()> {
        self.engine.checkpoint_held(&mut self.state)
    }

    /// Syncs the tree, then records how transactions ended, and that the journal may forget all there is in it.
    pub(crate) fn settle(&mut self, ends: Vec<Record>) -> Result<()> {
        self.engine.settle(&mut self.state, ends)
    }

    pub(crate) fn checkpoint_if_due(&mut self) -> Result<()> {
        if self.engine.is_checkpoint_due(&self.state) { self.checkpoint() } else { Ok(()) }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = self.engine.lock.release(&self.engine.home) {
            // The kernel gives it back with the handle at the latest; until then others wait.
            tracing::error!(%error, "the tree's lock could not be given back");
        }
    }
}

impl Engine {
    /// Takes the hold back from the guard that kept it, to end it: the directory's lock is held already.
    pub(crate) fn resume(&self) -> Hold<'_> {
        let mut state = self.state.lock();
        state.guard = None;
        Hold::new(self, state)
    }
}
