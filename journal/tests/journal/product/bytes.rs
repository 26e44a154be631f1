//! Every class of bytes, times every way to spoil bytes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::Range;
use std::sync::Arc;

use treewal_journal::{Finding, HeaderFault, Lsn, Proof, Scan, Tail};

use super::*;
use crate::bent::{BadSector, Bent};

/// What of a header counts.
const HEADER_USED: usize = 124;
/// Where the header stands that counts in all segments but the first: they were reserved before they were begun.
const BEGUN_AT: usize = 512;
const SECTOR_BYTES: usize = 512;

// --- the classes of bytes -----------------------------------------------------------------------------------------------

/// The fields of a header.
const IN_HEADER: [(&str, Range<usize>); 17] = [
    ("magic", 0..8),
    ("version", 8..12),
    ("header bytes", 12..16),
    ("tree id", 16..32),
    ("boot id", 32..48),
    ("sequence", 48..56),
    ("first LSN", 56..64),
    ("chain seed", 64..72),
    ("previous CRC", 72..76),
    ("zero behind it", 76..80),
    ("previous LSN", 80..88),
    ("segment bytes", 88..96),
    ("created, seconds", 96..104),
    ("created, nanoseconds", 104..108),
    ("zero behind it", 108..112),
    ("durable LSN", 112..120),
    ("CRC of the header", 120..124),
];

/// The fields of a frame.
const IN_FRAME: [(&str, Range<usize>); 9] = [
    ("CRC", 0..4),
    ("CRC before", 4..8),
    ("length", 8..12),
    ("kind", 12..13),
    ("zeros", 13..16),
    ("LSN", 16..24),
    ("mark", 24..32),
    ("payload", 32..32 + PAYLOAD_BYTES),
    ("padding", 32 + PAYLOAD_BYTES..FRAME_BYTES),
];

/// Every class of bytes in a file, with its place.
fn classes(file: usize) -> Vec<(String, Range<usize>)> {
    let header = |which: &'static str, at: usize| {
        IN_HEADER.iter().map(move |(name, range)| (format!("{name} of the {which}"), range.start + at..range.end + at))
    };
    let mut all: Vec<_> = header("header", 0).collect();
    let used = HEADER_USED + if file > 0 { BEGUN_AT } else { 0 };
    if file > 0 {
        all.push(("between the headers".to_owned(), HEADER_USED..BEGUN_AT));
        all.extend(header("second header", BEGUN_AT));
        all.push(("second header".to_owned(), BEGUN_AT..used));
    }
    all.push(("rest of the header".to_owned(), used..HEADER_BYTES));
    let frames = frames_in(file);
    for frame in [0, 1, frames / 2, frames - 2, frames - 1] {
        let start = frame_at(frame);
        let fields = IN_FRAME
            .iter()
            .map(|(name, range)| (format!("{name} of frame {frame}"), range.start + start..range.end + start));
        all.extend(fields);
        all.push((format!("frame {frame}"), start..start + FRAME_BYTES));
    }
    let end = frame_at(frames);
    all.push(("terminator".to_owned(), end..end + 32));
    all.push(("leftovers".to_owned(), end + 32..64 << 10));
    all
}

// --- what is done to bytes ----------------------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy)]
enum Harm {
    /// One byte is another: the first, the middle or the last one.
    Flip(usize, u8),
    Zero,
    /// The file ends at the start of the range, or in the middle of it.
    Cut(usize),
    /// It changes places with what stands behind it.
    Swap,
    /// What stands before it stands there, too.
    Duplicate,
    /// What stands behind it moves up, and zeros move in at the end.
    Delete,
    /// The sector in which it starts, or ends, cannot be read.
    Unreadable(usize),
}

const HARMS: [Harm; 17] = [
    Harm::Flip(0, 0x01),
    Harm::Flip(0, 0x80),
    Harm::Flip(0, 0xff),
    Harm::Flip(1, 0x01),
    Harm::Flip(1, 0x80),
    Harm::Flip(1, 0xff),
    Harm::Flip(2, 0x01),
    Harm::Flip(2, 0x80),
    Harm::Flip(2, 0xff),
    Harm::Zero,
    Harm::Cut(0),
    Harm::Cut(1),
    Harm::Swap,
    Harm::Duplicate,
    Harm::Delete,
    Harm::Unreadable(0),
    Harm::Unreadable(2),
];

/// The first, the middle or the last byte of a range.
fn byte(range: &Range<usize>, which: usize) -> usize {
    [range.start, range.start + range.len() / 2, range.end - 1][which]
}

