//! A disk that writes down what it is asked, so that a test can hold an engine to its cost and its order.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{Call, Disk, Layer, Verb};

/// Forwards to another disk and keeps a list of all calls that have a [`Verb`], from all threads, in the order they were
/// begun.
///
/// The list grows until it is [taken](RecordingDisk::take): an instrument for tests.
#[derive(Debug)]
pub struct RecordingDisk {
    inner: Arc<dyn Disk>,
    calls: Mutex<Vec<Call>>,
}

impl RecordingDisk {
    /// A recording disk over `inner`, with nothing recorded.
    #[must_use]
    pub fn new(inner: Arc<dyn Disk>) -> Self {
        Self { inner, calls: Mutex::new(Vec::new()) }
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    /// The calls so far, which are forgotten.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock())
    }

    /// How often `verb` was called.
    #[must_use]
    pub fn count(&self, verb: Verb) -> usize {
        self.calls.lock().iter().filter(|call| call.verb == verb).count()
    }

    /// How many calls changed something; see [`Verb::is_mutating`].
    #[must_use]
    pub fn mutations(&self) -> usize {
        self.calls.lock().iter().filter(|call| call.verb.is_mutating()).count()
    }

    /// How many syncs there were, of all four kinds.
    #[must_use]
    pub fn syncs(&self) -> usize {
        self.calls.lock().iter().filter(|call| call.verb.is_sync()).count()
    }
}

impl Layer for RecordingDisk {
    fn inner(&self) -> &dyn Disk {
        &*self.inner
    }

    fn before(&self, call: Call) -> io::Result<()> {
        self.calls.lock().push(call);
        Ok(())
    }
}
