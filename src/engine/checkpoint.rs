//! Checkpoints: the tree is made durable itself, and the journal may forget.

use treewal_journal::Lsn;
use treewal_journal::record::Record;
use treewal_recovery::append;

use super::{Engine, State};
use crate::{Error, Result};

/// A checkpoint is due when this many displaced versions wait for removal ..
const GARBAGE_MAX: usize = 8192;

impl Engine {
    /// Makes every committed transaction durable in the tree itself, and lets the journal forget them.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.hold()?.checkpoint()
    }

    /// A checkpoint after a commit, where one is due. The commit is committed whatever becomes of it.
    pub(crate) fn checkpoint_if_due(&self) {
        if !self.is_checkpoint_due(&self.state.lock()) {
            return;
        }
        let settled = self.hold().and_then(|mut hold| {
            // Somebody else may have been faster.
            let due = self.is_checkpoint_due(&self.state.lock());
            if due { hold.checkpoint() } else { Ok(()) }
        });
        match settled {
            // Another process is at work: it is still due after the next commit.
            Err(Error::Locked { .. }) | Ok(()) => {}
            // The handle says so itself when it is used again.
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "a checkpoint failed"),
        }
    }

    /// .. or when the records that it would settle fill a segment of the journal.
    pub(super) fn is_checkpoint_due(&self, state: &State) -> bool {
        let Some(log) = &state.log else { return false };
        let bytes = log.bytes();
        state.garbage.len() > GARBAGE_MAX || bytes.saturating_sub(state.settled_bytes) > self.options.segment_bytes
    }

    /// The checkpoint itself, under the tree's lock.
    ///
    /// Crash argument: the file system is synced before the record is written, so whoever finds the record finds the
    /// tree whole without the journal. Before the record is durable, recovery redoes what is in place already. Displaced
    /// versions go last: nothing refers to them, and what a crash leaves of them goes with the stage.
    ///
    /// A sync that fails leaves the tree in doubt, and the journal with all that is needed to redo it: the handle stops
    /// trusting itself, and the next open decides.
    pub(super) fn checkpoint_held(&self, state: &mut State) -> Result<()> {
        if state.unsettled.is_some() {
            self.settle(state, Vec::new())?;
        }
        if let Some(stage) = &*self.stage.lock() {
            for slot in state.garbage.drain(..) {
                stage.discard(slot);
            }
        }
        Ok(())
    }

    /// Syncs the tree, then writes `ends` and the checkpoint in one batch.
    ///
    /// The order is what makes a rollback safe too: its record must not reach the disk before what it says is true.
    pub(super) fn settle(&self, state: &mut State, mut ends: Vec<Record>) -> Result<()> {
        let log = state.log.clone().ok_or(Error::Poisoned)?;
        // Numbers are dense: `ends` are covered as well.
        let upto = Lsn(log.last().0 + ends.len() as u64);
        let _span = tracing::debug_span!("checkpoint", upto = upto.0).entered();
        let synced = self.home.disk.sync_all(&self.home.root);
        ends.push(Record::Checkpoint { upto: upto.0 });
        let settled = synced.map_err(|source| Error::from_os("sync", ".".into(), source)).and_then(|()| {
            append(&log, &ends)
                .and_then(|lsn| log.sync_to(lsn).map_err(treewal_recovery::Error::Journal))
                .map_err(Error::from_recovery)
        });
        if let Err(error) = settled {
            state.log = None;
            return Err(error);
        }
        state.unsettled = None;
        let truncated = log.truncate(upto).map_err(Error::Journal);
        state.settled_bytes = log.bytes();
        truncated
    }

    /// Settles what is left when the last handle goes: a checkpoint, and the stage is given back.
    pub(super) fn close(&mut self) -> Result<()> {
        let trusted = self.state.get_mut().log.is_some();
        if trusted && self.state.get_mut().unsettled.is_some() {
            self.checkpoint()?;
        }
        // Without a checkpoint the journal still needs what is staged: the next open sweeps it then.
        if trusted && self.state.get_mut().unsettled.is_none() {
            if let Some(stage) = self.stage.get_mut().take().and_then(std::sync::Arc::into_inner) {
                stage.remove(&self.home)?;
            }
        }
        Ok(())
    }
}
