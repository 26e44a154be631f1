//! What a scan says about a log: how it ends, what it is made of, and what is not as it should be.

use std::fmt;

use treewal_vfs::Kind;

use crate::header::HeaderFault;
use crate::{Lsn, SegmentHeader, TreeId};

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// After its last record, in order.
    Clean,
    /// In what a crash left of a batch that was never acknowledged. Nothing is missing.
    Torn {
        /// Segment in which the frames end.
        segment: u64,
        /// Where, in bytes.
        offset: u64,
        /// The record that would have come next.
        expected: Lsn,
    },
    /// In damage: records that were acknowledged are unreadable or gone, and nothing after them counts.
    Corrupt {
        /// Segment in which the frames end.
        segment: u64,
        /// Where, in bytes; 0 where the segment as a whole is not what must stand there.
        offset: u64,
        /// The first record that is missing; 0 where nothing tells its number.
        expected: Lsn,
        /// How it is known that something is missing.
        proof: Proof,
    },
}

/// How it is known that the end of a log is damage and not a torn tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// A frame further on in the same segment says that the missing record was durable.
    Mark {
        /// Number of its record.
        lsn: Lsn,
        /// Where the frame starts.
        offset: u64,
        /// Up to where it says that everything was durable.
        durable: Lsn,
    },
    /// There is a later segment, and none is begun before all records of the ones before are durable.
    Successor {
        /// Number of the later segment.
        segment: u64,
        /// The record it continues from; 0 where it cannot be read.
        from: Lsn,
    },
    /// The segment does not continue from the record before it.
    Unlinked,
    /// The segment is missing, and later ones are there.
    Missing,
    /// The segment has no readable header, and is not an unused one.
    Header(HeaderFault),
    /// The segment belongs to another tree.
    Foreign(TreeId),
    /// The segment says that it is another one.
    Misnamed {
        /// Which it says.
        says: u64,
    },
    /// The file is shorter than the segment was made, and the frames do not end before.
    Short {
        /// How many bytes it has.
        bytes: u64,
    },
    /// The disk does not give the bytes.
    Unreadable,
    /// Something else than a file has the name of the segment.
    NoFile(Kind),
    /// Telling would take more work than any log that nobody tampered with.
    Costly,
}

/// One segment that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// What its header says.
    pub header: SegmentHeader,
    /// Number of its last record that counts; the one before `header.first` where there is none.
    pub last: Lsn,
    /// Where the next frame would start, in bytes.
    pub end: u64,
    /// Whether the file has all its bytes and the disk gave those that were asked for, which are all in the last
    /// segment; to another one nothing is ever appended.
    pub whole: bool,
}

/// Something about the files of a log that is not as it should be, or is left from a crash. The tail says whether
/// anything is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A segment is missing between two others.
    Missing {
        /// Which.
        segment: u64,
    },
    /// A segment has no readable header.
    Header {
        /// Which, by its name.
        segment: u64,
        /// Why.
        fault: HeaderFault,
    },
    /// A segment says that it is another one, which has no file under its own name.
    Misnamed {
        /// Which, by its name.
        segment: u64,
        /// Which it says.
        says: u64,
    },
    /// A segment says that it is another one, which is there as well.
    Duplicate {
        /// Which, by its name.
        segment: u64,
        /// Which it says.
        says: u64,
    },
    /// A segment belongs to another tree.
    Foreign {
        /// Which, by its name.
        segment: u64,
        /// Whose it is.
        tree: TreeId,
    },
    /// Something else than a file has the name of a segment: it is neither opened nor followed.
    NoFile {
        /// Which, by its name.
        segment: u64,
        /// What it is.
        kind: Kind,
    },
    /// A segment that was never begun and never will be: the highest one, where it is nothing but zeros, or a reserved
    /// one that is not next. It holds nothing.
    Unfinished {
        /// Which, by its name.
        segment: u64,
    },
    /// A file is shorter than its segment was made.
    Short {
        /// Which.
        segment: u64,
        /// How many bytes it has.
        bytes: u64,
        /// How many it should have.
        expected: u64,
    },
    /// The disk does not give the bytes of a file (`EIO`). What lies behind the last record of a segment that another
    /// one continues is not asked for: nothing there counts.
    Unreadable {
        /// Which segment.
        segment: u64,
        /// From which byte on.
        offset: u64,
    },
    /// A sync failed while the log was written: what the page cache shows of the last batches may not be on the disk.
    Doubt,
    /// A name that does not belong in the directory of a log.
    Stray {
        /// The name, as far as it can be shown.
        name: String,
    },
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The segments that count, oldest first. The last one may count in part.
    pub segments: Vec<SegmentInfo>,
    /// Number of the segment that is reserved to be begun next, where there is one.
    pub reserved: Option<u64>,
    /// How the log ends.
    pub tail: Tail,
    /// Number of the first record; one more than `last` where there is none.
    pub first: Lsn,
    /// Number of the last record that counts; 0 in an empty log.
    pub last: Lsn,
    /// Everything up to here is known to have been durable when something later was written. What lies beyond may
    /// stand in the page cache alone until a log is resumed from this scan.
    pub durable: Lsn,
    /// Checksum of the frame of `last`, which the next frame repeats.
    pub chain: u32,
    /// The tree that the log belongs to: the one asked for, or else the one that the oldest readable segment names.
    pub tree: Option<TreeId>,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
}

