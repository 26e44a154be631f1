//! Holds docs/format.md to the bytes: each of its hex blocks is what the encoder writes and what the reader reads.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::ops::ControlFlow;

use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Identity, Kind, Open, Time, write_all};

use crate::frame::{Label, Seal, encode};
use crate::header::ReservedHeader;
use crate::layout::{FRAME_HEADER_BYTES, SEGMENT_BYTES_MIN, header as field};
use crate::record::{
    Begin, Body, Change, Goal, Guard, Intent, LookChange, New, Owner, PathBytes, Record, Times, XattrChange,
};
use crate::{Lsn, Reader, SegmentHeader, Tail, TreeId, name};

const DOCUMENT: &str = include_str!("../../docs/format.md");

/// The blocks that start with "```hex NAME": lines of an offset, bytes and perhaps a comment, two spaces between.
fn blocks() -> BTreeMap<&'static str, Vec<u8>> {
    let mut blocks = BTreeMap::new();
    let mut lines = DOCUMENT.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```hex ") else { continue };
        let mut bytes = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != "```") {
            let mut columns = line.split("  ").filter(|column| !column.is_empty());
            let offset = usize::from_str_radix(columns.next().unwrap(), 16).unwrap();
            assert_eq!(offset, bytes.len(), "block {name} leaves something out");
            let digits = columns.next().unwrap().split(' ');
            bytes.extend(digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()));
        }
        assert!(blocks.insert(name, bytes).is_none(), "two blocks are called {name}");
    }
    blocks
}

fn rendered(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (n, row) in bytes.chunks(16).enumerate() {
        let digits: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "{:02x}  {}", n * 16, digits.join(" ")).unwrap();
    }
    out
}

fn assert_block(name: &str, bytes: &[u8]) {
    let blocks = blocks();
    let block = blocks.get(name).map(Vec::as_slice);
    assert!(block == Some(bytes), "docs/format.md, block {name} should be:\n{}", rendered(bytes));
}

fn counting<const N: usize>(from: u8) -> [u8; N] {
    std::array::from_fn(|n| from + u8::try_from(n).unwrap())
}

fn example_header() -> SegmentHeader {
    SegmentHeader {
        tree: TreeId(counting(0x10)),
        boot: counting(0x20),
        seq: 3,
        first: Lsn(41),
        seed: 0x0123_4567_89ab_cdef,
        prev: Lsn(40),
        prev_crc: 0xdead_beef,
        segment_bytes: SEGMENT_BYTES_MIN,
        created: Time { secs: 1_767_323_045, nanos: 6 },
        durable: Lsn(40),
    }
}

/// The same segment before it was begun.
fn example_reserved() -> ReservedHeader {
    let SegmentHeader { tree, seq, segment_bytes, created, .. } = example_header();
    ReservedHeader { tree, seq, segment_bytes, created }
}

/// Two frames, written as one batch, and the zeros behind them.
fn example_frames() -> Vec<u8> {
    let mut out = Vec::new();
    let header = example_header();
    let label = |kind, lsn| Label { kind, lsn: Lsn(lsn), durable: Lsn(40) };
    let chain = encode(&mut out, Seal::new(header.seed), header.prev_crc, label(1, 41), b"hello");
    encode(&mut out, Seal::new(header.seed), chain, label(2, 42), b"");
    out.resize(out.len() + FRAME_HEADER_BYTES, 0);
    out
}

fn identity() -> Identity {
    Identity {
        kind: Kind::File,
        ino: 70_000,
        born: Time { secs: 1_767_323_045, nanos: 1000 },
        size: 5,
        modified: Time { secs: -1, nanos: 0 },
    }
}

fn path(bytes: &[u8]) -> PathBytes {
    PathBytes(bytes.to_vec())
}

fn new_entry(body: Body) -> Goal {
    Goal::New(new(body))
}

fn new(body: Body) -> New {
    New {
        slot: 7,
        inner: path(b"in"),
        identity: identity(),
        mode: 0o644,
        uid: 1000,
        gid: 100,
        xattrs: vec![(b"user.a".to_vec(), b"\x00\xff".to_vec())],
        times: matches!(body, Body::Staged).then(times),
        body,
    }
}

fn times() -> Change<Times> {
    let at = |secs| Time { secs, nanos: 7 };
    Change {
        to: Times { accessed: at(1), modified: at(-1) },
        prior: Times { accessed: at(2), modified: at(1_767_323_045) },
    }
}

fn intent(goal: Goal) -> Record {
    Record::Intent(Intent { path: path(b"a/\xff"), base: None, prior: None, goal, look: None })
}

