//! Group commit: many threads wait, one of them syncs, and one sync serves all that was written before it began.
//!
//! Whoever finds its record not durable and nobody syncing becomes the leader: it takes note of what is written, gives
//! the lock away, syncs, and publishes what it took note of. Everybody else sleeps and looks again. While the leader
//! syncs, others append; the next leader's sync covers them all.
//!
//! There is never a second sync at the same time, also not of a segment that is full: the kernel reports a failure to
//! one of two, and the other would acknowledge what is lost.

use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};
use treewal_vfs::{Disk, File};

use crate::error::{Error, Failure};
use crate::{Lsn, name};

#[derive(Debug)]
pub(crate) struct Group {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The segment that is written. Everything in the ones before it is durable.
    file: File,
    seq: u64,
    written: Lsn,
    durable: Lsn,
    syncing: bool,
    poison: Option<Poison>,
}

/// The failure that closed the log, for everybody who asks.
#[derive(Debug, Clone)]
struct Poison {
    verb: &'static str,
    name: String,
    source: Arc<io::Error>,
}

impl State {
    fn check(&self) -> Result<(), Error> {
        match self.poison.clone() {
            None => Ok(()),
            Some(Poison { verb, name, source }) => Err(Error::Poisoned { verb, name, source }),
        }
    }

    /// The first failure is the one that is told.
    fn poison(&mut self, failure: Failure) {
        let Failure { verb, name, source, .. } = failure;
        self.poison.get_or_insert_with(|| Poison { verb, name, source: Arc::new(source) });
    }
}

impl Group {
    /// All up to `last` is durable in `file`, segment `seq`.
    pub(crate) fn new(file: File, seq: u64, last: Lsn) -> Self {
        let state = State { file, seq, written: last, durable: last, syncing: false, poison: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// What is durable, where the log may still be written.
    pub(crate) fn check(&self) -> Result<Lsn, Error> {
        let state = self.state.lock();
        state.check().map(|()| state.durable)
    }

    pub(crate) fn durable(&self) -> Lsn {
        self.state.lock().durable
    }

    pub(crate) fn written(&self) -> Lsn {
        self.state.lock().written
    }

    /// Everything up to `last` has been written to the current segment.
    pub(crate) fn wrote(&self, last: Lsn) -> Result<(), Error> {
        let mut state = self.state.lock();
        state.written = last;
        state.check()
    }

    /// From here on `file` is written. All of the segment before is durable, so nobody is syncing it.
    pub(crate) fn switch(&self, file: File, seq: u64) {
        let mut state = self.state.lock();
        debug_assert!(state.durable == state.written && !state.syncing);
        state.file = file;
        state.seq = seq;
    }

    /// Closes the log where the failure leaves the disk in doubt; gives what the caller is told.
    pub(crate) fn raise(&self, failure: Failure) -> Error {
        if !failure.fatal {
            return failure.into();
        }
        let mut state = self.state.lock();
        state.poison(failure);
        self.changed.notify_all();
        match state.check() {
            Err(error) => error,
            Ok(()) => Error::Exhausted,
        }
    }

    /// Returns once `wanted` is durable. A record that became durable before the log was closed still is.
    pub(crate) fn sync_to(&self, disk: &dyn Disk, wanted: Lsn) -> Result<(), Error> {
        let mut state = self.state.lock();
        loop {
            if state.durable >= wanted {
                return Ok(());
            }
            state.check()?;
            if wanted > state.written {
                return Err(Error::NotAppended { wanted, last: state.written });
            }
            if state.syncing {
                self.changed.wait(&mut state);
            } else {
                self.lead(state, |file| disk.sync_data(file));
                state = self.state.lock();
            }
        }
    }

    /// Syncs what is written now. The outcome stands in the state for everybody, the leader too.
    fn lead(&self, mut state: MutexGuard<'_, State>, sync: impl FnOnce(&File) -> io::Result<()>) {
        state.syncing = true;
        let file = state.file.clone();
        let mut turn = Turn { group: self, seq: state.seq, target: state.written, outcome: Err(unwound()) };
        drop(state);
        turn.outcome = sync(&file);
    }

    /// Closes the log if the value is dropped before it is [disarmed](Armed::disarm): for a write that unwinds.
    pub(crate) fn arm(&self, verb: &'static str, seq: u64) -> Armed<'_> {
        Armed { group: self, verb, seq, live: true }
    }
}

/// The turn of a leader. It ends with the value, however the sync went, so that nobody waits for ever.
struct Turn<'a> {
    group: &'a Group,
    seq: u64,
    target: Lsn,
    outcome: io::Result<()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.group.state.lock();
        state.syncing = false;
        match std::mem::replace(&mut self.outcome, Ok(())) {
            Ok(()) => state.durable = state.durable.max(self.target),
            Err(source) => {
                state.poison(Failure { verb: "sync", name: name::segment(self.seq), source, fatal: true });
            }
        }
        self.group.changed.notify_all();
    }
}

/// See [`Group::arm`].
pub(crate) struct Armed<'a> {
    group: &'a Group,
    verb: &'static str,
    seq: u64,
    live: bool,
}

