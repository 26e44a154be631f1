//! How the fixtures were made. A fixture is made once, and never again: what it tests is that its bytes stay readable.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use treewal_journal::record::{
    Begin, Body, Change, Goal, Guard, Intent, LookChange, New, Owner, PathBytes, Record, Times, XattrChange,
};
use treewal_journal::{Log, LogOptions, Lsn, Reader, SEGMENT_BYTES_MIN, Scan, TreeId, repair};
use treewal_vfs::{Dir, Disk, Identity, Kind, RealDisk, Time};

use crate::fixtures::{home, shortened};
use crate::pack::pack;
use crate::told::told;

/// Makes a journal in a directory.
type Make = fn(&Path);

/// Each with what makes it.
pub(crate) const FIXTURES: [(&str, Make); 13] = [
    ("v1-clean", clean),
    ("v1-two-segments", two_segments),
    ("v1-torn", torn),
    ("v1-cut", cut),
    ("v1-damaged", damaged),
    ("v1-damaged-last-but-one", damaged_last_but_one),
    ("v1-repaired", repaired),
    ("v1-recycled", recycled),
    ("v1-missing", missing),
    ("v1-reserved", reserved),
    ("v1-begun", begun),
    ("v1-unfinished", unfinished),
    ("v2-refused", newer),
];

/// `cargo test --test format -- --ignored` after a new one was added to the list; those that are there stay.
#[test]
#[ignore = "makes fixtures that are missing"]
fn missing_fixtures_are_made() {
    for (name, make) in FIXTURES {
        let (text, json) = (home().join(format!("{name}.txt")), home().join(format!("{name}.json")));
        if text.exists() {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        fs::write(text, pack(dir.path())).unwrap();
        let mut expected = serde_json::to_string_pretty(&shortened(&told(dir.path()))).unwrap();
        expected.push('\n');
        fs::write(json, expected).unwrap();
    }
}

// --- a log on the real disk -------------------------------------------------------------------------------------------

fn options() -> LogOptions {
    LogOptions { segment_bytes: SEGMENT_BYTES_MIN, ..LogOptions::new(TreeId(*b"tree of fixtures")) }
}

fn disk(dir: &Path) -> (Arc<dyn Disk>, Dir) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let dir = disk.open_root(dir).unwrap();
    (disk, dir)
}

fn create(path: &Path) -> Log {
    let (disk, dir) = disk(path);
    Log::create(disk, dir, options()).unwrap()
}

fn scan(path: &Path) -> Scan {
    let (disk, dir) = disk(path);
    Reader::scan(&*disk, &dir, None, &mut |_| std::ops::ControlFlow::Continue(())).unwrap()
}

fn resume(path: &Path) -> Log {
    let (disk, dir) = disk(path);
    Log::resume(disk, dir, options(), &scan(path)).unwrap()
}

/// Appends records and syncs them.
fn commit(log: &Log, records: &[Record]) -> Lsn {
    let frames: Vec<(u8, Vec<u8>)> = records.iter().map(|record| (record.kind(), record.encode().unwrap())).collect();
    let last = log.append(&frames).unwrap();
    log.sync_to(last).unwrap();
    last
}

pub(crate) fn segment(seq: u64) -> String {
    format!("{seq:016x}.wal")
}

