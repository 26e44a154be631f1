//! The right to write, and what one thread does for all of a batch: write, sync, tell.

use std::io;
use std::time::Instant;

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

    /// Leads the batch that gathers: writes, lets others flush, syncs. How it went stands in the state.
    pub(super) fn fly<M: Medium>(self, medium: &M) {
        let (chunk, flight) = self.depart(medium, true);
        let written = medium.write(&chunk);
        if let Err(failure) = written {
            flight.land(Err(failure));
            return self.end();
        }
        self.end();
        let synced = medium.sync(&chunk);
        medium.give_back(chunk);
        flight.land(synced);
    }

    /// Makes everything that is appended durable, and keeps the turn.
    pub(crate) fn sync<M: Medium>(&self, medium: &M) -> Result<(), Error> {
        let (chunk, flight) = self.depart(medium, false);
        let synced = medium.write(&chunk).and_then(|()| medium.sync(&chunk));
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
        state.flight = Some(flight);
        (chunk, Airborne { group: self.group, began: Instant::now(), landed: false })
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
    began: Instant,
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
        let Some(flight) = state.flight.take() else { return };
        match outcome {
            Ok(()) if state.poison.is_none() => {
                state.durable = flight.target;
                state.learn(self.began.elapsed());
                group.durable.store(state.durable.0, Ordering::Release);
            }
            // What a sync says after something else failed proves nothing.
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::Lsn;

    /// Nine records, of which four are durable. What a write or a sync does is up to the test.
    struct Scripted {
        write: Box<dyn Fn() + Sync>,
        sync: Box<dyn Fn() + Sync>,
    }

    impl Medium for Scripted {
        type Chunk = ();

        fn last(&self) -> Lsn {
            Lsn(9)
        }

        fn take(&self) -> ((), Lsn) {
            ((), Lsn(9))
        }

        fn write(&self, (): &()) -> Result<(), Failure> {
            (self.write)();
            Ok(())
        }

        fn sync(&self, (): &()) -> Result<(), Failure> {
            (self.sync)();
            Ok(())
        }

        fn give_back(&self, (): ()) {}
    }

    /// Says that it was called, waits until it is let go, and panics.
    fn unwinding() -> (Box<dyn Fn() + Sync>, Receiver<()>, Sender<()>) {
        let (entered, inside) = channel();
        let (go, gate) = channel::<()>();
        let ends = Mutex::new((entered, gate));
        let call = move || {
            let ends = ends.lock().unwrap();
            ends.0.send(()).unwrap();
            ends.1.recv().unwrap();
            panic!("unwinding on purpose");
        };
        (Box::new(call), inside, go)
    }

    fn all_are_told(medium: &Scripted, inside: &Receiver<()>, go: &Sender<()>) {
        let group = Arc::new(Group::new(Lsn(4), Duration::ZERO));
        std::thread::scope(|scope| {
            let leader = {
                let group = Arc::clone(&group);
                scope.spawn(move || catch_unwind(AssertUnwindSafe(|| group.sync_to(medium, Lsn(5)))).is_err())
            };
            inside.recv().unwrap();
            let waiting: Vec<_> = (5..=9)
                .map(|lsn| {
                    let group = Arc::clone(&group);
                    scope.spawn(move || group.sync_to(medium, Lsn(lsn)))
                })
                .collect();
            std::thread::sleep(Duration::from_millis(50));
            go.send(()).unwrap();
            for thread in waiting {
                assert!(matches!(thread.join().unwrap(), Err(Error::Poisoned { .. })));
            }
            assert!(leader.join().unwrap(), "the panic goes on its way");
        });
        assert!(matches!(group.check(), Err(Error::Poisoned { .. })));
        assert!(matches!(group.take_turn(true).map(Turn::end), Err(Error::Poisoned { .. })));
        assert_eq!(group.durable(), Lsn(4));
        group.sync_to(medium, Lsn(4)).unwrap();
    }

    #[test]
    fn a_sync_that_unwinds_closes_the_log_and_wakes_all_who_wait() {
        let (sync, inside, go) = unwinding();
        all_are_told(&Scripted { write: Box::new(|| {}), sync }, &inside, &go);
    }

    #[test]
    fn a_write_that_unwinds_closes_the_log_and_wakes_all_who_wait() {
        let (write, inside, go) = unwinding();
        all_are_told(&Scripted { write, sync: Box::new(|| {}) }, &inside, &go);
    }

    /// A group that has had company, and whose flights take twice as long as it waits.
    fn waiting(patience: Duration) -> Group {
        let group = Group::new(Lsn(4), patience);
        let mut state = group.state.lock();
        (state.company, state.pace) = (2, 2 * patience);
        drop(state);
        group
    }

    #[test]
    fn a_leader_waits_for_as_many_as_were_about_but_not_for_long() {
        let group = waiting(Duration::from_millis(20));
        let medium = Scripted { write: Box::new(|| {}), sync: Box::new(|| {}) };
        let begun = std::time::Instant::now();
        group.sync_to(&medium, Lsn(5)).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(20), "nobody came");
        assert_eq!(group.state.lock().company, 1, "and so nobody is waited for next time");
        // With company there is nothing to wait for.
        let group = waiting(Duration::from_secs(600));
        std::thread::scope(|scope| {
            for lsn in [5, 6] {
                let (group, medium) = (&group, &medium);
                scope.spawn(move || group.sync_to(medium, Lsn(lsn)).unwrap());
            }
        });
    }

    #[test]
    fn who_writes_again_and_again_lets_others_come_to_their_turn() {
        let medium = Scripted { write: Box::new(|| {}), sync: Box::new(|| {}) };
        // One who waits for a sync, and one who wants nobody else at work.
        for alone in [false, true] {
            let group = Group::new(Lsn(4), Duration::ZERO);
            let mut turn = group.take_turn(false).unwrap();
            std::thread::scope(|scope| {
                let (group, medium) = (&group, &medium);
                let other = scope.spawn(move || {
                    if alone { group.take_turn(true).map(Turn::end) } else { group.sync_to(medium, Lsn(9)) }
                });
                let waits = || {
                    let state = group.state.lock();
                    state.has_heir || state.waiting_alone > 0
                };
                while !waits() {
                    std::thread::yield_now();
                }
                for _ in 0..3 {
                    turn.end();
                    turn = group.take_turn(false).unwrap();
                }
                assert!(!waits(), "passed by, alone: {alone}");
                turn.end();
                other.join().unwrap().unwrap();
            });
        }
    }

    #[test]
    fn a_leader_who_waits_for_company_writes_nothing_once_the_log_is_closed() {
        let group = waiting(Duration::from_secs(600));
        let medium = Scripted { write: Box::new(|| panic!("written")), sync: Box::new(|| {}) };
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| group.sync_to(&medium, Lsn(5)));
            while !group.state.lock().gathering {
                std::thread::yield_now();
            }
            group.raise(unwound("sync"));
            assert!(matches!(leader.join().unwrap(), Err(Error::Poisoned { .. })));
        });
    }
}
