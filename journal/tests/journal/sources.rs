//! Where the bytes come from and who checks them makes no difference to what is found.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use treewal_journal::{Error, Finding, Log, LogOptions, Lsn, Proof, Reader, Scan, ScanOptions, Source, Tail};
use treewal_vfs::{Dir, Disk, Fault, FaultDisk, File, Open, RealDisk, RecordingDisk, Verb, errno, read_all, write_all};

use crate::bent::{BadSector, Bent, SECTOR};
use crate::common::*;

/// A log of records of many lengths, up to the largest, in segments of this length.
fn fill(disk: &Arc<dyn Disk>, dir: &Dir, segment_bytes: u64, lengths: &[usize]) -> Log {
    let options = LogOptions { segment_bytes, ..options() };
    let log = Log::create(Arc::clone(disk), dir.clone(), options).unwrap();
    for (n, len) in lengths.iter().enumerate() {
        let payload: Vec<u8> = (0..=255u8).cycle().skip(n % 256).take(*len).collect();
        commit(&log, &payload);
    }
    log
}

/// Scans in every way; all must find the same.
pub(crate) fn every(disk: &dyn Disk, dir: &Dir) -> (Scan, Vec<Seen>) {
    let found = scan_dir(disk, dir);
    for options in every_way() {
        assert_eq!(scan_so(disk, dir, &options).unwrap(), found, "{options:?}");
    }
    found
}

