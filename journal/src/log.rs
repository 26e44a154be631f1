//! The writer.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use treewal_vfs::{Dir, Disk, File};

use crate::error::{Error, Failure};
use crate::group::Group;
use crate::header::is_segment_bytes;
use crate::layout::{FRAME_HEADER_BYTES, HEADER_BYTES, RECORD_BYTES_MAX};
use crate::{Lsn, Scan, SegmentHeader, TreeId, make, resume};

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// Length of a new segment in bytes: a multiple of 4096, from [`SEGMENT_BYTES_MIN`](crate::SEGMENT_BYTES_MIN) to
    /// [`SEGMENT_BYTES_MAX`](crate::SEGMENT_BYTES_MAX).
    pub segment_bytes: u64,
    /// The tree that the log belongs to.
    pub tree: TreeId,
}

impl LogOptions {
    /// Segments of 8 MiB for the log of `tree`.
    #[must_use]
    pub fn new(tree: TreeId) -> Self {
        Self { segment_bytes: 8 << 20, tree }
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
/// Whoever makes it must see to it that nobody else writes the directory. It has nothing to do when it is dropped:
/// what was synced is durable, what was not may be lost.
pub struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: Dir,
    pub(crate) options: LogOptions,
    /// Held while records are written, never while they are synced but for a full segment.
    pub(crate) active: Mutex<Active>,
    pub(crate) group: Group,
    /// Taken after `active` where both are.
    pub(crate) files: Mutex<Files>,
    doubt_left: AtomicBool,
}

/// The segment that is written.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) file: File,
    pub(crate) seq: u64,
    pub(crate) seed: u64,
    /// Where the next frame starts.
    pub(crate) offset: usize,
    /// Where the segment ends.
    pub(crate) limit: usize,
    pub(crate) last: Lsn,
    /// Checksum of the frame of `last`.
    pub(crate) chain: u32,
    /// Frames on their way to the disk; empty between appends.
    pub(crate) buffer: Vec<u8>,
}

/// The files of the log beside the segment that is written.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Oldest first.
    pub(crate) sealed: VecDeque<Sealed>,
    /// Name of a file that is ready to become the next segment.
    pub(crate) spare: Option<String>,
}

/// A segment that is full and durable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed {
    pub(crate) seq: u64,
    pub(crate) last: Lsn,
    pub(crate) bytes: u64,
}

impl Active {
    /// A new segment, with nothing in it but what `chain` and `offset` say.
    pub(crate) fn new(file: File, header: &SegmentHeader, last: Lsn, chain: u32, offset: usize) -> Self {
        let limit = crate::walk::limit(header);
        Self { file, seq: header.seq, seed: header.seed, offset, limit, last, chain, buffer: Vec::new() }
    }

    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.offset)
    }
}

impl Log {
    /// Begins a log in an empty directory. When it returns, the empty log survives a power loss; after a crash before,
    /// the directory holds the empty log or none, and [`Log::resume`] goes on from either.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::SegmentBytes`], [`Error::Io`].
    pub fn create(disk: Arc<dyn Disk>, dir: Dir, options: LogOptions) -> Result<Self, Error> {
        resume::create(disk, dir, options)
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
        resume::resume(disk, dir, options, scan)
    }

    pub(crate) fn new(disk: Arc<dyn Disk>, dir: Dir, options: LogOptions, active: Active, files: Files) -> Self {
        let group = Group::new(active.file.clone(), active.seq, active.last);
        Self {
            disk,
            dir,
            options,
            active: Mutex::new(active),
            group,
            files: Mutex::new(files),
            doubt_left: AtomicBool::new(false),
        }
    }

    /// Returns once the record `lsn` and all before it survive a power loss. One sync serves everybody who waits.
    ///
    /// # Errors
    /// [`Error::Poisoned`] where it is not known to be durable and never will be: it may be found when the log is
    /// opened anew. [`Error::NotAppended`].
    pub fn sync_to(&self, lsn: Lsn) -> Result<(), Error> {
        self.group.sync_to(&*self.disk, lsn).inspect_err(|error| self.note(error))
    }

    /// Returns once every record appended so far survives a power loss.
    ///
    /// # Errors
    /// As [`Log::sync_to`].
    pub fn sync(&self) -> Result<(), Error> {
        // A closed log says so, also where nothing is left to sync.
        self.group.check()?;
        self.sync_to(self.last())
    }

    /// Number of the last record appended; 0 in a log that never had one.
    #[must_use]
    pub fn last(&self) -> Lsn {
        self.group.written()
    }

    /// Every record up to here survives a power loss.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.group.durable()
    }

    /// The largest payload of a record, in bytes: [`RECORD_BYTES_MAX`], or less where segments are small.
    #[must_use]
    pub fn record_bytes_max(&self) -> usize {
        self.options.record_bytes_max()
    }

    /// Bytes that the current segment still takes: frames, each 32 bytes more than its payload, rounded up to 8.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.active.lock().room() as u64
    }

    /// Bytes that a scan would read now: what records and headers take in the segments that are kept.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let active = self.active.lock();
        let sealed: u64 = self.files.lock().sealed.iter().map(|segment| segment.bytes).sum();
        sealed + active.offset as u64
    }

    /// Turns a failure into what the caller is told, and closes the log where it must be.
    pub(crate) fn raise(&self, failure: Failure) -> Error {
        let error = self.group.raise(failure);
        self.note(&error);
        error
    }

    /// Leaves word on the disk, once, that the log was closed by a failure.
    fn note(&self, error: &Error) {
        if matches!(error, Error::Poisoned { .. }) && !self.doubt_left.swap(true, Ordering::Relaxed) {
            make::leave_doubt(&*self.disk, &self.dir);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (last, durable) = (self.last(), self.durable());
        f.debug_struct("Log").field("tree", &self.options.tree).field("last", &last).field("durable", &durable).finish()
    }
}
