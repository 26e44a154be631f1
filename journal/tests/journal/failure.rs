//! Calls that fail: a write or a sync that fails closes the log for good and for everybody, a full disk does not.

use std::io;
use std::sync::Arc;

use treewal_journal::{Error, Finding, Log, Lsn, Tail};
use treewal_vfs::{Disk, Fault, FaultDisk, Verb, errno};

use crate::common::*;

fn faulty(verb: Verb) -> (Arc<dyn Disk>, Arc<FaultDisk>, Log) {
    let (_, disk) = sim();
    let fault = Arc::new(FaultDisk::new(Arc::clone(&disk), Fault::None).only(verb));
    let log = create(fault.clone());
    (disk, fault, log)
}

fn assert_closed<T: std::fmt::Debug>(result: Result<T, Error>, verb: &str) {
    match result {
        Err(Error::Poisoned { verb: failed, source, .. }) => {
            assert_eq!((failed, source.raw_os_error()), (verb, Some(errno::EIO)));
        }
        other => panic!("not closed: {other:?}"),
    }
}

#[test]
fn a_sync_that_fails_once_closes_the_log_for_good() {
    let (disk, fault, log) = faulty(Verb::SyncData);
    commit(&log, b"durable");
    fault.arm(Fault::Error { at: 1, errno: errno::EIO });
    let lsn = log.append(&[(1, "lost")]).unwrap();
    assert_closed(log.sync_to(lsn), "sync");
    let syncs = fault.mutations();
    // The disk would say yes now.
    assert_closed(log.sync_to(lsn), "sync");
    assert_closed(log.sync(), "sync");
    assert_closed(log.append(&[(1, "x")]), "sync");
    assert_closed(log.append_with(|_| vec![(1, "x")]), "sync");
    assert_closed(log.truncate(Lsn(1)), "sync");
    assert_closed(log.prepare(), "sync");
    assert_eq!(fault.mutations(), syncs, "no sync is tried again");
    assert_eq!(log.durable(), Lsn(1));
    log.sync_to(Lsn(1)).unwrap();
    drop(log);
    let (scan, _) = scan(&*disk);
    assert_eq!(scan.findings, [Finding::Doubt]);
    let (log, seen) = open(Arc::clone(&disk));
    assert_eq!(payloads(&seen), [&b"durable"[..], b"lost"], "it may be there when the log is opened anew");
    assert_eq!(names(&*disk), [segment(2)], "written anew, and the word taken back");
    assert_eq!(commit(&log, b"on"), Lsn(3));
}

#[test]
fn a_write_that_fails_closes_the_log_and_nothing_is_written_behind_it() {
    let once = Fault::Error { at: 1, errno: errno::EIO };
    let from = Fault::ErrorFrom { at: 1, errno: errno::EIO };
    for (fault_at_write, flush) in [(once, false), (from, false), (once, true), (from, true)] {
        let (disk, fault, log) = faulty(Verb::WriteAt);
        commit(&log, b"durable");
        fault.arm(fault_at_write);
        let lsn = log.append(&[(1, "lost")]).unwrap();
        assert_closed(if flush { log.flush() } else { log.sync_to(lsn) }, "write");
        let writes = fault.mutations();
        assert_closed(log.append(&[(1, "x")]), "write");
        assert_closed(log.append(&[(1, vec![0; 40_000])]), "write");
        assert_closed(log.flush(), "write");
        assert_closed(log.sync(), "write");
        assert_eq!(fault.mutations(), writes);
        assert_eq!(log.durable(), Lsn(1));
        drop(log);
        assert_eq!(payloads(&open(disk).1), [b"durable"]);
    }
}

#[test]
fn a_write_in_two_parts_is_one_and_one_that_fails_half_way_is_torn() {
    let (disk, fault, log) = faulty(Verb::WriteAt);
    fault.arm(Fault::ShortWrite { at: 1 });
    commit(&log, &[7; 1000]);
    assert_eq!(fault.mutations(), 2);
    assert_eq!(payloads(&scan(&*disk).1), [[7; 1000]]);
    // The first half gets there, the second fails.
    let half = Arc::new(FaultDisk::new(disk.clone(), Fault::ShortWrite { at: 2 }).only(Verb::WriteAt));
    let failing = Arc::new(FaultDisk::new(half, Fault::Error { at: 3, errno: errno::EIO }).only(Verb::WriteAt));
    let (log, _) = open(failing);
    commit(&log, &[8; 100]);
    log.append(&[(1, [9; 1000])]).unwrap();
    assert_closed(log.flush(), "write");
    drop(log);
    let (found, seen) = scan(&*disk);
    assert_eq!(seen.len(), 2);
    assert!(matches!(found.tail, Tail::Torn { expected: Lsn(3), .. }));
    let (log, _) = open(Arc::clone(&disk));
    assert_eq!(commit(&log, b"on"), Lsn(3));
}