impl Armed<'_> {
    pub(crate) fn disarm(mut self) {
        self.live = false;
    }
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        if self.live {
            let failure = Failure { verb: self.verb, name: name::segment(self.seq), source: unwound(), fatal: true };
            self.group.state.lock().poison(failure);
            self.group.changed.notify_all();
        }
    }
}

fn unwound() -> io::Error {
    io::Error::other("the call did not return")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;

    use treewal_vfs::Open;
    use treewal_vfs::sim::SimDisk;

    use super::*;

    fn group() -> (SimDisk, Group) {
        let disk = SimDisk::new();
        let root = disk.open_root("/".as_ref()).unwrap();
        let file = disk.open(&root, OsStr::new("file"), Open::CreateNew { mode: 0o600 }).unwrap();
        let group = Group::new(file, 1, Lsn(4));
        group.wrote(Lsn(9)).unwrap();
        (disk, group)
    }

    #[test]
    fn a_sync_that_unwinds_closes_the_log_and_wakes_all_who_wait() {
        let (disk, group) = group();
        let (entered, inside) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| {
                let sync = move |_: &File| -> io::Result<()> {
                    entered.send(()).unwrap();
                    gate.recv().unwrap();
                    panic!("unwinding on purpose");
                };
                catch_unwind(AssertUnwindSafe(|| group.lead(group.state.lock(), sync)))
            });
            inside.recv().unwrap();
            let (group, disk) = (&group, &disk);
            let wait = |lsn| scope.spawn(move || group.sync_to(disk, Lsn(lsn)));
            let waiting: Vec<_> = (5..=9).map(wait).collect();
            // Appending goes on while somebody syncs.
            group.wrote(Lsn(10)).unwrap();
            go.send(()).unwrap();
            assert!(leader.join().unwrap().is_err());
            for waiting in waiting {
                assert!(matches!(waiting.join().unwrap(), Err(Error::Poisoned { verb: "sync", .. })));
            }
        });
        assert!(group.sync_to(&disk, Lsn(4)).is_ok(), "what was durable still is");
        assert!(matches!(group.check(), Err(Error::Poisoned { .. })));
    }

    #[test]
    fn a_write_that_unwinds_closes_the_log() {
        let (_, group) = group();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _armed = group.arm("write", 3);
            panic!("unwinding on purpose");
        }));
        assert!(unwound.is_err());
        assert!(matches!(group.check(), Err(Error::Poisoned { verb: "write", .. })));
    }

    #[test]
    fn what_is_written_while_somebody_syncs_is_not_acknowledged_by_that_sync() {
        let (disk, group) = group();
        group.lead(group.state.lock(), |_| group.wrote(Lsn(12)).map_err(io::Error::other));
        assert_eq!((group.durable(), group.written()), (Lsn(9), Lsn(12)));
        group.sync_to(&disk, Lsn(12)).unwrap();
        assert_eq!((group.durable(), disk.syncs()), (Lsn(12), 1));
    }

    #[test]
    fn the_first_failure_is_the_one_that_is_told() {
        let (_, group) = group();
        let failure = |verb, fatal| Failure { verb, name: "x".to_owned(), source: unwound(), fatal };
        assert!(matches!(group.raise(failure("look at", false)), Error::Io { .. }));
        assert!(group.check().is_ok());
        assert!(matches!(group.raise(failure("sync", true)), Error::Poisoned { verb: "sync", .. }));
        assert!(matches!(group.raise(failure("write", true)), Error::Poisoned { verb: "sync", .. }));
    }
}