impl Scan {
    pub(crate) fn empty() -> Self {
        Self {
            segments: Vec::new(),
            reserved: None,
            tail: Tail::Clean,
            first: Lsn(1),
            last: Lsn::ZERO,
            durable: Lsn::ZERO,
            chain: 0,
            tree: None,
            findings: Vec::new(),
        }
    }

    /// Where the next frame would start in the last segment, in bytes; 0 in an empty log.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.end)
    }
}

/// What a scan of the newer part of a log found; see [`Reader::scan_from`](crate::Reader::scan_from).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Excerpt {
    /// The segments that were not looked at, oldest first: their headers are sound and say that they hold none of the
    /// records that were asked for. Whether the records in them are sound is not known.
    pub skipped: Vec<SegmentHeader>,
    /// The segments that were read and count, oldest first. The last one may count in part.
    pub segments: Vec<SegmentInfo>,
    /// How the log ends.
    pub tail: Tail,
    /// Number of the first record of the log, skipped ones among them.
    pub first: Lsn,
    /// Number of the last record that counts; 0 in an empty log.
    pub last: Lsn,
    /// Everything up to here is known to have been durable when something later was written.
    pub durable: Lsn,
    /// The tree that the log belongs to.
    pub tree: Option<TreeId>,
    /// What is not as it should be, as far as it was looked at.
    pub findings: Vec<Finding>,
}

impl Excerpt {
    pub(crate) fn new(scan: Scan, skipped: Vec<SegmentHeader>) -> Self {
        let Scan { segments, tail, first, last, durable, tree, findings, .. } = scan;
        let first = skipped.first().map_or(first, |oldest| oldest.first);
        Self { skipped, segments, tail, first, last, durable, tree, findings }
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Dir => "directory",
        Kind::Symlink => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice => "character device",
        Kind::BlockDevice => "block device",
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("clean"),
            Self::Torn { segment, offset, expected } => {
                write!(f, "torn at record {expected}, segment {segment:016x}, byte {offset}")
            }
            Self::Corrupt { segment, offset, expected, proof } => {
                write!(f, "damaged at record {expected}, segment {segment:016x}, byte {offset}: {proof}")
            }
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark { lsn, offset, durable } => {
                write!(f, "record {lsn} at byte {offset} says that everything up to {durable} was durable")
            }
            Self::Successor { segment, from } => {
                write!(f, "segment {segment:016x} follows, which continues from record {from}")
            }
            Self::Unlinked => f.write_str("segment does not continue from the record before"),
            Self::Missing => f.write_str("segment is missing and later ones are there"),
            Self::Header(fault) => write!(f, "{fault}"),
            Self::Foreign(tree) => write!(f, "segment belongs to tree {tree}"),
            Self::Misnamed { says } => write!(f, "segment says that it is {says:016x}"),
            Self::Short { bytes } => write!(f, "file has only {bytes} bytes"),
            Self::Unreadable => f.write_str("disk does not give the bytes"),
            Self::NoFile(kind) => write!(f, "segment is a {}", word(*kind)),
            Self::Costly => f.write_str("telling how it ends would cost too much"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { segment } => write!(f, "segment {segment:016x} is missing"),
            Self::Header { segment, fault } => write!(f, "segment {segment:016x}: {fault}"),
            Self::Misnamed { segment, says } => write!(f, "segment {segment:016x} says that it is {says:016x}"),
            Self::Duplicate { segment, says } => write!(f, "segment {segment:016x} is a second {says:016x}"),
            Self::Foreign { segment, tree } => write!(f, "segment {segment:016x} belongs to tree {tree}"),
            Self::NoFile { segment, kind } => write!(f, "segment {segment:016x} is a {}", word(*kind)),
            Self::Unfinished { segment } => write!(f, "segment {segment:016x} was never finished and is empty"),
            Self::Short { segment, bytes, expected } => {
                write!(f, "segment {segment:016x} has {bytes} bytes instead of {expected}")
            }
            Self::Unreadable { segment, offset } => {
                write!(f, "segment {segment:016x} cannot be read from byte {offset} on")
            }
            Self::Doubt => f.write_str("a sync failed when the log was last written"),
            Self::Stray { name } => write!(f, "\"{name}\" does not belong here"),
        }
    }
}