#[test]
fn a_large_record_whose_write_fails_closes_the_log_too() {
    let (disk, fault, log) = faulty(Verb::WriteAt);
    commit(&log, b"durable");
    fault.arm(Fault::Error { at: 1, errno: errno::EIO });
    assert_closed(log.append(&[(1, vec![7; 40_000])]), "write");
    assert_closed(log.sync(), "write");
    drop(log);
    assert_eq!(payloads(&open(disk).1), [b"durable"]);
}

#[test]
fn a_full_disk_refuses_a_new_segment_and_the_log_goes_on_when_there_is_room() {
    let (disk, shared) = sim();
    let log = create(Arc::clone(&shared));
    commit(&log, &[1; 50_000]);
    let before = names(&disk);
    for space in [0, 10_000, 40_000] {
        disk.set_space(space);
        let full = log.append(&[(1, vec![2; 50_000])]);
        assert!(matches!(full, Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull));
        assert!(matches!(log.prepare(), Err(Error::Io { .. })));
        assert_eq!(names(&disk), before, "nothing is left of the try");
        assert_eq!(log.append(&[(1, b"fits")]).unwrap(), log.last());
    }
    disk.set_space(1 << 20);
    log.append(&[(1, vec![3; 50_000])]).unwrap();
    log.sync().unwrap();
    let (scan, seen) = scan(&disk);
    assert_eq!((scan.tail, seen.len()), (Tail::Clean, 5));
    // With a spare file at hand a full disk is no matter: its blocks are there already.
    log.prepare().unwrap();
    log.prepare().unwrap();
    disk.set_space(0);
    commit(&log, &[4; 50_000]);
    assert_eq!(names(&disk).len(), 3);
}

#[test]
fn a_batch_that_can_only_be_written_in_part_closes_the_log() {
    let (disk, shared) = sim();
    let log = create(shared);
    disk.set_space(0);
    let batch: Vec<(u8, Vec<u8>)> = (0..4).map(|n| (1, vec![n; 30_000])).collect();
    assert!(matches!(log.append(&batch), Err(Error::Poisoned { .. })));
    assert!(matches!(log.append(&[(1, "x")]), Err(Error::Poisoned { .. })));
}

#[test]
fn every_failing_call_of_a_rotation_is_told_and_loses_nothing() {
    for verb in [Verb::Create, Verb::WriteAt, Verb::SyncData, Verb::SyncFile, Verb::Rename, Verb::SyncDir] {
        for at in 1..10 {
            let (disk, fault, log) = faulty(verb);
            let mut acked = 0;
            fault.arm(Fault::Error { at, errno: errno::EIO });
            let mut failed = 0;
            for n in 0..8u8 {
                let appended = log.append(&[(1, vec![n; 30_000])]);
                match appended.and_then(|lsn| log.sync_to(lsn).map(|()| lsn)) {
                    Ok(lsn) => acked = lsn.0,
                    Err(Error::Poisoned { .. } | Error::Io { .. }) => failed += 1,
                    Err(other) => panic!("{verb:?} {at}: {other}"),
                }
            }
            assert_eq!(failed > 0, fault.mutations() >= at, "{verb:?} {at}");
            drop(log);
            let (log, seen) = open(disk);
            assert!(seen.len() as u64 >= acked, "{verb:?} {at}");
            commit(&log, b"on");
        }
    }
}

#[test]
fn a_next_segment_that_cannot_be_made_for_want_of_room_or_files_leaves_the_log_open() {
    for (verb, errno) in [(Verb::Open, errno::EMFILE), (Verb::Create, errno::EMFILE), (Verb::Rename, errno::ENOSPC)] {
        for prepares in [true, false] {
            let (disk, fault, log) = faulty(verb);
            commit(&log, &[1; 50_000]);
            fault.arm(Fault::Error { at: 1, errno });
            let refused = if prepares { log.prepare() } else { log.append(&[(1, vec![2; 20_000])]).map(drop) };
            assert!(
                matches!(&refused, Err(Error::Io { source, .. }) if source.raw_os_error() == Some(errno)),
                "{verb:?}: {refused:?}"
            );
            assert_eq!(commit(&log, b"fits"), Lsn(2));
            fault.arm(Fault::None);
            log.prepare().unwrap();
            // Opened once, before it has its name.
            assert!(verb != Verb::Open || fault.mutations() == 1);
            assert_eq!(names(&*disk), [segment(1), segment(2)], "{verb:?}: the file was used");
            assert_eq!(commit(&log, &[3; 20_000]), Lsn(3));
            drop(log);
            assert_eq!(open(disk).1.len(), 3);
        }
    }
}