/// One of each variant, with every field in use somewhere.
fn records() -> Vec<(&'static str, Record)> {
    let at = Time { secs: 1_767_323_045, nanos: 999_999_999 };
    let kept = Intent {
        path: path(b"to/b"),
        base: Some(path(b"b")),
        prior: Some(identity()),
        goal: Goal::Kept,
        look: Some(LookChange {
            mode: Some(Change { to: 0o600, prior: 0o644 }),
            owner: Some(Change { to: Owner { uid: 1000, gid: 100 }, prior: Owner { uid: 0, gid: 0 } }),
            times: Some(times()),
            xattrs: vec![
                XattrChange { name: b"user.a".to_vec(), to: Some(b"new".to_vec()), prior: None },
                XattrChange { name: b"user.b".to_vec(), to: None, prior: Some(b"old".to_vec()) },
            ],
        }),
    };
    let moved = Goal::Moved { from: path(b"c"), identity: Identity { kind: Kind::Dir, ..identity() } };
    vec![
        ("begin", Record::Begin(Begin { txn: 250, stage: "s-1".to_owned(), barrier: true })),
        ("intent-absent", intent(Goal::Absent)),
        ("intent-emptied", intent(Goal::Emptied)),
        ("intent-new-dir", intent(new_entry(Body::Dir))),
        ("intent-new-inline", intent(new_entry(Body::Inline(b"hello".to_vec())))),
        ("intent-new-staged", intent(new_entry(Body::Staged))),
        ("intent-new-symlink", intent(new_entry(Body::Symlink(b"../x".to_vec())))),
        ("intent-new-link", intent(new_entry(Body::Link { from: path(b"c") }))),
        ("intent-moved", intent(moved)),
        ("intent-kept", Record::Intent(kept)),
        ("intent-rewritten", intent(Goal::Rewritten { new: new(Body::Inline(b"hello".to_vec())), image: 8 })),
        ("commit", Record::Commit { txn: 251, intents: 65_536, at }),
        ("rollback", Record::Rollback { txn: u64::MAX }),
        ("attempt", Record::Attempt { txn: 65_535, number: 2, reason: "full".to_owned() }),
        ("checkpoint", Record::Checkpoint { upto: 1 << 32 }),
        ("quarantine", Record::Quarantine { txn: 1, name: "q".to_owned(), reason: "given up".to_owned() }),
        ("guard", Record::Guard(Guard { txn: 1, snapshot: "g".to_owned(), paths: vec![path(b"a"), path(b"")] })),
    ]
}

#[test]
fn the_example_segment_is_what_is_written() {
    assert_block("segment-header", &example_header().encode()[..field::CRC.end]);
    assert_block("reserved-header", &example_reserved().encode()[..field::CRC.end]);
    assert_block("frames", &example_frames());
}

#[test]
fn the_example_segment_is_read_from_the_document_alone() {
    let blocks = blocks();
    let disk = SimDisk::new();
    let dir = disk.open_root("/".as_ref()).unwrap();
    let file = disk.open(&dir, OsStr::new(&name::segment(3)), Open::CreateNew { mode: 0o600 }).unwrap();
    disk.set_len(&file, SEGMENT_BYTES_MIN).unwrap();
    write_all(&disk, &file, &blocks["segment-header"], 0).unwrap();
    write_all(&disk, &file, &blocks["frames"], 4096).unwrap();
    let mut seen = Vec::new();
    let scan = Reader::scan(&disk, &dir, None, &mut |frame| {
        seen.push((frame.lsn, frame.kind, frame.durable, frame.payload.to_vec(), frame.offset));
        ControlFlow::Continue(())
    });
    let scan = scan.unwrap();
    assert_eq!((scan.tail, scan.tree, scan.findings.len()), (Tail::Clean, Some(TreeId(counting(0x10))), 0));
    assert_eq!(scan.segments[0].header, example_header());
    let expected = [(Lsn(41), 1, Lsn(40), b"hello".to_vec(), 4096), (Lsn(42), 2, Lsn(40), Vec::new(), 4096 + 40)];
    assert_eq!(seen, expected);
}

#[test]
fn one_of_each_record_is_what_is_written_and_comes_back() {
    for (name, record) in records() {
        let bytes = record.encode().unwrap();
        assert_block(&format!("record-{name}"), &bytes);
        assert_eq!(Record::decode(record.kind(), &bytes).unwrap(), record);
        assert!(Record::decode(record.kind() % 8 + 1, &bytes).is_err(), "{name}: of another kind");
        for len in 0..bytes.len() {
            assert!(Record::decode(record.kind(), &bytes[..len]).is_err(), "{name}: cut to {len} bytes");
        }
    }
}

#[test]
fn no_block_of_the_document_is_left_unchecked() {
    let mut known: Vec<String> = records().iter().map(|(name, _)| format!("record-{name}")).collect();
    known.extend(["segment-header".to_owned(), "reserved-header".to_owned(), "frames".to_owned()]);
    known.sort();
    assert_eq!(blocks().into_keys().collect::<Vec<_>>(), known);
}
