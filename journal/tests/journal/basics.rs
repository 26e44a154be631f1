//! Writing and reading back, rotation, truncation, limits: what the log does when nothing goes wrong.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::common::*;
use treewal_journal::{Error, Log, LogOptions, Lsn, RECORD_BYTES_MAX, Reader, SEGMENT_BYTES_MIN, Tail, TreeId};
use treewal_vfs::{Disk, RealDisk, RecordingDisk, Verb};

#[test]
fn what_is_appended_comes_back_in_order() {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    assert_eq!((log.last(), log.durable()), (Lsn(0), Lsn(0)));
    assert_eq!(log.append(&[(1, "one"), (7, "two")]).unwrap(), Lsn(2));
    assert_eq!((log.last(), log.durable()), (Lsn(2), Lsn(0)));
    log.sync_to(Lsn(1)).unwrap();
    assert_eq!(log.durable(), Lsn(2), "a sync serves all that was written");
    assert_eq!(log.append::<&[u8]>(&[]).unwrap(), Lsn(2), "nothing is nothing");
    assert_eq!(log.append(&[(255, vec![])]).unwrap(), Lsn(3));
    assert_eq!(scan(&*disk).0.last, Lsn(2), "what is appended is in memory alone");
    log.flush().unwrap();
    assert_eq!(log.durable(), Lsn(2), "a flush is no sync");
    let (scan, seen) = scan(&*disk);
    assert_eq!(seen, [(1, 1, b"one".to_vec()), (2, 7, b"two".to_vec()), (3, 255, vec![])]);
    assert_eq!((scan.tail, scan.first, scan.last, scan.durable), (Tail::Clean, Lsn(1), Lsn(3), Lsn(2)));
    assert_eq!((scan.tree, scan.findings.len()), (Some(TREE), 0));
    assert_eq!(scan.next_offset(), log.bytes());
    assert_eq!(log.room(), SEGMENT_BYTES_MIN - log.bytes());
}

#[test]
fn goes_on_where_it_ended_again_and_again() {
    let (_, disk) = sim();
    drop(create(Arc::clone(&disk)));
    for round in 0..10u64 {
        let (log, seen) = open(Arc::clone(&disk));
        assert_eq!(seen.len() as u64, round);
        assert_eq!(log.durable(), Lsn(round), "what was read is durable");
        assert_eq!(commit(&log, format!("round {round}").as_bytes()), Lsn(round + 1));
    }
    assert_eq!(names(&*disk), [segment(1)], "a clean log goes on in its last segment");
    let (_, seen) = scan(&*disk);
    assert_eq!(seen[9].2, b"round 9");
}

#[test]
fn resuming_an_empty_directory_begins_a_log_and_creating_over_one_is_refused() {
    let (_, disk) = sim();
    let (log, seen) = open(Arc::clone(&disk));
    assert!(seen.is_empty());
    assert_eq!(commit(&log, b"x"), Lsn(1));
    let again = Log::create(Arc::clone(&disk), root(&*disk), options());
    assert!(matches!(again, Err(Error::NotEmpty(name)) if name == segment(1)));
}

#[test]
fn full_segments_are_followed_by_the_next_and_no_batch_that_fits_one_is_cut() {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    let mut expected = Vec::new();
    for n in 0..40u8 {
        let batch: Vec<(u8, Vec<u8>)> = (1..=5).map(|kind| (kind, vec![n; 1000 + usize::from(kind) * 100])).collect();
        log.append(&batch).unwrap();
        expected.extend(batch.into_iter().map(|(_, payload)| payload));
    }
    log.sync().unwrap();
    let (scan, seen) = scan(&*disk);
    assert_eq!(payloads(&seen), expected);
    assert!(scan.segments.len() >= 4);
    for pair in scan.segments.windows(2) {
        assert_eq!(pair[0].last.next(), pair[1].header.first);
        assert_eq!(pair[1].header.durable, pair[0].last, "a segment is begun when the one before is durable");
        assert_eq!(pair[0].last.0 % 5, 0, "a batch stays in one segment");
    }
    assert_eq!(log.bytes(), scan.segments.iter().map(|segment| segment.end).sum::<u64>());
}

