//! How much memory a scan takes, counted where it is taken: in an allocator of its own, with one test in the program, so
//! that nobody else takes any.
#![expect(unsafe_code, reason = "an allocator that counts can be written in no other way")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "what fails here is the test, and it tells the numbers")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use treewal_journal::{Log, LogOptions, Reader, SEGMENT_BYTES_MAX, Scan, ScanOptions, Source, Tail, TreeId};
use treewal_vfs::{Dir, Disk, Open, RealDisk, write_all};

struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn take(bytes: usize) {
    let taken = TAKEN.fetch_add(bytes, SeqCst) + bytes;
    PEAK.fetch_max(taken, SeqCst);
}

// SAFETY: every call goes to the allocator of the system as it came; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), SeqCst);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // Both may be there while the bytes are moved.
        take(bytes);
        // SAFETY: as above.
        let moved = unsafe { System.realloc(at, layout, bytes) };
        TAKEN.fetch_sub(layout.size(), SeqCst);
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TREE: TreeId = TreeId(*b"tree of a memory");
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// What a scan takes beside the bytes of segments: names, paths, what it says about each segment, a thread's handle.
const REST_BYTES: usize = 64 * KIB;

/// A log of `count` records, and its directory.
fn fill(home: &Path, segment_bytes: u64, record_bytes: usize, count: usize) -> Dir {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let dir = disk.open_root(home).unwrap();
    let log = Log::create(disk, dir.clone(), LogOptions { segment_bytes, ..LogOptions::new(TREE) }).unwrap();
    for _ in 0..count {
        log.append(&[(1, vec![7; record_bytes])]).unwrap();
    }
    log.sync().unwrap();
    dir
}

/// The most that was taken at one time while the log was scanned.
fn peak(dir: &Dir, source: Source, threads: usize) -> (usize, Scan) {
    let options = ScanOptions { source, threads, ..ScanOptions::new(Some(TREE)) };
    let before = TAKEN.load(SeqCst);
    PEAK.store(before, SeqCst);
    let scan = Reader::scan_with(&RealDisk, dir, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    (PEAK.load(SeqCst) - before, scan)
}

fn assert_within(what: &str, dir: &Dir, bounds: [(Source, usize, usize); 4], tail: Option<Tail>) {
    for (source, threads, bytes_max) in bounds {
        let (bytes, scan) = peak(dir, source, threads);
        assert!(bytes <= bytes_max + REST_BYTES, "{what}, {source:?}, {threads} threads: {bytes} of {bytes_max}");
        assert!(tail.is_none_or(|tail| scan.tail == tail), "{what}: {}", scan.tail);
        println!("{what}, {source:?}, {threads} threads: {} KiB", bytes.div_ceil(KIB));
    }
}

fn bounds(mapped: usize, buffered: usize, segment: usize) -> [(Source, usize, usize); 4] {
    [
        (Source::Mapped, 1, mapped),
        (Source::Mapped, 2, mapped),
        (Source::Buffered, 1, buffered),
        // One that is handed out, and one that is checked meanwhile.
        (Source::Buffered, 2, buffered + 2 * segment),
    ]
}

fn put(dir: &Dir, name: &str, at: u64, bytes: &[u8]) {
    let file = RealDisk.open(dir, OsStr::new(name), Open::Create { mode: 0o600 }).unwrap();
    write_all(&RealDisk, &file, bytes, at).unwrap();
}

#[test]
fn a_scan_takes_little_memory_whatever_the_files_hold() {
    let segment_bytes = usize::try_from(SEGMENT_BYTES_MAX).unwrap();
    // Once for what the program takes only once.
    let home = tempfile::tempdir().unwrap();
    peak(&fill(home.path(), 64 << 10, 10, 10), Source::Mapped, 2);

    let home = tempfile::tempdir().unwrap();
    let dir = fill(home.path(), 8 << 20, 100, 600_000);
    assert_within("small records in 10 segments", &dir, bounds(0, 256 * KIB, 8 * MIB), Some(Tail::Clean));

    let home = tempfile::tempdir().unwrap();
    let dir = fill(home.path(), SEGMENT_BYTES_MAX, MIB, 100);
    assert_within("the largest records", &dir, bounds(0, 2 * MIB + 257 * KIB, segment_bytes), Some(Tail::Clean));

    // The largest file that is taken for a segment, with headers of large frames all over it, in place of the next.
    let mut hostile = vec![0; segment_bytes];
    for at in (4096..segment_bytes - 32).step_by(32) {
        hostile[at + 8..at + 12].copy_from_slice(&(1u32 << 20).to_le_bytes());
        hostile[at + 12] = 1;
        hostile[at + 16] = 150;
    }
    let mut block = vec![0; 4096];
    RealDisk
        .read_at(&RealDisk.open(&dir, OsStr::new("0000000000000002.wal"), Open::Read).unwrap(), &mut block, 0)
        .unwrap();
    hostile[..4096].copy_from_slice(&block);
    put(&dir, "0000000000000002.wal", 0, &hostile);
    drop(hostile);
    assert_within("a hostile segment", &dir, bounds(0, 2 * MIB + 257 * KIB, segment_bytes), None);
    assert!(matches!(peak(&dir, Source::Buffered, 1).1.tail, Tail::Corrupt { .. } | Tail::Torn { .. }));

    // A file of 1 TiB that is one hole, but for its first byte, and one of 256 MiB that looks unused.
    let home = tempfile::tempdir().unwrap();
    let dir = fill(home.path(), 64 << 10, 10, 10);
    put(&dir, "0000000000000002.wal", 0, b"x");
    put(&dir, "0000000000000002.wal", (1 << 40) - 1, b"x");
    assert_within("a huge file", &dir, bounds(256 * KIB, 256 * KIB, 64 * KIB), None);
    let home = tempfile::tempdir().unwrap();
    let dir = fill(home.path(), 64 << 10, 10, 10);
    put(&dir, "0000000000000002.wal", (256 << 20) - 1, &[0]);
    assert_within("a file of zeros", &dir, bounds(256 * KIB, 256 * KIB, 64 * KIB), Some(Tail::Clean));
}
