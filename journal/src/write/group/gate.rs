//! Where the followers of a batch sleep until it has landed.

use crate::write::sync::{AtomicU64, Condvar, Mutex, Ordering};

/// Opens again and again: whoever saw it before it opened is let through.
#[derive(Debug, Default)]
pub(super) struct Gate {
    lock: Mutex<()>,
    times: AtomicU64,
    opened: Condvar,
}

impl Gate {
    pub(super) fn times(&self) -> u64 {
        self.times.load(Ordering::Acquire)
    }

    /// Returns when the gate has opened since it was `seen`, or `until` holds.
    pub(super) fn wait(&self, seen: u64, until: impl Fn() -> bool) {
        let mut guard = self.lock.lock();
        while self.times() == seen && !until() {
            guard = self.opened.wait(guard);
        }
    }

    pub(super) fn open(&self) {
        // Whoever looked before and is not asleep yet holds the lock.
        let guard = self.lock.lock();
        self.times.fetch_add(1, Ordering::Release);
        drop(guard);
        self.opened.notify_all();
    }
}