#[test]
fn a_batch_larger_than_a_segment_is_cut_and_a_segment_can_be_filled_to_the_last_byte() {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    let batch: Vec<(u8, Vec<u8>)> = (0..30u8).map(|n| (1, vec![n; 9000])).collect();
    assert_eq!(log.append(&batch).unwrap(), Lsn(30));
    let room = usize::try_from(log.room()).unwrap();
    log.append(&[(2, vec![1; room - 32])]).unwrap();
    log.flush().unwrap();
    assert_eq!(log.room(), 0);
    let (scan_full, seen) = scan(&*disk);
    assert_eq!((scan_full.tail, seen.len()), (Tail::Clean, 31));
    drop(log);
    let (log, _) = open(Arc::clone(&disk));
    commit(&log, b"in the next");
    for room_left in [8, 16, 24, 32] {
        let room = usize::try_from(log.room()).unwrap();
        log.append(&[(2, vec![1; room - 32 - room_left])]).unwrap();
        assert_eq!(log.room(), room_left as u64);
        log.flush().unwrap();
        let (scan, _) = scan(&*disk);
        assert_eq!((scan.tail, scan.last), (Tail::Clean, log.last()));
        commit(&log, b"in the next");
    }
    assert_eq!(scan(&*disk).1.len(), 31 + 9);
}

#[test]
fn numbers_are_known_before_the_records_are_built() {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    commit(&log, b"x");
    let last = log.append_with(|first| vec![(1, first.to_string()), (2, "rest".to_owned())]).unwrap();
    assert_eq!(last, Lsn(3));
    log.flush().unwrap();
    assert_eq!(scan(&*disk).1[1], (2, 1, b"2".to_vec()));
}

#[test]
fn truncation_gives_back_whole_segments_and_keeps_one() {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    for n in 0..60u8 {
        commit(&log, &vec![n; 8000]);
    }
    let (before, seen) = scan(&*disk);
    let segments = before.segments.len();
    assert!(segments > 6);
    let upto = before.segments[3].last;
    log.truncate(Lsn(upto.0 - 1)).unwrap();
    let (part, _) = scan(&*disk);
    assert_eq!(part.first, before.segments[3].header.first, "one record of it is still needed");
    log.truncate(upto).unwrap();
    let (after, kept) = scan(&*disk);
    assert_eq!((after.first, after.last), (upto.next(), before.last));
    assert_eq!(kept, seen[usize::try_from(upto.0).unwrap()..]);
    assert_eq!(names(&*disk).len(), segments - 4 + 1, "at most one spare");
    assert_eq!(names(&*disk).iter().filter(|name| name.ends_with(".spare")).count(), 1);
    log.truncate(log.last()).unwrap();
    assert_eq!(names(&*disk).len(), 2, "the segment that is written stays");
    assert_eq!(commit(&log, b"on"), before.last.next());
}

#[test]
fn a_used_segment_becomes_the_next_one_and_its_old_frames_do_not_count() {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    let mut last = Lsn(0);
    for n in 0..100u8 {
        last = commit(&log, &vec![n; 8000]);
        log.truncate(last).unwrap();
    }
    assert_eq!(names(&*disk).len(), 2);
    let (scan_now, seen) = scan(&*disk);
    assert_eq!((scan_now.tail, scan_now.last), (Tail::Clean, last));
    assert!(seen.len() < 9);
    drop(log);
    let (log, _) = open(Arc::clone(&disk));
    log.prepare().unwrap();
    assert_eq!(commit(&log, b"on"), last.next());
}

#[test]
fn limits_are_refused_by_name_and_leave_the_log_as_it_was() {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    commit(&log, b"x");
    let bytes_max = log.record_bytes_max();
    let small = log.append(&[(1, vec![]), (1, vec![0; bytes_max + 1])]);
    assert!(matches!(small, Err(Error::RecordTooLarge { bytes_max: max, .. }) if max == bytes_max));
    assert!(matches!(log.append(&[(0, "x")]), Err(Error::KindZero)));
    assert!(matches!(log.sync_to(Lsn(2)), Err(Error::NotAppended { wanted: Lsn(2), last: Lsn(1) })));
    assert_eq!(log.append(&[(1, vec![0; bytes_max])]).unwrap(), Lsn(2));
    log.flush().unwrap();
    assert_eq!(scan(&*disk).1.len(), 2);
    for bad in [0, 4096, SEGMENT_BYTES_MIN + 1, SEGMENT_BYTES_MIN - 4096, u64::MAX] {
        let (_, other) = sim();
        let options = LogOptions { segment_bytes: bad, ..options() };
        let made = Log::create(Arc::clone(&other), root(&*other), options);
        assert!(matches!(made, Err(Error::SegmentBytes(bytes)) if bytes == bad));
        assert!(names(&*other).is_empty());
    }
    let (_, large) = sim();
    let log = Log::create(Arc::clone(&large), root(&*large), LogOptions::new(TREE)).unwrap();
    assert_eq!(log.record_bytes_max(), RECORD_BYTES_MAX);
    assert!(log.append(&[(1, vec![3; RECORD_BYTES_MAX + 1])]).is_err());
    commit(&log, &vec![3; RECORD_BYTES_MAX]);
    assert_eq!(scan(&*large).1[0].2.len(), RECORD_BYTES_MAX);
}

