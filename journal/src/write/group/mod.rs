//! Group commit: many threads wait, few of them write and sync, and one sync serves all that was written before it.
//!
//! Records gather in a buffer. Whoever needs one durable and finds nobody at work takes the buffer, writes it with one
//! call and syncs: a *flight*. Who comes while that is under way waits for the next one: the first of them is its
//! *heir*, the others follow. When a flight lands, the heir is woken before those who were served. But whoever comes by
//! before it is awake takes the batch along: waking up takes as long as a good part of a sync, and the disk is idle
//! meanwhile.
//!
//! By itself that makes two halves of any crowd, which take turns: who has just been served comes back while the others
//! fly, and has to wait for the next. So a leader waits a little for as many as were about, where the log allows it. It
//! is half of a flight at most; and where it waited in vain, twice as many flights as before go without.
//!
//! There is never a second sync at the same time. On the disks it was tried on, two small ones took longer than one
//! after the other. And the kernel tells an open file of a page that it could not write once, so that of two syncs one
//! would not hear of it. Once any write or sync has failed, no success of a later one counts.
//!
//! The scheme is the one of group commit in DeWitt et al., "Implementation Techniques for Main Memory Database Systems"
//! (1984), with the hand-over of leadership that database logs use today.

#[cfg(test)]
mod company_tests;
mod gate;
mod state;
mod turn;

use std::time::Duration;

use crate::Lsn;
use crate::error::{Error, Failure};
use crate::write::sync::{AtomicBool, AtomicU64, Condvar, Mutex, MutexGuard, Ordering};
use gate::Gate;
use state::{Calls, State};
pub(crate) use turn::Turn;

/// A flight and the batch after it have followers at a time.
const GATES: u64 = 2;

/// What is written and synced, as far as the group has to know.
pub(crate) trait Medium {
    type Chunk;
    /// The last record that was appended.
    fn last(&self) -> Lsn;
    /// Takes everything that is appended and not taken yet; gives it with the number of the last record.
    fn take(&self) -> (Self::Chunk, Lsn);
    fn write(&self, chunk: &Self::Chunk) -> Result<(), Failure>;
    /// Makes what was written so far durable.
    fn sync(&self, chunk: &Self::Chunk) -> Result<(), Failure>;
    fn give_back(&self, chunk: Self::Chunk);
}

#[derive(Debug)]
pub(crate) struct Group {
    state: Mutex<State>,
    /// For those who want to write and for whom others are in the way.
    turn: Condvar,
    /// For the heir, and for a leader who waits for company.
    heir: Condvar,
    /// For those who follow: by the number of their batch.
    gates: [Gate; 2],
    /// Copies of what stands in the state, to be read without it.
    durable: AtomicU64,
    closed: AtomicBool,
    patience: Duration,
}

impl Group {
    /// All up to `last` is durable.
    pub(crate) fn new(last: Lsn, patience: Duration) -> Self {
        Self {
            state: Mutex::new(State::new(last)),
            turn: Condvar::default(),
            heir: Condvar::default(),
            gates: Default::default(),
            durable: AtomicU64::new(last.0),
            closed: AtomicBool::new(false),
            patience,
        }
    }

    /// What is durable, where the log may still be written.
    pub(crate) fn check(&self) -> Result<Lsn, Error> {
        if self.closed.load(Ordering::Acquire) {
            self.state.lock().check()?;
        }
        Ok(self.durable())
    }

    pub(crate) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    /// What is durable, or will be where the sync that is under way succeeds.
    pub(crate) fn settling(&self) -> Lsn {
        let state = self.state.lock();
        state.flight.map_or(state.durable, |flight| flight.target.max(state.durable))
    }

    /// Closes the log where the failure leaves the disk in doubt; gives what the caller is told.
    pub(crate) fn raise(&self, failure: Failure) -> Error {
        if !failure.fatal {
            return failure.into();
        }
        let mut state = self.state.lock();
        self.close(&mut state, failure);
        state.check().err().unwrap_or(Error::Exhausted)
    }

    /// The first failure is the one that is told. Everybody who waits is woken, and nobody waits again.
    fn close(&self, state: &mut State, failure: Failure) {
        state.poison(failure);
        self.closed.store(true, Ordering::Release);
        self.turn.notify_all();
        self.heir.notify_all();
        for gate in &self.gates {
            gate.open();
        }
    }

