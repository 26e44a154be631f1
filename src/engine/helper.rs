//! Checkpoints beside the commits: a thread of the handle makes them, so that no commit waits for one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;

use treewal_journal::record::Record;
use treewal_journal::{Log, Lsn};
use treewal_recovery::{Owed, append, forget};
use treewal_vfs::RelPath;

use super::checkpoint::Due;
use super::{Core, State};
use crate::{Error, Result};

/// The thread. It ends with [`stop`](Self::stop).
pub(super) struct Helper(JoinHandle<()>);

/// What a checkpoint beside commits is about: fixed before it begins.
struct Share {
    log: Arc<Log>,
    upto: Lsn,
    /// What commits up to there have changed, where that is few.
    paths: Option<BTreeSet<RelPath>>,
    /// Slots that hold displaced versions. Who put them there is past the point where it could need them.
    garbage: Vec<u64>,
    /// What is owed: nobody but a recovery changes that, and there is none while the tree's lock is kept.
    owed: Vec<Owed>,
}

impl Helper {
    /// Starts the thread; without one, where the system has none to give, checkpoints are made when they are overdue.
    pub(super) fn start(core: &Arc<Core>) -> Option<Self> {
        let shared = Arc::clone(core);
        let started = std::thread::Builder::new().name("treewal".to_owned()).spawn(move || shared.help());
        started.map(Self).inspect_err(|error| tracing::warn!(%error, "no thread for checkpoints")).ok()
    }

    /// Waits until the checkpoint that may be under way is done.
    pub(super) fn stop(self, core: &Core) {
        core.state.lock().closing = true;
        core.wanted.notify_one();
        core.changed.notify_all();
        if self.0.join().is_err() {
            tracing::error!("the thread for checkpoints panicked");
        }
    }
}

impl Core {
    /// The life of the thread.
    fn help(&self) {
        loop {
            {
                let mut state = self.state.lock();
                while !state.closing && self.due(&state) == Due::Not {
                    let left = state.unsettled_since.zip(self.options.checkpoint_age);
                    match left.map(|(since, age)| age.saturating_sub(since.elapsed())) {
                        Some(left) => {
                            self.wanted.wait_for(&mut state, left);
                        }
                        None => self.wanted.wait(&mut state),
                    }
                }
                if state.closing {
                    return;
                }
            }
            match self.checkpoint_if_still(Due::Now) {
                Ok(true) => {}
                // Another handle was faster: the clock runs anew.
                Ok(false) if self.due(&self.state.lock()) == Due::Not => {}
                // Nothing could be settled yet, or somebody else is at work: when the next commit is done.
                Ok(false) | Err(Error::Locked { .. }) => self.rest(),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a checkpoint failed");
                    self.rest();
                }
            }
        }
    }

    fn rest(&self) {
        let mut state = self.state.lock();
        if !state.closing {
            self.wanted.wait(&mut state);
        }
    }

    /// A checkpoint while commits go on. Says whether there was anything to settle.
    ///
    /// Crash argument: `upto` is fixed first, under the state's mutex: where nobody is under way, it is the end of the
    /// log, else the end of the log when the batch began. So every transaction up to it is applied, or undone, and its
    /// renames are among what the sync of the tree makes durable. What is appended meanwhile lies behind `upto`, and
    /// recovery redoes it as if there had been no checkpoint. The record is written after the sync of the tree and is
    /// durable before the journal gives anything back, as in every checkpoint.
    ///
    /// The tree's lock is kept for its time: no other process appends to the journal meanwhile.
    pub(crate) fn checkpoint_beside(&self) -> Result<bool> {
        self.checkpoint_if_still(Due::Not)
    }

    /// The same, unless by then it is less due than that: another handle may have made one.
    fn checkpoint_if_still(&self, due: Due) -> Result<bool> {
        let Some(Share { log, upto, paths, garbage, owed }) = self.begin_beside(due)? else { return Ok(false) };
        let _span = tracing::debug_span!("checkpoint", upto = upto.0).entered();
        let settled = self.sync_tree(paths.as_ref()).and_then(|()| {
            let appended = {
                let _order = self.appending.lock();
                let mut records: Vec<Record> = owed.iter().flat_map(Owed::records).cloned().collect();
                records.push(Record::Checkpoint { upto: upto.0 });
                append(&log, &records)
            };
            let lsn = appended.map_err(Error::from_recovery)?;
            log.sync_to(lsn).map_err(Error::Journal)
        });
        let settled = settled.and_then(|()| {
            let forgotten = forget(&log, upto).map_err(Error::from_recovery);
            // Before the rest: what is appended from here on counts towards the next checkpoint.
            self.state.lock().settled_upto(upto, log.bytes());
            self.prepare(&log);
            let stage = self.stage.lock().clone();
            if let Some(stage) = stage {
                garbage.iter().for_each(|slot| stage.discard(*slot));
            }
            if self.state.lock().shared {
                self.sweep(&owed);
            }
            forgotten
        });
        let mut state = self.state.lock();
        state.beside = false;
        if settled.is_err() {
            // As with any checkpoint: the tree is in doubt, and the next open decides.
            state.log = None;
        }
        self.leave(&state);
        drop(state);
        settled.map(|()| true)
    }

    /// Takes part in the batch that is under way, or takes the lock of the tree.
    fn begin_beside(&self, due: Due) -> Result<Option<Share>> {
        let mut state = self.state.lock();
        while !state.closing && (state.alone || state.waiting_alone > 0) {
            self.changed.wait(&mut state);
        }
        // A guard settles when it ends; and who closes the tree settles it then.
        if state.closing || !state.guards.is_empty() {
            return Ok(None);
        }
        if state.is_busy() {
            self.may_go_on(&mut state)?;
        } else {
            self.enter(&mut state, self.options.lock_wait)?;
        }
        let share = if self.due(&state) < due { None } else { self.share(&mut state) };
        match &share {
            Some(_) => state.beside = true,
            None => self.leave(&state),
        }
        Ok(share)
    }

    fn share(&self, state: &mut State) -> Option<Share> {
        let log = state.log.clone()?;
        let upto = if state.seats.is_empty() { log.last() } else { state.batch_floor };
        // To settle what is settled frees nothing. A batch ends soon, and then there is more.
        if state.unsettled.is_none() || upto <= state.settled {
            return None;
        }
        let paths = self.entries_to_sync(&state.touched, upto);
        let owed = state.owed.clone();
        Some(Share { log, upto, paths, garbage: std::mem::take(&mut state.garbage), owed })
    }
}

impl State {
    fn settled_upto(&mut self, upto: Lsn, bytes: u64) {
        self.settled = upto;
        self.settled_bytes = bytes;
        self.touched.forget(upto);
        if self.unsettled <= Some(upto) {
            self.unsettled = None;
            self.unsettled_since = None;
        } else {
            self.unsettled_since = Some(std::time::Instant::now());
        }
    }
}