/// Changes one byte.
fn flip(dir: &Path, seq: u64, at: usize) {
    let path = dir.join(segment(seq));
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Offset of the frame of a record in its segment.
fn offset(dir: &Path, lsn: u64) -> usize {
    let told = told(dir);
    let record = told["records"].as_array().unwrap().iter().find(|record| record["lsn"] == lsn).unwrap();
    usize::try_from(record["offset"].as_u64().unwrap()).unwrap()
}

// --- records ----------------------------------------------------------------------------------------------------------

fn path(text: &[u8]) -> PathBytes {
    PathBytes(text.to_vec())
}

fn identity(kind: Kind) -> Identity {
    Identity {
        kind,
        ino: 70_000,
        born: Time { secs: 1_767_323_045, nanos: 1000 },
        size: 5,
        modified: Time { secs: -1, nanos: 999_999_999 },
    }
}

fn times() -> Change<Times> {
    let at = |secs| Time { secs, nanos: 123_456_789 };
    Change { to: Times { accessed: at(1), modified: at(-1) }, prior: Times { accessed: at(2), modified: at(i64::MAX) } }
}

fn intent(name: &[u8], goal: Goal) -> Record {
    Record::Intent(Intent { path: path(name), base: None, prior: None, goal, look: None })
}

fn file(body: Body) -> Goal {
    Goal::New(New {
        slot: u64::from(u32::MAX) + 1,
        inner: path(b"in"),
        identity: identity(Kind::File),
        mode: 0o644,
        uid: 1000,
        gid: 65_536,
        xattrs: vec![(b"user.a".to_vec(), vec![0, 0xff]), (b"user.b".to_vec(), Vec::new())],
        times: matches!(body, Body::Staged).then(times),
        body,
    })
}

/// One of every kind and form.
pub(crate) fn every_record() -> Vec<Record> {
    let kept = Intent {
        path: path("ü/\n".as_bytes()),
        base: Some(path(b"b")),
        prior: Some(identity(Kind::BlockDevice)),
        goal: Goal::Kept,
        look: Some(LookChange {
            mode: Some(Change { to: 0o7777, prior: 0 }),
            owner: Some(Change { to: Owner { uid: 0, gid: 251 }, prior: Owner { uid: u32::MAX, gid: 1 } }),
            times: Some(times()),
            xattrs: vec![
                XattrChange { name: b"user.a".to_vec(), to: Some(Vec::new()), prior: None },
                XattrChange { name: b"user.b".to_vec(), to: None, prior: Some(vec![0, 0xff]) },
            ],
        }),
    };
    vec![
        Record::Begin(Begin { txn: 1, stage: "s-1".into(), barrier: true }),
        intent(b"a/\xff", Goal::Absent),
        intent(b"dir", file(Body::Dir)),
        intent(b"inline", file(Body::Inline(b"hello".to_vec()))),
        intent(b"staged", file(Body::Staged)),
        intent(b"link", file(Body::Symlink(b"../x".to_vec()))),
        intent(b"another name", file(Body::Link { from: path(b"c") })),
        intent(b"", Goal::Moved { from: path(b"c"), identity: identity(Kind::Dir) }),
        Record::Intent(kept),
        Record::Commit { txn: 1, intents: 7, at: Time { secs: i64::MIN, nanos: u32::MAX } },
        Record::Rollback { txn: u64::MAX },
        Record::Attempt { txn: 65_535, number: 251, reason: "voll: ü".into() },
        Record::Checkpoint { upto: 250 },
        Record::Quarantine { txn: 1, name: "q".into(), reason: String::new() },
        Record::Guard(Guard { txn: 1, snapshot: "g".into(), paths: vec![path(b"a"), path(b"")] }),
    ]
}

fn write(name: &str, bytes: usize) -> Record {
    intent(name.as_bytes(), file(Body::Inline(vec![b'A'; bytes])))
}

// --- the fixtures -----------------------------------------------------------------------------------------------------

fn clean(dir: &Path) {
    let log = create(dir);
    for record in every_record() {
        commit(&log, &[record]);
    }
    // Kinds and payloads that no record has are for the layer below.
    let last = log.append(&[(200, b"not a record".as_slice()), (1, b"\xff"), (2, b"")]).unwrap();
    log.sync_to(last).unwrap();
}

fn two_segments(dir: &Path) {
    let log = create(dir);
    commit(&log, &[write("a", 30_000), write("b", 20_000)]);
    commit(&log, &[write("c", 20_000), write("d", 100)]);
    commit(&log, &[write("e", 50)]);
}

/// The last batch has two records, and the first of them did not arrive whole.
fn torn(dir: &Path) {
    let log = create(dir);
    commit(&log, &[write("a", 50)]);
    commit(&log, &[write("b", 50), write("c", 50)]);
    drop(log);
    flip(dir, 1, offset(dir, 2) + 40);
}

/// A torn log that went on.
fn cut(dir: &Path) {
    torn(dir);
    commit(&resume(dir), &[write("d", 50)]);
}

/// The second record is gone, and a later one says that it was durable.
fn damaged(dir: &Path) {
    let log = create(dir);
    for name in ["a", "b", "c", "d"] {
        commit(&log, &[write(name, 50)]);
    }
    drop(log);
    flip(dir, 1, offset(dir, 2) + 40);
}

/// Of two batches the first is gone: the mark of the second names just that one.
fn damaged_last_but_one(dir: &Path) {
    let log = create(dir);
    commit(&log, &[write("a", 50)]);
    commit(&log, &[write("b", 50)]);
    drop(log);
    flip(dir, 1, offset(dir, 1) + 40);
}

fn repaired(dir: &Path) {
    damaged(dir);
    let (disk, root) = disk(dir);
    let quarantine = tempfile::tempdir().unwrap();
    repair(&*disk, &root, &options(), &scan(dir), &disk.open_root(quarantine.path()).unwrap()).unwrap();
    drop(quarantine);
    commit(&resume(dir), &[write("e", 50)]);
}

/// The second segment was the first one: old frames stand behind the new ones.
fn recycled(dir: &Path) {
    let log = create(dir);
    for n in 0..9 {
        let last = commit(&log, &[write("a", 10_000)]);
        log.truncate(Lsn(last.0.saturating_sub(2))).unwrap();
        if n == 7 {
            commit(&log, &[Record::Checkpoint { upto: last.0 }]);
        }
    }
    commit(&log, &[write("b", 9_000)]);
    log.truncate(log.last()).unwrap();
    for _ in 0..3 {
        let last = commit(&log, &[write("c", 9_000)]);
        log.truncate(last).unwrap();
    }
}

/// Of three segments the one in the middle is gone.
fn missing(dir: &Path) {
    let log = create(dir);
    for name in ["a", "b", "c"] {
        commit(&log, &[write(name, 50_000)]);
    }
    drop(log);
    fs::remove_file(dir.join(segment(2))).unwrap();
}

/// A segment that is ready, and not begun.
fn reserved(dir: &Path) {
    let log = create(dir);
    commit(&log, &[write("a", 50)]);
    log.prepare().unwrap();
}

/// A segment that was ready, and then begun.
fn begun(dir: &Path) {
    let log = create(dir);
    log.prepare().unwrap();
    commit(&log, &[write("a", 50_000)]);
    commit(&log, &[write("b", 20_000)]);
    commit(&log, &[write("c", 50)]);
}

/// A segment that was being made, and files that do not count.
fn unfinished(dir: &Path) {
    let log = create(dir);
    commit(&log, &[write("a", 50)]);
    fs::write(dir.join(segment(2)), vec![0; 65_536]).unwrap();
    fs::write(dir.join("doubt"), b"").unwrap();
    fs::write(dir.join("00000000000000ff.spare"), vec![1; 100]).unwrap();
    fs::write(dir.join("000000000000000A.wal"), b"a stray").unwrap();
}

/// An intact header of a version that was not there yet.
fn newer(dir: &Path) {
    commit(&create(dir), &[write("a", 50)]);
    let path = dir.join(segment(1));
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    let crc = crc(&bytes[..120]);
    bytes[120..124].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

/// CRC-32 of IEEE 802.3, bit by bit.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
