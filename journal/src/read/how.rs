//! How a log is read.

use crate::TreeId;

/// How the bytes of a segment come to the reader. What it finds is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// They are read into memory, a part at a time: for everybody.
    #[default]
    Buffered,
    /// The file is mapped, where its file system is known to allow it; a file that cannot be mapped, or of which the
    /// disk refuses a part, is read. Faster for large logs that are in the page cache.
    ///
    /// **Only for who holds the lock of the log**, so that nobody writes it: a file that becomes shorter while it is
    /// mapped kills the process. See [`Mapping`](treewal_vfs::Mapping) for what remains even then.
    Mapped,
}

/// How a log is read: for [`Reader::scan_with`](crate::Reader::scan_with).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanOptions {
    /// The tree that the log should belong to; `None` for the one that its oldest segment names.
    pub tree: Option<TreeId>,
    /// Where the bytes come from.
    pub source: Source,
    /// How many threads check segments, the one that calls among them; at least 1, and no more than
    /// [`SCAN_THREADS_MAX`](crate::SCAN_THREADS_MAX) are used. Records are handed out by the calling thread alone,
    /// in order. Each other thread is one segment ahead; with [`Source::Buffered`] as many segments as there are threads
    /// can be in memory then.
    pub threads: usize,
}

/// The largest number of threads that a scan uses.
pub const SCAN_THREADS_MAX: usize = 16;

impl ScanOptions {
    /// Reads with one thread and without mappings, for anybody.
    #[must_use]
    pub fn new(tree: Option<TreeId>) -> Self {
        Self { tree, source: Source::default(), threads: 1 }
    }
}