/// The file after the harm, and where its unreadable sector begins.
fn harmed(file: &[u8], range: &Range<usize>, harm: Harm) -> (Vec<u8>, Option<usize>) {
    let mut bytes = file.to_vec();
    let len = range.len();
    match harm {
        Harm::Flip(which, mask) => bytes[byte(range, which)] ^= mask,
        Harm::Zero => bytes[range.clone()].fill(0),
        Harm::Cut(which) => bytes.truncate(byte(range, which)),
        Harm::Swap => {
            let both = range.start..(range.end + len).min(file.len());
            bytes[both].rotate_left(len);
        }
        Harm::Duplicate => {
            let from = range.start.saturating_sub(len);
            bytes.copy_within(from..from + len, range.start);
        }
        Harm::Delete => {
            bytes.drain(range.clone());
            bytes.resize(file.len(), 0);
        }
        Harm::Unreadable(which) => return (bytes, Some(byte(range, which) / SECTOR_BYTES * SECTOR_BYTES)),
    }
    (bytes, None)
}

// --- what must be found -------------------------------------------------------------------------------------------------

/// A file after the harm, as far as the disk gives it.
struct Left<'a> {
    original: &'a [u8],
    bytes: &'a [u8],
    file: usize,
    is_refused: bool,
    /// The whole file, also what the disk refuses.
    file_bytes: usize,
}

impl Left<'_> {
    fn is_last(&self) -> bool {
        self.file + 1 == SEGMENTS
    }

    fn has_frame(&self, frame: usize) -> bool {
        // The padding does not count.
        let range = frame_at(frame)..frame_at(frame) + 32 + PAYLOAD_BYTES;
        self.bytes.get(range.clone()) == Some(&self.original[range])
    }

    fn header_proof(&self) -> Option<Proof> {
        if self.bytes.len() < HEADER_BYTES {
            return Some(if self.is_refused { Proof::Unreadable } else { Proof::Header(HeaderFault::Short) });
        }
        let headers = if self.file > 0 { &[0, BEGUN_AT][..] } else { &[0] };
        headers.iter().find_map(|&at| {
            let (is, was) = (&self.bytes[at..at + HEADER_USED], &self.original[at..at + HEADER_USED]);
            let fault = if is[..8] == was[..8] { HeaderFault::Checksum } else { HeaderFault::Magic };
            let is_unbegun = at == BEGUN_AT && is.iter().all(|byte| *byte == 0);
            (is != was && !is_unbegun).then_some(Proof::Header(fault))
        })
    }

    /// Whether it looks as it did before it was begun.
    fn is_unbegun(&self) -> bool {
        let second = self.bytes.get(BEGUN_AT..BEGUN_AT + HEADER_USED);
        self.file > 0 && self.header_proof().is_none() && second.is_some_and(|head| head.iter().all(|byte| *byte == 0))
    }

    /// Whether the second frame of the last segment says that the first was durable, whoever wrote them.
    fn vouched(&self) -> bool {
        self.is_last() && self.has_head(0) && self.has_head(1)
    }

    /// Whether the header of a frame is as it was.
    fn has_head(&self, frame: usize) -> bool {
        let at = frame_at(frame)..frame_at(frame) + 32;
        self.bytes.get(at.clone()) == Some(&self.original[at])
    }

    fn is_zero(&self) -> bool {
        !self.is_refused && self.bytes.iter().all(|byte| *byte == 0)
    }

    /// Whether 32 zeros stand there, if anything does.
    fn zeros_at(&self, offset: usize) -> Option<bool> {
        self.bytes.get(offset..offset + 32).map(|head| head.iter().all(|byte| *byte == 0))
    }

    fn findings(&self) -> Vec<Finding> {
        let segment = self.file as u64 + 1;
        let bytes = self.bytes.len() as u64;
        match self.header_proof() {
            _ if self.is_last() && self.is_zero() => vec![Finding::Unfinished { segment }],
            Some(Proof::Unreadable) => vec![Finding::Unreadable { segment, offset: 0 }],
            Some(Proof::Header(fault)) => vec![Finding::Header { segment, fault }],
            _ if self.is_unbegun() && self.vouched() => {
                vec![Finding::Header { segment, fault: HeaderFault::Unbegun }]
            }
            // The last one may be begun next.
            _ if self.is_unbegun() && self.is_last() => vec![],
            _ if self.is_unbegun() => vec![Finding::Unfinished { segment }, Finding::Missing { segment }],
            _ if self.is_refused && (self.is_last() || !self.is_complete()) => {
                vec![Finding::Unreadable { segment, offset: bytes }]
            }
            _ if self.file_bytes < self.original.len() => vec![Finding::Short { segment, bytes, expected: 64 << 10 }],
            _ => vec![],
        }
    }

    fn is_complete(&self) -> bool {
        (0..frames_in(self.file)).all(|frame| self.has_frame(frame))
    }

    /// Compares with what was found; gives in which way the damage shows.
    fn judge(&self, scan: &Scan, seen: &[Seen], records: &[Seen]) -> &'static str {
        let segment = self.file as u64 + 1;
        let before = self.file * FRAMES;
        assert_eq!(scan.findings, self.findings());
        if self.is_last() && self.is_zero() {
            assert_eq!((scan.tail, seen), (Tail::Clean, &records[..before]));
            return "named as unfinished";
        }
        if let Some(proof) = self.header_proof() {
            let tail = Tail::Corrupt { segment, offset: 0, expected: Lsn(first_lsn(self.file)), proof };
            assert_eq!((scan.tail, seen), (tail, &records[..before]));
            return "header named";
        }
        if self.is_unbegun() {
            let first = Lsn(first_lsn(self.file));
            let corrupt = |proof| Tail::Corrupt { segment, offset: 0, expected: first, proof };
            let mark = Proof::Mark { lsn: first.next(), offset: frame_at(1) as u64, durable: first };
            let (tail, class) = match (self.is_last(), self.vouched()) {
                (false, _) => (corrupt(Proof::Missing), "named"),
                (true, true) => (corrupt(mark), "the last segment unbegun, and named"),
                (true, false) => (Tail::Clean, "the last segment unbegun, and nothing left of it"),
            };
            assert_eq!((scan.tail, seen), (tail, &records[..before]));
            return class;
        }
        let frames = frames_in(self.file);
        let whole = (0..frames).take_while(|frame| self.has_frame(*frame)).count();
        let offset = frame_at(whole);
        let at = (segment, offset as u64, Lsn(first_lsn(self.file) + whole as u64));
        if whole == frames && !self.is_last() {
            assert_eq!((scan.tail, seen), (Tail::Clean, records));
            return "harmless";
        }
        assert_eq!(seen, &records[..before + whole]);
        let short = if self.is_refused { Proof::Unreadable } else { Proof::Short { bytes: self.bytes.len() as u64 } };
        let is_short = self.bytes.len() < self.original.len();
        match scan.tail {
            Tail::Clean => {
                // Nothing stands where the next frame would, and nothing that was written behind it.
                assert!(self.is_last() && self.zeros_at(offset) == Some(true), "{}", scan.tail);
                assert!((whole + 1..frames).all(|frame| !self.has_frame(frame)), "{}", scan.tail);
                if whole == frames { "harmless" } else { "the last batch, for which nothing vouches" }
            }
            Tail::Torn { segment, offset, expected } => {
                assert_eq!((segment, offset, expected), at);
                // Every record was synced before the next, so any later one would vouch.
                assert!(self.is_last() && (whole + 1..frames).all(|frame| !self.has_frame(frame)), "{}", scan.tail);
                assert!(!is_short || self.zeros_at(frame_at(whole)) == Some(true));
                if whole == frames { "torn behind the last" } else { "the last batch, for which nothing vouches" }
            }
            Tail::Corrupt { segment, offset, expected, proof } => {
                assert_eq!((segment, offset, expected), at);
                match proof {
                    Proof::Mark { lsn, durable, .. } => assert!(lsn > durable && durable >= expected),
                    Proof::Successor { segment, from } => {
                        assert_eq!((segment, from), (at.0 + 1, Lsn(first_lsn(self.file + 1) - 1)));
                    }
                    proof => assert!(proof == short && is_short, "{proof}"),
                }
                "named"
            }
        }
    }
}

