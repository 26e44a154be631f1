//! A disk on which something happens after each call.

use std::fmt;

use treewal_vfs::{Disk, Layer, Verb};

/// Forwards to `inner` and then calls `after` with what was done.
pub(crate) struct Hooked<D, F> {
    pub(crate) inner: D,
    pub(crate) after: F,
}

impl<D: fmt::Debug, F> fmt::Debug for Hooked<D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<D: Disk, F: Fn(Verb) + Send + Sync> Layer for Hooked<D, F> {
    fn inner(&self) -> &dyn Disk {
        &self.inner
    }

    fn after(&self, verb: Verb) {
        (self.after)(verb);
    }
}
