//! What all threads that write a log share.

use std::collections::VecDeque;
use std::sync::Arc;

use treewal_vfs::{Dir, Disk, File, write_all};

use super::group::{Group, Medium};
use super::make;
use super::sync::{AtomicBool, Mutex, Ordering};
use super::tail::{Chunk, Tail, emptied};
use crate::error::{Attempt, Error, Failure};
use crate::{LogOptions, Lsn, name, stamp};

/// Locks are taken in the order: `chores`, `files`, the state of the group, `tail`, `spares`. A turn to write comes before
/// all of them.
pub(crate) struct Writer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: Dir,
    pub(crate) options: LogOptions,
    pub(crate) group: Group,
    /// Held while a record is copied, never while the disk is at work.
    pub(crate) tail: Mutex<Tail>,
    pub(crate) files: Mutex<Files>,
    /// Held while segments are made ready or given back, which takes syncs.
    pub(crate) chores: Mutex<()>,
    /// This boot of the machine.
    pub(crate) boot: [u8; 16],
    /// Buffers to be filled again.
    spares: Mutex<Vec<Vec<u8>>>,
    /// The segment that is written is half full.
    pub(crate) wants_next: AtomicBool,
    doubt_left: AtomicBool,
}

/// The files of the log beside the segment that is written.
#[derive(Debug)]
pub(crate) struct Files {
    /// Oldest first.
    pub(crate) sealed: VecDeque<Sealed>,
    /// The highest number that a segment has, begun or not.
    pub(crate) highest: u64,
    /// The next segment, ready to be begun.
    pub(crate) next: Option<Reserved>,
    /// Name of a file that is ready to become a segment.
    pub(crate) spare: Option<String>,
}

/// A segment that is full and durable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed {
    pub(crate) seq: u64,
    pub(crate) last: Lsn,
    pub(crate) bytes: u64,
}

/// A segment that has its name and all its blocks, durably, but holds nothing.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) seq: u64,
    pub(crate) file: File,
}

impl Writer {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: Dir, options: LogOptions, tail: Tail, files: Files) -> Self {
        let boot = stamp::boot(&disk.boot_id());
        Self {
            disk,
            dir,
            options,
            group: Group::new(tail.last, options.group_wait),
            tail: Mutex::new(tail),
            files: Mutex::new(files),
            chores: Mutex::default(),
            boot,
            spares: Mutex::default(),
            wants_next: AtomicBool::new(false),
            doubt_left: AtomicBool::new(false),
        }
    }

    pub(crate) fn spare_buffer(&self) -> Vec<u8> {
        self.spares.lock().pop().unwrap_or_default()
    }

    pub(crate) fn sync_to(&self, lsn: Lsn) -> Result<(), Error> {
        self.group.sync_to(self, lsn).inspect_err(|error| self.note(error))
    }

    /// Hands everything that is appended to the kernel.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        let turn = self.group.take_turn(false)?;
        let written = turn.write(self);
        turn.end();
        written.inspect_err(|error| self.note(error))
    }

    /// Turns a failure into what the caller is told, and closes the log where it must be.
    pub(crate) fn raise(&self, failure: Failure) -> Error {
        let error = self.group.raise(failure);
        self.note(&error);
        error
    }

    /// Leaves word on the disk, once, that the log was closed by a failure.
    pub(crate) fn note(&self, error: &Error) {
        if matches!(error, Error::Poisoned { .. }) && !self.doubt_left.swap(true, Ordering::Relaxed) {
            make::leave_doubt(&*self.disk, &self.dir);
        }
    }
}

impl Medium for Writer {
    type Chunk = Chunk;

    fn last(&self) -> Lsn {
        self.tail.lock().last
    }

    fn take(&self) -> (Chunk, Lsn) {
        let empty = self.spare_buffer();
        let mut tail = self.tail.lock();
        (tail.take(empty), tail.last)
    }

    /// A write that fails may have left a part: nothing is ever written behind it.
    fn write(&self, chunk: &Chunk) -> Result<(), Failure> {
        if chunk.bytes.is_empty() {
            return Ok(());
        }
        write_all(&*self.disk, &chunk.file, &chunk.bytes, chunk.offset as u64).fatal("write", &name::segment(chunk.seq))
    }

    fn sync(&self, chunk: &Chunk) -> Result<(), Failure> {
        self.disk.sync_data(&chunk.file).fatal("sync", &name::segment(chunk.seq))
    }

    fn give_back(&self, chunk: Chunk) {
        self.spares.lock().push(emptied(chunk));
    }
}