fn scan_so(disk: &dyn Disk, dir: &Dir, options: &ScanOptions) -> Result<(Scan, Vec<Seen>), Error> {
    let mut seen = Vec::new();
    let scan = Reader::scan_with(disk, dir, options, &mut |frame| {
        seen.push((frame.lsn.0, frame.kind, frame.payload.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok((scan, seen))
}

#[test]
fn records_larger_than_what_is_read_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let dir = disk.open_root(home.path()).unwrap();
    let mut lengths = vec![1 << 20, 0, 1, (1 << 20) - 1, 7, 300_000, (256 << 10) - 32, (256 << 10) - 31];
    lengths.extend((0..300).map(|n| n * 37 % 20_000));
    lengths.extend([1 << 20; 9]);
    let log = fill(&disk, &dir, 4 << 20, &lengths);
    let (found, seen) = every(&*disk, &dir);
    assert_eq!(found.tail, Tail::Clean);
    assert_eq!(seen.iter().map(|(_, _, payload)| payload.len()).collect::<Vec<_>>(), lengths);
    assert!(found.segments.len() > 3 && found.next_offset() > 4096);
    assert_eq!(log.last(), found.last);
}

#[test]
fn a_mapped_log_is_read_through_mappings_and_another_never() {
    let (_, sim) = sim();
    fill(&sim, &root(&*sim), 64 << 10, &[5000; 40]);
    let recording = Arc::new(RecordingDisk::new(sim));
    for options in every_way() {
        recording.take();
        let (found, _) = scan_so(&*recording, &root(&*recording), &options).unwrap();
        let segments = found.segments.len();
        assert!(segments > 3);
        let headers = recording.calls().iter().filter(|call| call.verb == Verb::ReadAt && call.bytes == 4096).count();
        let read = recording.count(Verb::ReadAt) - headers;
        assert_eq!(headers, segments);
        match options.source {
            Source::Mapped => assert_eq!((recording.count(Verb::Map), read), (segments, 0), "{options:?}"),
            Source::Buffered => assert!(recording.count(Verb::Map) == 0 && read >= segments, "{options:?}"),
        }
    }
}

#[test]
fn a_disk_that_cannot_map_is_read() {
    let (_, sim) = sim();
    fill(&sim, &root(&*sim), 64 << 10, &[5000; 40]);
    let found = every(&*sim, &root(&*sim));
    for at in 1..=4 {
        let fault = Fault::ErrorFrom { at, errno: errno::ENOSYS };
        let disk = FaultDisk::new(Arc::clone(&sim), fault).only(Verb::Map);
        assert_eq!(every(&disk, &root(&disk)), found);
    }
}

#[test]
fn an_error_that_is_not_the_mediums_ends_the_scan_in_every_way() {
    let (_, sim) = sim();
    fill(&sim, &root(&*sim), 64 << 10, &[5000; 40]);
    for options in every_way() {
        for verb in [Verb::Open, Verb::ReadAt, Verb::Stat, Verb::StatFile] {
            for at in 1..12 {
                let fault = Fault::ErrorFrom { at, errno: errno::ESTALE };
                let disk = FaultDisk::new(Arc::clone(&sim), fault).only(verb);
                let refused = scan_so(&disk, &root(&*sim), &options);
                assert!(disk.mutations() < at || matches!(refused, Err(Error::Io { .. })), "{verb:?} {at} {options:?}");
            }
        }
    }
}

#[test]
fn every_bad_sector_is_found_to_the_sector() {
    let (_, sim) = sim();
    let log = fill(&sim, &root(&*sim), 64 << 10, &[3000; 50]);
    let (_, written) = scan(&*sim);
    let last = log.bytes() % (64 << 10);
    let mut cases = 0;
    for seq in [1, 2, 3] {
        let name = segment(seq);
        let ino = sim.stat(&root(&*sim), OsStr::new(&name)).unwrap().ino;
        for at in (0..64 << 10).step_by(512) {
            for gives_what_it_can in [false, true] {
                let bad = Some(BadSector { ino, at, gives_what_it_can });
                let disk = Bent { inner: Arc::clone(&sim), bad, meddle: None };
                let (found, seen) = every(&disk, &root(&disk));
                assert_eq!(seen, written[..seen.len()], "segment {seq}, byte {at}");
                check_bad_sector(&found, seq, at);
                // Nothing that was readable before the sector is lost.
                let frame = (at.max(4096) - 4096) / 3032;
                let before = if frame < 20 { (20 * (seq - 1) + frame).min(50) } else { 50 };
                assert_eq!(seen.len() as u64, before, "segment {seq}, byte {at}");
                cases += 1;
            }
        }
    }
    assert!(last > 4096 && log.last() == Lsn(50));
    println!("{cases} bad sectors, each in 6 ways");
}

fn check_bad_sector(found: &Scan, seq: u64, at: u64) {
    let end = 4096 + if seq < 3 { 20 } else { 10 } * 3032;
    let finding = Finding::Unreadable { segment: seq, offset: if at < 4096 { 0 } else { at } };
    match found.tail {
        Tail::Corrupt { segment, offset: 0, proof: Proof::Unreadable, .. } => assert!(segment == seq && at < 4096),
        // The first frame that is not there as a whole.
        Tail::Corrupt { segment, offset, .. } => {
            assert_eq!(segment, seq);
            assert!(offset < at + SECTOR && at < offset + 3032, "{}", found.tail);
        }
        Tail::Clean => assert!(at >= end, "byte {at}"),
        Tail::Torn { .. } => panic!("byte {at}"),
    }
    // What lies behind the records of a segment that another continues is not asked for.
    let expected = if seq < 3 && at >= end { vec![] } else { vec![finding] };
    assert_eq!(found.findings, expected, "segment {seq}, byte {at}");
}

/// In segments that are read, and mapped, in several parts, which begin anywhere.
#[test]
fn bad_sectors_of_large_segments_are_found_to_the_sector() {
    let (_, sim) = sim();
    fill(&sim, &root(&*sim), 4 << 20, &[30_001; 350]);
    let (found, written) = scan(&*sim);
    assert_eq!(found.segments.len(), 3);
    let mut cases = 0;
    for seq in [1, 2] {
        let ino = sim.stat(&root(&*sim), OsStr::new(&segment(seq))).unwrap().ino;
        for at in (4096..(4 << 20) - 40_000).step_by(512 * 331) {
            let bad = Some(BadSector { ino, at, gives_what_it_can: cases % 2 == 0 });
            let disk = Bent { inner: Arc::clone(&sim), bad, meddle: None };
            let (found, seen) = every(&disk, &root(&disk));
            assert_eq!(found.findings, [Finding::Unreadable { segment: seq, offset: at }]);
            let frames = (at - 4096) / 30_040 + if seq == 1 { 0 } else { 139 };
            assert_eq!(seen, written[..usize::try_from(frames).unwrap()], "segment {seq}, byte {at}");
            cases += 1;
        }
    }
    println!("{cases} bad sectors, each in 6 ways");
}

/// A real file is cut while it is mapped: no signal, and what is found is what is left.
#[test]
fn a_file_that_is_cut_under_its_mapping_is_read() {
    let home = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let dir = disk.open_root(home.path()).unwrap();
    let lengths: Vec<usize> = (0..600).map(|n| 20_000 + n).collect();
    fill(&disk, &dir, 8 << 20, &lengths);
    let name = segment(1);
    let file = disk.open(&dir, OsStr::new(&name), Open::ReadWrite).unwrap();
    let whole = read_all(&*disk, &file, 8 << 20).unwrap();
    for len in [0, 100, 4096, 5000, 1 << 20, (2 << 20) + 5, 5 << 20] {
        for threads in [1, 2] {
            write_all(&*disk, &file, &whole, 0).unwrap();
            let (writable, ino) = (file.clone(), disk.stat_file(&file).unwrap().ino);
            let meddle = move |mapped: &File| {
                if RealDisk.stat_file(mapped).unwrap().ino == ino {
                    RealDisk.set_len(&writable, len).unwrap();
                }
            };
            let bent = Bent { inner: Arc::clone(&disk), bad: None, meddle: Some(Box::new(meddle)) };
            let options = ScanOptions { source: Source::Mapped, threads, ..ScanOptions::new(Some(TREE)) };
            let (found, seen) = scan_so(&bent, &dir, &options).unwrap();
            let short = Finding::Short { segment: 1, bytes: len.max(4096), expected: 8 << 20 };
            assert!(found.findings.contains(&short), "{len}: {:?}", found.findings);
            if len >= 4096 {
                assert_eq!((found, seen), scan_dir(&*disk, &dir), "{len}");
            }
        }
    }
}

#[test]
fn a_visitor_that_breaks_off_or_panics_leaves_nobody_waiting() {
    let (_, disk) = sim();
    fill(&disk, &root(&*disk), 64 << 10, &[5000; 60]);
    for options in every_way() {
        for stop in [1, 13, 14, 40] {
            let mut seen = 0;
            let found = Reader::scan_with(&*disk, &root(&*disk), &options, &mut |frame| {
                seen = frame.lsn.0;
                if seen == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert_eq!((seen, found.unwrap().last), (stop, Lsn(60)));
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                Reader::scan_with(&*disk, &root(&*disk), &options, &mut |frame| {
                    assert!(frame.lsn.0 != stop, "as the test wants it");
                    ControlFlow::Continue(())
                })
            }));
            assert!(panicked.is_err());
        }
    }
}

#[test]
fn any_number_of_threads_will_do() {
    let (_, disk) = sim();
    fill(&disk, &root(&*disk), 64 << 10, &[5000; 60]);
    let found = scan(&*disk);
    for threads in [0, 1, 4, 5, 6, 1000, usize::MAX] {
        let options = ScanOptions { threads, ..ScanOptions::new(Some(TREE)) };
        assert_eq!(scan_so(&*disk, &root(&*disk), &options).unwrap(), found, "{threads} threads");
    }
    let home = tempfile::tempdir().unwrap();
    let none = RealDisk.open_root(home.path()).unwrap();
    assert_eq!(every(&RealDisk, &none).1.len(), 0);
}
