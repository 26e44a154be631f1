//! Holding the tree: the time in which commits of this handle may go on, and nobody else's.
//!
//! A hold is *alone*, for a checkpoint, a guard or a commit that moves entries, or it is *shared* by commits whose
//! [claims](Claim) do not meet. Holds that are shared at the same time are a *batch*: its first takes the lock of the tree,
//! its last gives it back. Who wants to be alone, and who meets the claim of one under way, waits; nobody joins a batch
//! while somebody waits to be alone, nor one that has gone on for long, so that other processes get their turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use treewal_journal::record::{Begin, Record};
use treewal_journal::{Log, Lsn};
use treewal_recovery::{Batch, append};
use treewal_vfs::RelPath;

use super::mine::Own;
use super::{Claim, Core, Held, Scope, State};
use crate::{Error, Result};

/// After so many commits a batch takes in no more.
pub(super) const BATCH_MAX: u32 = 128;

/// A hold on the tree. Dropping it gives it back.
pub(crate) struct Hold<'a> {
    engine: &'a Core,
    /// Which place of the batch; `None` where it is alone.
    seat: Option<u64>,
    /// Whether records were appended that promise something, which is neither kept nor taken back yet. A hold that is dropped
    /// then, by a failure or a panic, stops the handle.
    owes: bool,
}

/// What a commit changed in the tree that is not durable there yet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Changed<'a> {
    /// Nothing: it is synced already.
    Nothing,
    /// The paths of a claim.
    Claimed(&'a Arc<Claim>),
    /// What no list of paths names.
    Anything,
}

