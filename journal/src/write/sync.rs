//! The primitives that threads meet at: those of the standard library, or those of a checker that tries out their
//! orders (`--cfg shuttle`).

#[cfg(not(shuttle))]
use std::sync as imp;
use std::time::Duration;

#[cfg(shuttle)]
use shuttle::sync as imp;

pub(crate) use imp::MutexGuard;
pub(crate) use imp::atomic::{AtomicBool, AtomicU64, Ordering};

/// A mutex that a panic does not poison: what it guards is whole between any two statements, and where a panic means
/// more than that, a guard of its own closes the log.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(imp::PoisonError::into_inner)
    }
}

/// Where threads sleep until another has something to tell. Telling costs a system call, also where nobody sleeps.
#[derive(Debug, Default)]
pub(crate) struct Condvar(imp::Condvar);

impl Condvar {
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(imp::PoisonError::into_inner)
    }

    pub(crate) fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, patience: Duration) -> MutexGuard<'a, T> {
        self.0.wait_timeout(guard, patience).unwrap_or_else(imp::PoisonError::into_inner).0
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

#[cfg(shuttle)]
pub(crate) use shuttle::thread::{Builder, JoinHandle};
/// A thread of the log's own.
#[cfg(not(shuttle))]
pub(crate) use std::thread::{Builder, JoinHandle};
