//! What the tests of this crate share: a log on a simulated disk, and looking at it.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use treewal_journal::{
    Log, LogOptions, Lsn, Reader, SEGMENT_BYTES_MIN, Scan, ScanOptions, Source, Tail, TreeId, repair,
};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, File, Open, RelPath, read_all, write_all};

pub(crate) const TREE: TreeId = TreeId(*b"tree under tests");

pub(crate) fn options() -> LogOptions {
    LogOptions { segment_bytes: SEGMENT_BYTES_MIN, ..LogOptions::new(TREE) }
}

/// A record as a test compares it.
pub(crate) type Seen = (u64, u8, Vec<u8>);

fn below(disk: &dyn Disk, name: &str) -> Dir {
    let root = disk.open_root(Path::new("/")).unwrap();
    disk.open_dir(&root, &RelPath::new(name).unwrap()).unwrap()
}

/// The directory of the log.
pub(crate) fn root(disk: &dyn Disk) -> Dir {
    below(disk, "journal")
}

/// A directory beside it.
pub(crate) fn quarantine(disk: &dyn Disk) -> Dir {
    below(disk, "quarantine")
}

pub(crate) fn scan_dir(disk: &dyn Disk, dir: &Dir) -> (Scan, Vec<Seen>) {
    let mut seen = Vec::new();
    let scan = Reader::scan(disk, dir, Some(TREE), &mut |frame| {
        seen.push((frame.lsn.0, frame.kind, frame.payload.to_vec()));
        ControlFlow::Continue(())
    });
    (scan.unwrap(), seen)
}

pub(crate) fn scan(disk: &dyn Disk) -> (Scan, Vec<Seen>) {
    scan_dir(disk, &root(disk))
}

/// All the ways to read a log: both sources, by one thread and by more.
pub(crate) fn every_way() -> impl Iterator<Item = ScanOptions> {
    let sources = [Source::Buffered, Source::Mapped].into_iter();
    sources.flat_map(|source| [1, 2, 3].map(|threads| ScanOptions { source, threads, ..ScanOptions::new(Some(TREE)) }))
}

/// Scans in every way and gives what all of them found.
pub(crate) fn scan_every_way(disk: &dyn Disk) -> (Scan, Vec<Seen>) {
    let found = scan(disk);
    for options in every_way() {
        let mut seen = Vec::new();
        let scan = Reader::scan_with(disk, &root(disk), &options, &mut |frame| {
            seen.push((frame.lsn.0, frame.kind, frame.payload.to_vec()));
            ControlFlow::Continue(())
        });
        assert_eq!((scan.unwrap(), seen), found, "{options:?}");
    }
    found
}

/// Scans and goes on; gives what the scan handed out.
pub(crate) fn open(disk: Arc<dyn Disk>) -> (Log, Vec<Seen>) {
    let dir = root(&*disk);
    let (scan, seen) = scan_dir(&*disk, &dir);
    (Log::resume(disk, dir, options(), &scan).unwrap(), seen)
}

pub(crate) fn create(disk: Arc<dyn Disk>) -> Log {
    let dir = root(&*disk);
    Log::create(disk, dir, options()).unwrap()
}

/// A disk with the two directories, durable.
pub(crate) fn sim() -> (SimDisk, Arc<dyn Disk>) {
    let disk = SimDisk::new();
    let root = disk.open_root(Path::new("/")).unwrap();
    for name in ["journal", "quarantine"] {
        disk.create_dir(&root, OsStr::new(name), 0o700).unwrap();
    }
    disk.sync_all(&root).unwrap();
    (disk.clone(), Arc::new(disk))
}

pub(crate) fn file(disk: &dyn Disk, name: &str) -> File {
    disk.open(&root(disk), OsStr::new(name), Open::ReadWrite).unwrap()
}

pub(crate) fn bytes_of(disk: &dyn Disk, name: &str) -> Vec<u8> {
    read_all(disk, &file(disk, name), 1 << 30).unwrap()
}

/// Writes over a part of a file.
pub(crate) fn poke(disk: &dyn Disk, name: &str, offset: usize, bytes: &[u8]) {
    write_all(disk, &file(disk, name), bytes, offset as u64).unwrap();
}

/// Makes a file of these bytes, in place of what there was.
pub(crate) fn put(disk: &dyn Disk, name: &str, bytes: &[u8]) {
    let file = disk.open(&root(disk), OsStr::new(name), Open::Create { mode: 0o600 }).unwrap();
    disk.set_len(&file, 0).unwrap();
    write_all(disk, &file, bytes, 0).unwrap();
}

pub(crate) fn names(disk: &dyn Disk) -> Vec<String> {
    let entries = disk.list(&root(disk)).unwrap();
    let mut names: Vec<String> = entries.into_iter().map(|entry| entry.name.into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn segment(seq: u64) -> String {
    format!("{seq:016x}.wal")
}

/// Appends one record and syncs it.
pub(crate) fn commit(log: &Log, payload: &[u8]) -> Lsn {
    let lsn = log.append(&[(1, payload)]).unwrap();
    log.sync_to(lsn).unwrap();
    lsn
}

pub(crate) fn payloads(seen: &[Seen]) -> Vec<&[u8]> {
    seen.iter().map(|(_, _, payload)| payload.as_slice()).collect()
}

/// Repairs what is damaged, goes on, appends a record, and checks that the log is then what was handed out and that
/// record. Gives the tail that was found.
pub(crate) fn mend_and_go_on(disk: &Arc<dyn Disk>) -> Tail {
    let (found, seen) = scan(&**disk);
    let mut next = found.last.next();
    if let Tail::Corrupt { .. } = found.tail {
        let dir = root(&**disk);
        let done = repair(&**disk, &dir, &options(), &found, &quarantine(&**disk)).unwrap();
        assert_eq!(done.kept, found.last);
        assert!(done.next >= next && !done.quarantined.is_empty());
        next = done.next;
        let (mended, kept) = scan(&**disk);
        assert_eq!((mended.tail, &kept), (Tail::Clean, &seen));
    }
    let (log, read) = open(Arc::clone(disk));
    assert_eq!(read, seen);
    assert_eq!(commit(&log, b"and on"), next);
    let (after, read) = scan(&**disk);
    assert_eq!(after.tail, Tail::Clean);
    assert_eq!((&read[..seen.len()], &read[seen.len()..]), (&seen[..], &[(next.0, 1, b"and on".to_vec())][..]));
    found.tail
}
