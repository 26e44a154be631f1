//! What can go wrong with a log.

use std::io;
use std::sync::Arc;

use crate::layout::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_BYTES_STEP, VERSION};
use crate::read::report::Tail;
use crate::{Lsn, TreeId};

/// What can go wrong with a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk refused something, and nothing that counts depends on it: the call may be tried again.
    #[error("cannot {verb} \"{name}\"")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// The file, within the directory of the log.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A write or a sync failed before: what the disk holds is in doubt, and nothing is written to this log any more.
    /// Opening it anew finds out.
    #[error("log is closed since it failed to {verb} \"{name}\"")]
    Poisoned {
        /// What failed.
        verb: &'static str,
        /// The file, within the directory of the log.
        name: String,
        /// Why; the same for everybody who waited.
        source: Arc<io::Error>,
    },
    /// A record is larger than a frame takes.
    #[error("record has {bytes} bytes, more than the {bytes_max} that fit")]
    RecordTooLarge {
        /// Its length.
        bytes: usize,
        /// What fits: [`RECORD_BYTES_MAX`](crate::RECORD_BYTES_MAX), or less where segments are small.
        bytes_max: usize,
    },
    /// A batch that must not be cut in two does not fit in a segment.
    #[error("batch takes {bytes} bytes, more than the {bytes_max} of a segment")]
    BatchTooLarge {
        /// What its frames take.
        bytes: usize,
        /// What a segment takes.
        bytes_max: usize,
    },
    /// Zero is never the kind of a record.
    #[error("record has kind 0, which is reserved")]
    KindZero,
    /// A length of segments that is not allowed.
    #[error(
        "segments of {0} bytes: must be a multiple of {SEGMENT_BYTES_STEP} \
         from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}"
    )]
    SegmentBytes(u64),
    /// A log is to be made where there is one.
    #[error("directory already holds segment \"{0}\"")]
    NotEmpty(String),
    /// A segment is of a newer format.
    #[error("segment {segment:016x} has format version {version}; versions up to {VERSION} are understood")]
    Version {
        /// Which, by its name.
        segment: u64,
        /// Its version.
        version: u32,
    },
    /// The log is damaged, and must be repaired before it is written.
    #[error("log is {0}; it must be repaired first")]
    Damaged(Tail),
    /// A repair was asked for where the scan shows nothing to repair.
    #[error("log is {0}; there is nothing to repair")]
    NotDamaged(Tail),
    /// The scan was made of another tree's log.
    #[error("log belongs to tree {found}, not to {wanted}")]
    Foreign {
        /// Whose it is.
        found: TreeId,
        /// Whose it should be.
        wanted: TreeId,
    },
    /// The log is no longer what the scan says: somebody else writes it.
    #[error("segment \"{name}\" is not as it was scanned")]
    Changed {
        /// Which.
        name: String,
    },
    /// A record to be synced was never appended.
    #[error("record {wanted} was never appended; the last is {last}")]
    NotAppended {
        /// What was asked for.
        wanted: Lsn,
        /// The last one appended.
        last: Lsn,
    },
    /// The numbers are used up: no log that was only written by this crate comes here.
    #[error("record numbers are used up")]
    Exhausted,
}

/// A call that the disk refused, before it is known what that means for the log.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) verb: &'static str,
    pub(crate) name: String,
    pub(crate) source: io::Error,
    /// What the disk holds is in doubt: the log must not be written any more.
    pub(crate) fatal: bool,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Io { verb: failure.verb, name: failure.name, source: failure.source }
    }
}

/// Says what was tried on which file, and whether the log survives that it failed.
pub(crate) trait Attempt<T> {
    /// Nothing that counts depends on it.
    fn plain(self, verb: &'static str, name: &str) -> Result<T, Failure>;
    /// The disk is in doubt.
    fn fatal(self, verb: &'static str, name: &str) -> Result<T, Failure>;
}

impl<T> Attempt<T> for io::Result<T> {
    fn plain(self, verb: &'static str, name: &str) -> Result<T, Failure> {
        self.map_err(|source| Failure { verb, name: name.to_owned(), source, fatal: false })
    }

    fn fatal(self, verb: &'static str, name: &str) -> Result<T, Failure> {
        self.map_err(|source| Failure { verb, name: name.to_owned(), source, fatal: true })
    }
}