    /// Returns once `wanted` is durable. A record that became durable before the log was closed still is.
    pub(crate) fn sync_to<M: Medium>(&self, medium: &M, wanted: Lsn) -> Result<(), Error> {
        if self.durable() >= wanted {
            return Ok(());
        }
        let last = medium.last();
        if wanted > last {
            return self.state.lock().check().and(Err(Error::NotAppended { wanted, last }));
        }
        let mut state = self.state.lock();
        state.inside += 1;
        let (mut state, result) = self.see_to(state, medium, wanted);
        state.inside -= 1;
        result
    }

    /// Leads, inherits and follows until `wanted` is durable.
    fn see_to<'a, M: Medium>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        medium: &M,
        wanted: Lsn,
    ) -> (MutexGuard<'a, State>, Result<(), Error>) {
        loop {
            if state.durable >= wanted {
                return (state, Ok(()));
            }
            if let Err(error) = state.check() {
                return (state, Err(error));
            }
            let batch = if let Some(flight) = state.carrier(wanted) {
                flight.members += 1;
                flight.batch
            } else if state.may_lead() {
                self.lead(state, medium);
                state = self.state.lock();
                continue;
            } else if state.has_heir {
                state.followers += 1;
                self.meet(&state);
                state.batch
            } else {
                state = self.inherit(state, wanted);
                continue;
            };
            let gate = self.gate(batch);
            let seen = gate.times();
            drop(state);
            gate.wait(seen, || self.durable() >= wanted || self.closed.load(Ordering::Acquire));
            state = self.state.lock();
        }
    }

    /// Waits until the batch that gathers may go. It may go with somebody else who comes at the right moment: what is
    /// on the processor already is faster than what is just being woken.
    fn inherit<'a>(&self, mut state: MutexGuard<'a, State>, wanted: Lsn) -> MutexGuard<'a, State> {
        let batch = state.batch;
        state.has_heir = true;
        state.heirs += 1;
        self.meet(&state);
        while state.poison.is_none() && state.batch == batch && state.durable < wanted && !state.may_lead() {
            state = self.heir.wait(state);
        }
        state.heirs -= 1;
        if state.batch == batch {
            state.has_heir = false;
            if state.durable >= wanted {
                // It was made durable on the way to the next segment. Those who came since look for a new heir.
                state.followers = 0;
                state.batch += 1;
                self.gate(batch).open();
                self.call(state.calls());
            }
        }
        state
    }

    /// Takes the batch that gathers, and everybody with it.
    fn lead<M: Medium>(&self, mut state: MutexGuard<'_, State>, medium: &M) {
        if !self.patience.is_zero() && state.present() < state.company && state.hope.is_left() {
            state = self.gather(state);
        }
        if state.poison.is_none() {
            self.begin(state).fly(medium);
        }
    }

    /// Waits for as many as are about, for half of what a flight takes at most: without them there would be two flights in
    /// the place of one, each with half of them, for ever.
    fn gather<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let before = state.present();
        let patience = self.patience.min(state.pace / 2);
        (state.writing, state.gathering) = (true, true);
        state = self.heir.wait_for(state, patience);
        (state.writing, state.gathering) = (false, false);
        let somebody_came = state.present() > before;
        state.hope.learn(somebody_came);
        state
    }

    /// A leader who waits for company looks again when it is complete.
    fn meet(&self, state: &State) {
        if state.gathering && state.present() >= state.company {
            self.heir.notify_all();
        }
    }

    fn gate(&self, batch: u64) -> &Gate {
        let at = usize::try_from(batch % GATES).unwrap_or(0);
        &self.gates[at]
    }

    /// Returns when nobody else writes; with `alone`, when no sync is under way either. From then on nobody does, until
    /// the turn ends.
    ///
    /// Who only writes lets others go first who may go now: it would be back before they are awake, again and again.
    pub(crate) fn take_turn(&self, alone: bool) -> Result<Turn<'_>, Error> {
        let mut state = self.state.lock();
        while state.poison.is_none() && (if alone { !state.is_idle() } else { state.is_taken() }) {
            state.waiting += 1;
            state.waiting_alone += u32::from(alone);
            state = self.turn.wait(state);
            state.waiting -= 1;
            state.waiting_alone -= u32::from(alone);
        }
        state.check()?;
        Ok(self.begin(state))
    }

    /// A turn, if it can be had at once.
    pub(crate) fn try_turn(&self) -> Option<Turn<'_>> {
        let state = self.state.lock();
        let free = !state.is_taken() && state.poison.is_none();
        free.then(|| self.begin(state))
    }

    fn begin(&self, mut state: MutexGuard<'_, State>) -> Turn<'_> {
        state.writing = true;
        Turn::new(self)
    }

    fn call(&self, calls: Calls) {
        if calls.heir {
            self.heir.notify_all();
        }
        if calls.turn {
            self.turn.notify_all();
        }
    }
}
