//! Checkpoints: the tree is made durable itself, and the journal may forget.

use std::collections::BTreeSet;

use treewal_journal::record::Record;
use treewal_journal::{Log, Lsn};
use treewal_recovery::{append, forget};
use treewal_vfs::RelPath;

use super::{Core, State};
use crate::{Checkpoints, Error, Result};

/// A checkpoint is due when this many displaced versions wait for removal.
const GARBAGE_MAX: usize = 8192;
/// So many of them may wait behind commits that stand alone.
const DISPLACED_MAX: usize = 16;
/// Where the helper does not keep up, commits wait for a checkpoint when so many times of what makes one due is there.
const OVERDUE: u64 = 4;

/// Whether a checkpoint is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Not,
    Now,
    /// Even where a helper is there for it.
    Overdue,
}

impl Core {
    /// Makes every committed transaction durable in the tree itself, and lets the journal forget them.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.hold_beside_guards()?.checkpoint()
    }

    /// Makes every commit so far durable in the journal. Nobody has to hold the tree for it: what was committed is in
    /// the kernel, and where another handle was at work since, it has made it durable before anything else.
    pub(crate) fn sync_journal(&self) -> Result<()> {
        let log = self.log_of(&mut self.state.lock())?;
        log.sync().map_err(|error| {
            self.state.lock().log = None;
            Error::Journal(error)
        })
    }

    /// After a commit: a checkpoint where one is due, or word to the helper. The commit is committed whatever becomes of
    /// it.
    pub(crate) fn checkpoint_if_due(&self) {
        let due = self.due(&self.state.lock());
        match (due, self.options.checkpoints) {
            (Due::Not, _) => return,
            (Due::Now, Checkpoints::Beside) => {
                self.wanted.notify_one();
                return;
            }
            // The helper does not keep up: whoever writes helps, so that journal and stage stay bounded.
            (Due::Overdue, Checkpoints::Beside) | (_, Checkpoints::Inline) => {}
        }
        let settled = self.hold_beside_guards().and_then(|mut hold| {
            // Somebody else may have been faster.
            let still = self.due(&self.state.lock());
            if still < due { Ok(()) } else { hold.checkpoint() }
        });
        match settled {
            // Another process is at work: it is still due after the next commit.
            Err(Error::Locked { .. }) | Ok(()) => {}
            // The handle says so itself when it is used again.
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "a checkpoint failed"),
        }
    }

    /// By the records that it would settle, by the displaced versions that wait for removal, and by age.
    pub(super) fn due(&self, state: &State) -> Due {
        let (Some(log), Some(since)) = (&state.log, state.unsettled_since) else { return Due::Not };
        let options = &self.options;
        let bytes = log.bytes().saturating_sub(state.settled_bytes);
        // What is owed is written with each checkpoint, so at least as much must come between two.
        let most = options.checkpoint_bytes.unwrap_or_else(|| log.segment_bytes()).max(state.owed_bytes());
        if bytes > most.saturating_mul(OVERDUE) || state.garbage.len() > GARBAGE_MAX * 4 {
            return Due::Overdue;
        }
        let old = options.checkpoint_age.is_some_and(|age| since.elapsed() >= age);
        if old || bytes > most || state.garbage.len() > GARBAGE_MAX { Due::Now } else { Due::Not }
    }

    /// The checkpoint itself, under the tree's lock.
    ///
    /// Crash argument: what commits have changed is synced before the record is written, so whoever finds the record finds the
    /// tree whole without the journal. Before the record is durable, recovery redoes what is in place already. Displaced
    /// versions go last: nothing refers to them, and what a crash leaves of them goes with the stage.
    ///
    /// A sync that fails leaves the tree in doubt, and the journal with all that is needed to redo it: the handle stops
    /// trusting itself, and the next open decides.
    pub(super) fn checkpoint_held(&self, state: &mut State) -> Result<()> {
        self.settle_held(state)?;
        self.drop_garbage(state);
        // The snapshot of a guard that goes on is no leftover.
        if (state.shared || state.closing) && state.guards.is_empty() {
            self.sweep(&state.owed);
        }
        Ok(())
    }

    /// The same behind a commit that stands alone, whose caller does not wait until what it displaced is removed: that may
    /// be a directory, and takes as long as it has entries. It goes with the next checkpoint of another kind, or when more
    /// of its kind wait.
    pub(super) fn checkpoint_alone(&self, state: &mut State) -> Result<()> {
        self.settle_held(state)?;
        if state.garbage.len() > DISPLACED_MAX {
            self.drop_garbage(state);
        }
        Ok(())
    }

    fn settle_held(&self, state: &mut State) -> Result<()> {
        if state.unsettled.is_none() {
            return Ok(());
        }
        let upto = state.log.as_ref().map_or(Lsn::ZERO, |log| log.last());
        let paths = self.entries_to_sync(&state.touched, upto);
        self.settle(state, Vec::new(), paths.as_ref())
    }

    /// Syncs the tree, where `paths` says what commits have changed only that, then writes `ends` and the checkpoint in one
    /// batch.
    ///
    /// The order is what makes a rollback safe too: its record must not reach the disk before what it says is true.
    pub(super) fn settle(
        &self,
        state: &mut State,
        mut ends: Vec<Record>,
        paths: Option<&BTreeSet<RelPath>>,
    ) -> Result<()> {
        let log = self.log_of(state)?;
        // Numbers are dense: `ends` are covered as well.
        let upto = Lsn(log.last().0 + ends.len() as u64);
        let _span = tracing::debug_span!("checkpoint", upto = upto.0).entered();
        let synced = self.sync_tree(paths);
        // What goes on is told of again behind what is settled: it is still to be ended after a crash.
        ends.extend(state.told_again());
        ends.push(Record::Checkpoint { upto: upto.0 });
        let settled = synced.and_then(|()| {
            append(&log, &ends)
                .and_then(|lsn| log.sync_to(lsn).map_err(treewal_recovery::Error::Journal))
                .map_err(Error::from_recovery)
        });
        if let Err(error) = settled {
            state.log = None;
            return Err(error);
        }
        state.unsettled = None;
        state.unsettled_since = None;
        state.settled = upto;
        state.touched.forget(upto);
        let forgotten = forget(&log, upto).map_err(Error::from_recovery);
        if forgotten.is_err() {
            state.log = None;
        }
        state.settled_bytes = log.bytes();
        if !state.closing {
            self.prepare(&log);
        }
        forgotten
    }

    /// Makes the next segment of the journal ready where the one at hand is half full, so that no commit has to. While
    /// the tree's lock is held: another process would not expect it.
    pub(super) fn prepare(&self, log: &Log) {
        if log.room() >= log.segment_bytes() / 2 {
            return;
        }
        if let Err(error) = log.prepare() {
            tracing::debug!(error = &error as &dyn std::error::Error, "the next commit makes a segment itself");
        }
    }

    /// Settles what is left when the last handle goes: a checkpoint, and the stage is given back.
    pub(super) fn close(&self) -> Result<()> {
        self.state.lock().closing = true;
        let look = || {
            let state = self.state.lock();
            (state.log.is_some(), state.unsettled.is_some())
        };
        match look() {
            (true, true) => self.checkpoint()?,
            (true, false) => self.tidy(),
            (false, _) => {}
        }
        // Without a checkpoint the journal still needs what is staged: the next open sweeps it then.
        if look() == (true, false) {
            if let Some(stage) = self.stage.lock().take().and_then(std::sync::Arc::into_inner) {
                if !self.is_stage_needed(stage.name()) {
                    stage.remove(&self.home)?;
                }
            }
        }
        Ok(())
    }
}
