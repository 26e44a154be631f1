//! The log as its user has it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use treewal_vfs::{Dir, Disk};

use super::ahead::Ahead;
use super::group::Medium;
use super::rejoin::LogEnd;
use super::resume;
use super::writer::Writer;
use crate::error::Error;
use crate::frame::Frame;
use crate::header::is_segment_bytes;
use crate::layout::{FRAME_HEADER_BYTES, HEADER_BYTES, RECORD_BYTES_MAX};
use crate::{Lsn, Scan, TreeId};

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// Length of a new segment in bytes: a multiple of 4096, from [`SEGMENT_BYTES_MIN`](crate::SEGMENT_BYTES_MIN) to
    /// [`SEGMENT_BYTES_MAX`](crate::SEGMENT_BYTES_MAX).
    pub segment_bytes: u64,
    /// The tree that the log belongs to.
    pub tree: TreeId,
    /// How long a thread that is about to sync waits for others to come along, at most: zero by default. It waits only
    /// where there were others a moment ago, until as many are there again, for half of the time that a sync takes, and not
    /// again and again where nobody came.
    pub group_wait: Duration,
    /// Makes the next segment ready in a thread of its own, when the one before is half full; off by default. Without
    /// it, [`Log::prepare`] does that when it is called, or else the append that needs it.
    pub ahead: bool,
}

impl LogOptions {
    /// Segments of 8 MiB for the log of `tree`, no waiting, no thread.
    #[must_use]
    pub fn new(tree: TreeId) -> Self {
        Self { segment_bytes: 8 << 20, tree, group_wait: Duration::ZERO, ahead: false }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if is_segment_bytes(self.segment_bytes) { Ok(()) } else { Err(Error::SegmentBytes(self.segment_bytes)) }
    }

    /// Bytes of frames that a new segment takes.
    pub(crate) fn capacity(&self) -> usize {
        usize::try_from(self.segment_bytes).map_or(0, |bytes| bytes.saturating_sub(HEADER_BYTES))
    }

    /// The largest payload: a frame never crosses segments.
    pub(crate) fn record_bytes_max(&self) -> usize {
        RECORD_BYTES_MAX.min(self.capacity().saturating_sub(FRAME_HEADER_BYTES))
    }
}

/// The writer of a log: one a directory, for any number of threads.
///
/// Whoever makes it must see to it that nobody else writes the directory. When it is dropped, it writes nothing: what
/// was synced is durable, what was flushed is left to the kernel, and what was only appended is gone.
pub struct Log {
    // Ends first: its thread writes.
    ahead: Ahead,
    writer: Arc<Writer>,
}

impl Log {
    /// Begins a log in an empty directory. When it returns, the empty log survives a power loss; after a crash before,
    /// the directory holds the empty log or none, and [`Log::resume`] goes on from either.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::SegmentBytes`], [`Error::Io`].
    pub fn create(disk: Arc<dyn Disk>, dir: Dir, options: LogOptions) -> Result<Self, Error> {
        resume::create(disk, dir, options).map(Self::new)
    }

    /// Goes on with the log that `scan` was made of, nothing having changed since. When it returns, every record that
    /// the scan handed out is durable and nothing beyond it can ever come back.
    ///
    /// A clean log goes on in its last segment. A torn one gets a new segment. After a failed sync the records of the
    /// last segment are written anew into another: what the page cache shows of it is then not known to be on the
    /// disk, and no sync would tell.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the log must be [repaired](crate::repair) first, [`Error::Foreign`],
    /// [`Error::Changed`], [`Error::SegmentBytes`], [`Error::Io`].
    pub fn resume(disk: Arc<dyn Disk>, dir: Dir, options: LogOptions, scan: &Scan) -> Result<Self, Error> {
        resume::resume(disk, dir, options, scan).map(Self::new)
    }

    /// Where this log ends, for who writes the directory next and would [rejoin](Log::rejoin) it. `None` where something
    /// is not durable yet, or never will be: then only a scan tells.
    #[must_use]
    pub fn end(&self) -> Option<LogEnd> {
        self.writer.end()
    }

