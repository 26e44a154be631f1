//! An append-only, checksummed write-ahead log that tells a torn tail from damage.
//!
//! Two layers. The lower one is a log of bytes that serves anybody: [`Log`] writes numbered records, [`Reader`] reads
//! them back and says how the log ends, [`repair()`] sets damage aside. The upper one, [`record`], is what treewal writes
//! into it.
//!
//! ```
//! use std::ops::ControlFlow;
//! use std::sync::Arc;
//! use treewal_journal::{Log, LogOptions, Lsn, Reader, Tail, TreeId};
//! use treewal_vfs::{Disk, RealDisk};
//!
//! # let home = tempfile::tempdir()?;
//! let disk: Arc<dyn Disk> = Arc::new(RealDisk);
//! let dir = disk.open_root(home.path())?;
//! let tree = TreeId(*b"one of my trees!");
//! let options = LogOptions { segment_bytes: 64 << 10, ..LogOptions::new(tree) };
//!
//! let log = Log::create(Arc::clone(&disk), dir.clone(), options)?;
//! let last = log.append(&[(1, "first"), (2, "second")])?;
//! log.sync_to(last)?; // from here on both survive a power loss
//! drop(log);
//!
//! let mut seen = Vec::new();
//! let scan = Reader::scan(&*disk, &dir, Some(tree), &mut |frame| {
//!     seen.push((frame.lsn, frame.kind, frame.payload.to_vec()));
//!     ControlFlow::Continue(())
//! })?;
//! assert_eq!(scan.tail, Tail::Clean);
//! assert_eq!(seen[1], (Lsn(2), 2, b"second".to_vec()));
//!
//! let log = Log::resume(disk, dir, options, &scan)?;
//! let last = log.append(&[(1, "third")])?;
//! log.sync_to(last)?;
//! log.truncate(Lsn(2))?; // the first two are no longer needed
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! A log is a directory of segments: files of fixed length, filled with zeros before their first use, and used again
//! when nobody needs what is in them. Records stand in frames, each with a checksum over its header and payload, the
//! number of the record, the checksum of the frame before, and a mark: up to which record everything was durable when
//! this one was written. Checksums start from a random number in the segment's header. So a frame passes only in its
//! place, in its incarnation of its segment, behind its own predecessor: nothing stale ever comes back.
//!
//! The marks tell the two ways in which a log can end early apart. Where a later frame says that the unreadable one was
//! durable, an acknowledged record is gone: [`Tail::Corrupt`]. Where none does, it is the rest of a batch that a crash
//! interrupted and nobody was promised anything: [`Tail::Torn`], which opens without a word. docs/format.md has every
//! byte.
//!
//! [`Log::append`] copies into memory, [`Log::flush`] hands that to the kernel, and [`Log::sync_to`] makes it durable.
//! Threads that sync at the same time share one write and one `fdatasync`; while these run, others append. In steady
//! state a commit is one `pwrite` and one `fdatasync`, and changes nothing about the file but data, also where it begins
//! a segment that stands [ready](Log::prepare). A write or a sync that fails closes the log for good.
//!
//! # Reading
//!
//! [`Reader`] tells and never mends. It goes from segment to segment in the order of their numbers, walks through the
//! frames of each as long as they count, and looks beyond the last one for marks. A [`Scan`] says how the log ends
//! ([`Tail`], with the [`Proof`] where it is damage), what it is made of, and what else is not as it should be
//! ([`Finding`]): files that are missing, double, of another tree or under a wrong name, too short, unreadable, or no
//! files at all. It is the same for the same files, whatever [`ScanOptions`] say about how to read them:
//!
//! | | where the bytes come from | memory | for whom |
//! |---|---|---|---|
//! | [`Source::Buffered`] | read into a buffer that slides | twice the largest record, at least 256 KiB | everybody |
//! | [`Source::Mapped`] | the files, mapped where that is safe; read where the disk refuses a page | none | who holds the lock of the log |
//!
//! More threads check segments ahead of the one that hands records out, each a segment of its own: worth it for logs of
//! many segments. [`Reader::scan_from`] begins at a record, for somebody who has those before, and leaves older segments
//! alone.
//!
//! No file makes a reader take more memory than that, or more time than a few times what its length is worth.
//!
//! # What it does not promise
//!
//! * Damage to the very last batch, after which nothing was written, looks like a torn tail, or like an end, where all of
//!   it is zero: only what follows a record can vouch for it.
//! * The oldest segments can be removed by hand without a trace: compare [`Scan::first`] with what was truncated. So can
//!   the newest.
//! * Where the sync of the directory fails within [`Log::truncate`], a power loss much later may bring the removed segment
//!   back with a gap behind it. The log then reads as damaged there, and a [`repair()`] sets what follows aside.
//! * Two writers on one directory destroy the log. The caller holds a lock.
//! * Checksums find accidents, not forgers who can read the log.

mod error;
mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
#[cfg(test)]
mod golden;
mod header;
mod layout;
mod lsn;
mod name;
mod read;
pub mod record;
mod repair;
mod stamp;
mod write;

pub use error::Error;
pub use frame::Frame;
pub use header::{HeaderFault, SegmentHeader};
pub use layout::{RECORD_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use lsn::{Lsn, TreeId};
pub use read::{Excerpt, Finding, Proof, Reader, SCAN_THREADS_MAX, Scan, ScanOptions, SegmentInfo, Source, Tail};
pub use record::Record;
pub use repair::{Repair, repair};
pub use write::{Log, LogEnd, LogOptions};
