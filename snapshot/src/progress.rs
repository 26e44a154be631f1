//! How far a snapshot that is being taken has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far a snapshot has come that is being taken: for somebody who watches from another thread. Clones are the same
/// numbers.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    entries: AtomicU64,
    bytes: AtomicU64,
    syncing: AtomicBool,
}

impl Progress {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries were recorded.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.0.entries.load(Ordering::Relaxed)
    }

    /// How many bytes were copied, those of files that had to be taken again among them.
    #[must_use]
    pub fn bytes_copied(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Whether everything is recorded, and on its way to the disk.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.0.syncing.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self) {
        self.0.entries.store(0, Ordering::Relaxed);
        self.0.bytes.store(0, Ordering::Relaxed);
        self.0.syncing.store(false, Ordering::Relaxed);
    }

    pub(crate) fn entry(&self) {
        self.0.entries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn copied(&self, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn syncs(&self) {
        self.0.syncing.store(true, Ordering::Relaxed);
    }
}

/// Two that are the same numbers.
impl PartialEq for Progress {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Progress {}