impl Core {
    /// Takes the tree for a piece of work that has nothing to fear from the guards of this handle, nor they from it.
    pub(crate) fn hold_beside_guards(&self) -> Result<Hold<'_>> {
        // Before the lock of the state, which the other process may have held as it was forked.
        self.prove_own_process()?;
        let mut state = self.state.lock();
        self.wait_alone(&mut state);
        self.enter_alone(state)
    }

    /// With nothing under way. A guard has the lock of the tree already.
    pub(super) fn enter_alone(&self, mut state: MutexGuard<'_, State>) -> Result<Hold<'_>> {
        if state.guards.is_empty() {
            self.enter(&mut state, self.options.lock_wait)?;
        } else {
            self.may_go_on(&mut state)?;
        }
        state.alone = true;
        Ok(Hold { engine: self, seat: None, owes: false })
    }

    /// Waits until nothing is under way. Guards are none of it.
    pub(super) fn wait_alone(&self, state: &mut MutexGuard<'_, State>) {
        let _span = tracing::debug_span!("turn_wait").entered();
        state.waiting_alone += 1;
        while state.is_busy() {
            self.changed.wait(state);
        }
        state.waiting_alone -= 1;
        // Whoever waits because this one did is free to go on where it fails, and waits for it where it does not.
        self.changed.notify_all();
    }

    /// Takes the tree together with others whose claims do not meet this one.
    pub(crate) fn join(&self, claim: &Arc<Claim>) -> Result<Hold<'_>> {
        // Before the lock of the state, which the other process may have held as it was forked.
        self.prove_own_process()?;
        let span = tracing::debug_span!("turn_wait").entered();
        let mut state = self.state.lock();
        loop {
            let met = |guard: &Arc<Held>| Some((Arc::clone(guard), guard.met_by(claim)?.clone()));
            if let Some((guard, path)) = state.guards.iter().find_map(met) {
                self.wait_for_guard(&mut state, &guard, &path)?;
            } else if state.keeps_out(claim) {
                self.changed.wait(&mut state);
            } else {
                break;
            }
        }
        drop(span);
        if state.is_busy() || !state.guards.is_empty() {
            self.may_go_on(&mut state)?;
        } else {
            self.enter(&mut state, self.options.lock_wait)?;
        }
        if let Err(error) = state.refuse_owed(claim, &[]) {
            self.leave(&state);
            return Err(error);
        }
        if state.seats.is_empty() {
            state.batch_commits = 0;
            state.batch_floor = state.log.as_ref().map_or(Lsn::ZERO, |log| log.last());
        }
        state.seats_taken += 1;
        let seat = state.seats_taken;
        state.seats.push((seat, Arc::clone(claim)));
        state.batch_commits += 1;
        Ok(Hold { engine: self, seat: Some(seat), owes: false })
    }

    /// Takes the lock of the tree, when none of this handle's work is under way.
    pub(super) fn enter(&self, state: &mut MutexGuard<'_, State>, wait: Duration) -> Result<()> {
        self.prove_own_process()?;
        let span = tracing::debug_span!("lock_wait").entered();
        let own = self.own();
        let wait = if own.is_any() { Duration::ZERO } else { wait };
        let taken = self.lock.take(&self.home, wait);
        // Where the taking failed half way, the lock file may already say that this handle had it last.
        state.in_doubt |= taken.as_ref().is_err_and(|error| !matches!(error, treewal_recovery::Error::Locked { .. }));
        let taken = taken.map_err(|error| self.locked(error, own))?;
        drop(span);
        let entered = self.catch_up(state, taken).and_then(|()| self.may_go_on(state));
        if entered.is_err() {
            self.give_back(state);
        }
        entered
    }

    /// An error of taking the lock, for a thread that has this of the tree already.
    pub(super) fn locked(&self, error: treewal_recovery::Error, own: Own) -> Error {
        Error::from_lock(error, self.lock.me(), own)
    }

    /// The journal; not where a sync of anything has failed: what this handle would call durable may not be.
    pub(super) fn log_of(&self, state: &mut State) -> Result<Arc<Log>> {
        if self.home.has_failed() {
            state.log = None;
        }
        state.log.clone().ok_or(Error::Poisoned)
    }

    pub(super) fn may_go_on(&self, state: &mut State) -> Result<()> {
        self.log_of(state).map(drop)
    }

    /// Gives the lock of the tree back, unless something is under way for which it must be kept.
    pub(super) fn leave(&self, state: &State) {
        if state.guards.is_empty() && !state.is_busy() {
            self.give_back(state);
        }
        self.changed.notify_all();
    }

    fn give_back(&self, state: &State) {
        let left = Self::left(state).filter(|_| !self.home.has_failed());
        if let Err(error) = self.lock.release(&self.home, left) {
            // The kernel gives it back with the handle at the latest; until then others wait.
            tracing::error!(%error, "the tree's lock could not be given back");
        }
    }

    /// Takes the hold back from a guard, to end it, with those that are in it: the directory's lock is held already. Gives
    /// them, the one itself first; `None` where it has ended with one around it.
    pub(crate) fn resume(&self, txn: u64) -> Option<(Hold<'_>, Vec<Arc<Held>>)> {
        let mut state = self.state.lock();
        self.wait_alone(&mut state);
        let mut ending: Vec<Arc<Held>> = Vec::new();
        // What is inside another guard comes after it.
        for guard in &state.guards {
            let inside = guard.outer.is_some_and(|outer| ending.iter().any(|ending| ending.txn() == outer));
            if guard.txn() == txn || inside {
                ending.push(Arc::clone(guard));
            }
        }
        ending.first()?;
        state.guards.retain(|guard| !ending.iter().any(|ending| Arc::ptr_eq(ending, guard)));
        state.alone = true;
        Some((Hold { engine: self, seat: None, owes: true }, ending))
    }
}

impl State {
    /// Whether any work of this handle is under way, for which it has the lock of the tree. A guard has it, too, and is none.
    pub(super) fn is_busy(&self) -> bool {
        self.alone || self.beside || !self.seats.is_empty()
    }

    /// Whether a commit with this claim has to wait.
    fn keeps_out(&self, claim: &Claim) -> bool {
        self.alone
            || self.waiting_alone > 0
            || !self.seats.is_empty() && self.batch_commits >= BATCH_MAX
            || self.seats.iter().any(|(_, other)| other.meets(claim))
    }
}