#[test]
fn another_trees_log_is_refused() {
    let (_, disk) = sim();
    commit(&create(Arc::clone(&disk)), b"x");
    let dir = root(&*disk);
    let scan = Reader::scan(&*disk, &dir, None, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(scan.tree, Some(TREE));
    let options = LogOptions { tree: TreeId([1; 16]), ..options() };
    assert!(matches!(Log::resume(disk, dir, options, &scan), Err(Error::Foreign { found: TREE, .. })));
}

#[test]
fn a_visitor_may_break_off_and_the_scan_still_ends() {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    for _ in 0..5 {
        commit(&log, b"x");
    }
    let mut count = 0;
    let scan = Reader::scan(&*disk, &root(&*disk), Some(TREE), &mut |frame| {
        count += 1;
        if frame.lsn == Lsn(2) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((count, scan.unwrap().last), (2, Lsn(5)));
}

#[test]
fn segments_of_another_length_and_odd_names_are_lived_with() {
    let (_, disk) = sim();
    commit(&create(Arc::clone(&disk)), b"small");
    put(&*disk, "notes.txt", b"not mine");
    put(&*disk, "0.spare", b"of another length");
    let dir = root(&*disk);
    let (scan_small, _) = scan(&*disk);
    assert_eq!(scan_small.findings.len(), 1);
    let wide = LogOptions { segment_bytes: 4 * SEGMENT_BYTES_MIN, ..options() };
    let log = Log::resume(Arc::clone(&disk), dir, wide, &scan_small).unwrap();
    commit(&log, &vec![5; 100_000]);
    let (scan, seen) = scan(&*disk);
    assert_eq!((seen.len(), scan.segments[1].header.segment_bytes), (2, 4 * SEGMENT_BYTES_MIN));
    assert!(disk.stat(&root(&*disk), OsStr::new("notes.txt")).is_ok());
}

#[test]
fn works_on_the_real_disk_with_files_that_nobody_else_reads() {
    let home = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let dir = disk.open_root(home.path()).unwrap();
    let log = Log::create(Arc::clone(&disk), dir.clone(), options()).unwrap();
    for n in 0..50u8 {
        commit(&log, &vec![n; 5000]);
    }
    log.truncate(Lsn(40)).unwrap();
    drop(log);
    let (scan, seen) = scan_dir(&*disk, &dir);
    assert_eq!((scan.tail, scan.last), (Tail::Clean, Lsn(50)));
    assert_eq!(seen.last().unwrap().2, vec![49; 5000]);
    for entry in disk.list(&dir).unwrap() {
        assert_eq!(disk.stat(&dir, &entry.name).unwrap().mode, 0o600);
    }
    Log::resume(disk, dir, options(), &scan).unwrap();
}

#[test]
fn records_that_know_their_numbers_are_written_when_many_have_come_together() {
    let (_, disk) = sim();
    let recording = Arc::new(RecordingDisk::new(disk));
    let log = Log::create(recording.clone(), root(&*recording), LogOptions::new(TREE)).unwrap();
    let before = recording.count(Verb::WriteAt);
    while recording.count(Verb::WriteAt) == before {
        let last = log.append_with(|lsn| vec![(1, vec![u8::try_from(lsn.0 % 251).unwrap(); 1000])]).unwrap();
        assert!(last < Lsn(300), "nothing is written, and the buffer grows");
    }
}

/// More payloads than the system takes in one call, each too small to be worth a call of its own.
#[test]
fn many_payloads_that_would_fill_the_buffer_go_to_the_disk_in_order_and_in_few_calls() {
    let (_, disk) = sim();
    let recording = Arc::new(RecordingDisk::new(disk.clone()));
    let large = LogOptions { segment_bytes: 8 << 20, ..options() };
    let log = Log::create(recording.clone(), root(&*recording), large).unwrap();
    log.append(&[(3, "before")]).unwrap();
    let payloads: Vec<(u8, Vec<u8>)> = (0..1200u16).map(|n| (5, n.to_le_bytes().repeat(1200))).collect();
    let from = recording.calls().len();
    assert_eq!(log.append(&payloads).unwrap(), Lsn(1201));
    assert_eq!(log.append(&[(4, "behind")]).unwrap(), Lsn(1202));
    log.sync_to(Lsn(1202)).unwrap();
    let calls = recording.calls().split_off(from);
    let writes = calls.iter().filter(|call| call.verb == Verb::WriteAt).count();
    assert!((2..=4).contains(&writes), "{calls:?}");
    let (scan, seen) = scan_every_way(&*disk);
    assert_eq!((scan.tail, scan.last), (Tail::Clean, Lsn(1202)));
    assert_eq!((seen[0].2.as_slice(), seen[1201].2.as_slice()), (&b"before"[..], &b"behind"[..]));
    assert!(seen[1..1201].iter().map(|record| &record.2).eq(payloads.iter().map(|(_, payload)| payload)));
}
