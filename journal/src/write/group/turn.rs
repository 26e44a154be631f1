//! The right to write, and what one thread does for all of a batch: write, sync, tell.

use std::io;

use super::state::Flight;
use super::{Group, Medium};
use crate::error::{Error, Failure};
use crate::write::sync::Ordering;

/// The right to write. It ends with [`Turn::end`]; where it is dropped before, something unwound, and the log is closed.
#[must_use]
pub(crate) struct Turn<'a> {
    group: &'a Group,
    ended: bool,
}

impl<'a> Turn<'a> {
    pub(super) fn new(group: &'a Group) -> Self {
        Self { group, ended: false }
    }

    /// Leads the batch that gathers: writes, lets others write, syncs. How it went stands in the state.
    pub(super) fn fly<M: Medium>(self, medium: &M) {
        let (chunk, flight) = self.depart(medium, true);
        let written = medium.write(&chunk);
        if let Err(failure) = written {
            flight.land(Err(failure));
            return self.end();
        }
        self.end();
        let synced = medium.sync(&chunk, flight.slot);
        medium.give_back(chunk);
        flight.land(synced);
    }

    /// Makes everything that is appended durable, and keeps the turn.
    pub(crate) fn sync<M: Medium>(&self, medium: &M) -> Result<(), Error> {
        let (chunk, flight) = self.depart(medium, false);
        let synced = medium.write(&chunk).and_then(|()| medium.sync(&chunk, flight.slot));
        medium.give_back(chunk);
        flight.land(synced);
        self.group.check().map(drop)
    }

    /// Hands everything that is appended to the kernel.
    pub(crate) fn write<M: Medium>(&self, medium: &M) -> Result<(), Error> {
        let (chunk, _) = medium.take();
        let written = medium.write(&chunk);
        medium.give_back(chunk);
        written.map_err(|failure| self.group.raise(failure))
    }

    /// Takes the batch for a flight. Who leads it takes those who wait for it along; else they keep their heir.
    fn depart<M: Medium>(&self, medium: &M, leads: bool) -> (M::Chunk, Airborne<'a>) {
        let mut state = self.group.state.lock();
        let (chunk, target) = medium.take();
        let mut flight = Flight { batch: state.batch, target, members: 1 };
        if leads {
            flight.members += std::mem::take(&mut state.followers);
            state.has_heir = false;
            state.batch += 1;
        }
        let slot = usize::from(state.flights[0].is_some());
        state.flights[slot] = Some(flight);
        (chunk, Airborne { group: self.group, slot, landed: false })
    }

    pub(crate) fn end(mut self) {
        self.ended = true;
        let mut state = self.group.state.lock();
        state.writing = false;
        let calls = state.calls();
        drop(state);
        self.group.call(calls);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.group.raise(unwound("write"));
        }
    }
}

/// A flight under way. However it ends, nobody waits for ever.
struct Airborne<'a> {
    group: &'a Group,
    slot: usize,
    landed: bool,
}

impl Airborne<'_> {
    fn land(mut self, outcome: Result<(), Failure>) {
        self.landed = true;
        self.finish(outcome);
    }

    fn finish(&self, outcome: Result<(), Failure>) {
        let group = self.group;
        let mut state = group.state.lock();
        let Some(flight) = state.flights[self.slot].take() else { return };
        match outcome {
            Ok(()) if state.poison.is_none() => {
                state.durable = state.durable.max(flight.target);
                state.company = flight.members;
                group.durable.store(state.durable.0, Ordering::Release);
            }
            // What a sync says after another one failed proves nothing.
            Ok(()) => {}
            Err(failure) => group.close(&mut state, failure),
        }
        let calls = state.calls();
        drop(state);
        group.call(calls);
        if flight.members > 1 {
            group.gate(flight.batch).open();
        }
    }
}

impl Drop for Airborne<'_> {
    fn drop(&mut self) {
        if !self.landed {
            self.finish(Err(unwound("sync")));
        }
    }
}

fn unwound(verb: &'static str) -> Failure {
    let source = io::Error::other("the call did not return");
    Failure { verb, name: crate::name::DIR.to_owned(), source, fatal: true }
}