impl Hold<'_> {
    /// Keeps the lock of the directory beyond this hold, for a guard.
    pub(crate) fn keep_for_guard(mut self, guard: Arc<Held>) {
        self.owes = false;
        self.engine.state.lock().guards.push(guard);
    }

    /// The guards that go on, and have something of this.
    pub(crate) fn guards_over(&self, scope: &Scope) -> Vec<Arc<Held>> {
        let state = self.engine.state.lock();
        state.guards.iter().filter(|guard| guard.shared_with(scope).is_some()).cloned().collect()
    }

    /// Whether this guard goes on, and none inside it.
    pub(crate) fn is_innermost(&self, txn: u64) -> bool {
        let state = self.engine.state.lock();
        let goes_on = state.guards.iter().any(|guard| guard.txn() == txn);
        goes_on && !state.guards.iter().any(|guard| guard.outer == Some(txn))
    }

    /// Refuses what meets a transaction that is owed.
    ///
    /// # Errors
    /// [`Error::Pending`].
    pub(crate) fn refuse_owed(&self, claim: &Claim, patterns: &[RelPath]) -> Result<()> {
        self.engine.state.lock().refuse_owed(claim, patterns)
    }

    pub(crate) fn log(&self) -> Result<Arc<Log>> {
        self.engine.log_of(&mut self.engine.state.lock())
    }

    /// The number that the next transaction gets, where this hold is alone: the LSN of its first record.
    pub(crate) fn next_txn(&self) -> Result<u64> {
        Ok(self.log()?.last().0 + 1)
    }

    /// Appends records as one batch; not durable before [`sync`](Self::sync).
    ///
    /// An error here is undecided only where the log says so: it may have been written in part.
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<Lsn> {
        let log = self.log()?;
        let _order = self.engine.appending.lock();
        let lsn = append(&log, records).map_err(|error| self.judge(error))?;
        self.owes = true;
        Ok(lsn)
    }

    /// Appends a staged transaction: its beginning, its intents and its commit record. Gives its number, which is the LSN
    /// of its first record, and that of its last.
    ///
    /// The number must be known before the records are written, and nobody may take it meanwhile: hence the mutex, which
    /// is held while bytes are copied and written, and never during a sync.
    pub(crate) fn append_staged(
        &mut self,
        begin: Begin,
        intents: &Batch,
        commit: impl FnOnce(u64) -> Record,
    ) -> Result<(u64, Lsn)> {
        let log = self.log()?;
        let _order = self.engine.appending.lock();
        let txn = log.last().0 + 1;
        let mut ends = Batch::default();
        let appended = ends.extend(&[Record::Begin(Begin { txn, ..begin }), commit(txn)]).and_then(|()| {
            let mut frames: Vec<(u8, &[u8])> = ends.frames().take(1).collect();
            frames.extend(intents.frames());
            frames.extend(ends.frames().skip(1));
            Ok(log.append(&frames)?)
        });
        let lsn = appended.map_err(|error| self.judge(error))?;
        self.owes = true;
        Ok((txn, lsn))
    }

    /// The log, for what was appended to it: where it is not trusted any more, what was appended may be found all the same.
    fn log_of_promise(&self) -> Result<Arc<Log>> {
        self.log().map_err(|error| Error::Undecided { source: Box::new(error) })
    }

    /// Makes everything appended durable. Who syncs at the same time shares one sync.
    pub(crate) fn sync(&mut self, upto: Lsn) -> Result<()> {
        let log = self.log_of_promise()?;
        log.sync_to(upto).map_err(|error| self.judge(treewal_recovery::Error::Journal(error)))
    }

    /// An error of the log, and what it means for the handle: a log that is poisoned is not used again.
    fn judge(&self, error: treewal_recovery::Error) -> Error {
        let poisoned = matches!(&error, treewal_recovery::Error::Journal(treewal_journal::Error::Poisoned { .. }));
        let error = Error::from_recovery(error);
        if !poisoned {
            return error;
        }
        self.poison();
        Error::Undecided { source: Box::new(error) }
    }

    /// Stops this handle from trusting its journal: only opening the tree again decides what is on the disk.
    ///
    /// Commits of the same batch that are past their commit point go on: their records are durable, and each applies
    /// what nobody else touches.
    fn poison(&self) {
        self.engine.state.lock().log = None;
    }

    pub(crate) fn is_unsettled(&self) -> bool {
        self.engine.state.lock().unsettled.is_some()
    }

    /// Hands everything appended to the kernel: it survives a kill, and no power loss.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let log = self.log_of_promise()?;
        log.flush().map_err(|error| self.judge(treewal_recovery::Error::Journal(error)))
    }

    /// Whether a commit whose records are flushed would replace, in the tree, what a durable one has put there. Its own
    /// records must be durable before it does: a power loss could take them and keep its renames, and recovery would find
    /// something that no record names where the durable one belongs.
    ///
    /// A sync that begins after this covers what is flushed, so only those count that are done or under way.
    pub(crate) fn replaces_durable(&mut self, claim: &Claim) -> Result<bool> {
        let settling = self.log_of_promise()?.settling();
        Ok(self.engine.state.lock().touched.is_replaced_by(claim, settling))
    }

    /// Notes a commit that no checkpoint covers yet, with what it changed in the tree, and the slots of what it displaced.
    ///
    /// Call it when the commit is applied, or was undone: it owes nothing any more.
    pub(crate) fn note_commit(&mut self, lsn: Lsn, changed: Changed<'_>, displaced: impl IntoIterator<Item = u64>) {
        self.owes = false;
        let mut state = self.engine.state.lock();
        match changed {
            Changed::Nothing => {}
            Changed::Claimed(claim) => state.touched.add(lsn, claim),
            Changed::Anything => state.touched.add_anything(lsn),
        }
        state.unsettled = state.unsettled.max(Some(lsn));
        if state.unsettled_since.is_none() {
            state.unsettled_since = Some(Instant::now());
            if self.engine.options.checkpoint_age.is_some() {
                // The helper looks at the clock from now on.
                self.engine.wanted.notify_one();
            }
        }
        state.garbage.extend(displaced);
    }

    /// A checkpoint, by a hold that is alone.
    pub(crate) fn checkpoint(&mut self) -> Result<()> {
        debug_assert!(self.seat.is_none());
        self.engine.checkpoint_held(&mut self.engine.state.lock())
    }

    /// The same at the end of a commit that stands alone: what it displaced may wait for its removal.
    pub(crate) fn checkpoint_alone(&mut self) -> Result<()> {
        debug_assert!(self.seat.is_none());
        self.engine.checkpoint_alone(&mut self.engine.state.lock())
    }

    /// Syncs the file system, then records how transactions ended, and that the journal may forget all there is in it. By a hold
    /// that is alone.
    pub(crate) fn settle(&mut self, ends: Vec<Record>) -> Result<()> {
        debug_assert!(self.seat.is_none());
        self.engine.settle(&mut self.engine.state.lock(), ends, None)?;
        self.owes = false;
        Ok(())
    }

    /// Syncs the tree, then records that a staged transaction was undone.
    ///
    /// Its record must not reach the disk before what it says is true. Others of the batch may be between their commit
    /// point and their renames, so nothing is said about them: no checkpoint.
    pub(crate) fn record_undone(&mut self, txn: u64) -> Result<()> {
        let root = &self.engine.home.root;
        self.engine.home.disk.sync_all(root).map_err(|source| Error::from_os("sync", ".".into(), source))?;
        let lsn = self.append(&[Record::Rollback { txn }])?;
        self.sync(lsn)?;
        self.note_commit(lsn, Changed::Nothing, []);
        Ok(())
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut state = self.engine.state.lock();
        match self.seat {
            Some(seat) => state.seats.retain(|(taken, _)| *taken != seat),
            None => state.alone = false,
        }
        if self.owes {
            // Nobody, this handle included, may take the tree for one in order.
            state.log = None;
        }
        self.engine.leave(&state);
    }
}