#[test]
fn every_class_of_bytes_spoiled_in_every_way() {
    let original = original();
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for file in 0..SEGMENTS {
        for (class, range) in classes(file) {
            for harm in HARMS {
                let what = format!("segment {}, {class}, {harm:?}", file + 1);
                let (bytes, bad) = harmed(&original.files[file], &range, harm);
                let (_, sim) = sim();
                for (other, contents) in original.files.iter().enumerate() {
                    put(&*sim, &segment(other as u64 + 1), if other == file { &bytes } else { contents });
                }
                let ino = sim.stat(&root(&*sim), OsStr::new(&segment(file as u64 + 1))).unwrap().ino;
                let bad_sector =
                    bad.map(|at| BadSector { ino, at: at as u64, gives_what_it_can: range.start % 3 == 0 });
                let disk = Bent { inner: Arc::clone(&sim), bad: bad_sector, meddle: None };
                let (scan, seen) = scan_every_way(&disk);
                let left = Left {
                    original: &original.files[file],
                    bytes: &bytes[..bad.unwrap_or(bytes.len())],
                    file,
                    is_refused: bad.is_some(),
                    file_bytes: bytes.len(),
                };
                println!("{what}: {}", scan.tail);
                *ends.entry(left.judge(&scan, &seen, &original.records)).or_default() += 1;
            }
        }
    }
    println!("{} cases, each read in 6 ways: {ends:?}", ends.values().sum::<usize>());
    assert!(ends.len() == 8 && ends.values().all(|count| *count > 0), "{ends:?}");
}