    /// Goes on with a log that others have written since this one did, each under the lock that keeps writers apart, the
    /// last of which left it at `end`. Reads what was appended since and hands it to `visit`; gives the log with the
    /// number of the first record that was handed out, or would have been. Where that is not the one after
    /// [`last`](Log::last), those between were [truncated](Log::truncate): the caller has to know that it needs none of
    /// them.
    ///
    /// Costs what was appended, the names in the directory and a block of each segment that is new. Nothing is made
    /// durable, since an `end` is given for a log that is.
    ///
    /// `None` where anything is not as a writer leaves it that ends in order, or this log is not at its end: then the
    /// directory is to be scanned, and nothing that `visit` was given counts. Whatever comes of it, this log must not be
    /// written to any more.
    ///
    /// # Errors
    /// [`Error::Io`], which a scan would meet as well, or explain.
    pub fn rejoin(&self, end: LogEnd, visit: &mut dyn FnMut(Frame<'_>)) -> Result<Option<(Self, Lsn)>, Error> {
        let rejoined = self.writer.rejoin(end, visit)?;
        Ok(rejoined.map(|(writer, first)| (Self::new(writer), first)))
    }

    fn new(writer: Writer) -> Self {
        Self { ahead: Ahead::default(), writer: Arc::new(writer) }
    }

    /// Appends records, each a kind and a payload, with numbers one after another and nothing between; gives the
    /// number of the last one. They are in memory when it returns: they survive a kill after [`Log::flush`], and a
    /// power loss after [`Log::sync_to`].
    ///
    /// The batch stands in one segment where it fits in one; only a batch larger than a segment is cut in two. A crash
    /// may leave a part of the batch: the first records of it, none but the first ones.
    ///
    /// A payload of 32 KiB or more goes to the disk from where it is; smaller ones are copied once, and go with one
    /// write when somebody syncs or 256 KiB have come together.
    ///
    /// # Errors
    /// [`Error::RecordTooLarge`], [`Error::KindZero`], and [`Error::Io`] where no new segment could be made (a full
    /// disk): nothing was appended, and the log goes on. [`Error::Poisoned`] where a part may have been.
    pub fn append<P: AsRef<[u8]>>(&self, records: &[(u8, P)]) -> Result<Lsn, Error> {
        let last = self.writer.append(records)?;
        self.look_ahead();
        Ok(last)
    }

    /// The same for records that must know their own numbers: `build` is given the number of the first. It is called
    /// again where that number went to somebody else.
    ///
    /// Nobody else appends meanwhile: build what can be built before. `build` must not call the log, not even
    /// [`Log::last`], which would wait for ever.
    ///
    /// # Errors
    /// As [`Log::append`], and [`Error::BatchTooLarge`] for a batch that fits in no segment.
    pub fn append_with<P: AsRef<[u8]>>(&self, build: impl Fn(Lsn) -> Vec<(u8, P)>) -> Result<Lsn, Error> {
        let last = self.writer.append_with(build)?;
        self.look_ahead();
        Ok(last)
    }

    /// Hands everything appended so far to the kernel: it survives a kill of this process from here on, and no power
    /// loss.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn flush(&self) -> Result<(), Error> {
        self.writer.flush()
    }

    /// Returns once the record `lsn` and all before it survive a power loss. One write and one sync serve everybody who
    /// waits.
    ///
    /// # Errors
    /// [`Error::Poisoned`] where it is not known to be durable and never will be: it may be found when the log is
    /// opened anew. [`Error::NotAppended`].
    pub fn sync_to(&self, lsn: Lsn) -> Result<(), Error> {
        self.writer.sync_to(lsn)
    }

    /// Returns once every record appended so far survives a power loss.
    ///
    /// # Errors
    /// As [`Log::sync_to`].
    pub fn sync(&self) -> Result<(), Error> {
        // A closed log says so, also where nothing is left to sync.
        self.writer.group.check()?;
        self.sync_to(self.last())
    }

    /// Makes the next segment ready, so that the append that needs it does not have to: it then costs no more than one
    /// sync. Where [`Log::truncate`] left a file, nothing has to be zeroed for it.
    ///
    /// # Errors
    /// [`Error::Io`]: the log goes on. [`Error::Poisoned`] where a sync failed.
    pub fn prepare(&self) -> Result<(), Error> {
        self.writer.prepare()
    }

    /// Says that no record up to and including `upto` is needed any more. Segments that hold nothing else are removed,
    /// oldest first; one of them is kept to become another segment. The segment that is written stays, so that the
    /// numbers go on.
    ///
    /// This is housekeeping, not a promise: records up to `upto` may still be found later, those after it always are.
    /// A crash leaves a log without a gap.
    ///
    /// # Errors
    /// [`Error::Io`]: the log goes on. [`Error::Poisoned`] where the directory could not be synced.
    pub fn truncate(&self, upto: Lsn) -> Result<(), Error> {
        self.writer.truncate(upto)
    }

    /// Number of the last record appended; 0 in a log that never had one.
    #[must_use]
    pub fn last(&self) -> Lsn {
        Medium::last(&*self.writer)
    }

    /// Every record up to here survives a power loss.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.writer.group.durable()
    }

    /// Every record up to here survives a power loss, or does once the sync that is under way has succeeded. Ask after
    /// [`Log::flush`]: then every sync that begins later covers what was flushed as well.
    #[must_use]
    pub fn settling(&self) -> Lsn {
        self.writer.group.settling()
    }

    /// The largest payload of a record, in bytes: [`RECORD_BYTES_MAX`], or less where segments are small.
    #[must_use]
    pub fn record_bytes_max(&self) -> usize {
        self.writer.options.record_bytes_max()
    }

    /// Length of the segments that this log makes, in bytes.
    #[must_use]
    pub fn segment_bytes(&self) -> u64 {
        self.writer.options.segment_bytes
    }

    /// Bytes that the current segment still takes: frames, each 32 bytes more than its payload, rounded up to 8.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.writer.tail.lock().room() as u64
    }

    /// Bytes that a scan would read once all is flushed: what records and headers take in the segments that are kept.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let files = self.writer.files.lock();
        let sealed: u64 = files.sealed.iter().map(|segment| segment.bytes).sum();
        sealed + self.writer.tail.lock().end() as u64
    }

    fn look_ahead(&self) {
        if self.writer.options.ahead {
            self.ahead.look(&self.writer);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tree, last, durable) = (self.writer.options.tree, self.last(), self.durable());
        f.debug_struct("Log").field("tree", &tree).field("last", &last).field("durable", &durable).finish()
    }
}
