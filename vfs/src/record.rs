//! A disk that writes down what it is asked, so that a test can hold an engine to its cost and its order.

mod forward;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{Disk, Verb};

/// One call, as it was asked; whether it succeeded is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub verb: Verb,
    /// The name or path it was asked for; empty for a verb that takes only a handle.
    pub name: OsString,
    /// The second name of `rename` and `hard_link`, the target of `symlink`, the key of an extended attribute.
    pub other: Option<OsString>,
    /// How many bytes were to be read or written.
    pub bytes: u64,
}

impl Call {
    fn new(verb: Verb, name: &OsStr) -> Self {
        Self { verb, name: name.to_os_string(), other: None, bytes: 0 }
    }

    fn with(self, other: &OsStr) -> Self {
        Self { other: Some(other.to_os_string()), ..self }
    }

    fn bytes(self, bytes: usize) -> Self {
        Self { bytes: bytes as u64, ..self }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.verb)?;
        if !self.name.is_empty() {
            write!(f, " {:?}", self.name)?;
        }
        if let Some(other) = &self.other {
            write!(f, " {other:?}")?;
        }
        if self.bytes > 0 {
            write!(f, " ({} bytes)", self.bytes)?;
        }
        Ok(())
    }
}

/// Forwards to another disk and keeps a list of all calls, from all threads, in the order they were begun.
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

    fn note(&self, call: Call) -> &dyn Disk {
        self.calls.lock().push(call);
        &*self.inner
    }

    fn handle(&self, verb: Verb) -> &dyn Disk {
        self.note(Call::new(verb, OsStr::new("")))
    }

    fn named(&self, verb: Verb, name: &OsStr) -> &dyn Disk {
        self.note(Call::new(verb, name))
    }
}
