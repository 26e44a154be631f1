//! Many threads on one log, and what a commit costs.

use std::sync::{Arc, Barrier};

use treewal_journal::{Error, Log, LogOptions, Lsn, Tail};
use treewal_vfs::sim::Profile;
use treewal_vfs::{Disk, Fault, FaultDisk, RealDisk, RecordingDisk, Verb, errno};

use crate::common::*;

const THREADS: u64 = 8;
const ROUNDS: u64 = 200;

const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Log>();
};

/// All that `threads` threads appended is there: each thread's records in its own order.
fn assert_complete(seen: &[Seen]) {
    assert_eq!(seen.len() as u64, THREADS * ROUNDS);
    for thread in 0..THREADS {
        let mine = seen.iter().filter(|record| record.2.starts_with(&thread.to_le_bytes()));
        let rounds: Vec<u64> = mine.map(|r| u64::from_le_bytes(r.2[8..16].try_into().unwrap())).collect();
        assert_eq!(rounds, (0..ROUNDS).collect::<Vec<_>>());
    }
}

fn payload(thread: u64, round: u64) -> Vec<u8> {
    let len = 16 + usize::try_from((thread * 37 + round * 11) % 400).unwrap();
    let mut payload = [thread.to_le_bytes(), round.to_le_bytes()].concat();
    payload.resize(len, 0xab);
    payload
}

#[test]
fn one_sync_serves_all_who_wait() {
    let (_, disk) = sim();
    let recording = Arc::new(RecordingDisk::new(disk));
    let log = create(recording.clone());
    let before = recording.count(Verb::SyncData);
    let written = Barrier::new(usize::try_from(THREADS).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (log, written) = (&log, &written);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let lsn = log.append(&[(1, payload(thread, round))]).unwrap();
                    written.wait();
                    log.sync_to(lsn).unwrap();
                    assert!(log.durable() >= lsn);
                    written.wait();
                }
            });
        }
    });
    let syncs = (recording.count(Verb::SyncData) - before) as u64;
    let rotations = scan(&*recording).0.segments.len() as u64 - 1;
    assert!(rotations > 0 && (ROUNDS..=ROUNDS + rotations).contains(&syncs), "{syncs} syncs, {rotations} rotations");
    assert_complete(&scan(&*recording).1);
}

#[test]
fn threads_that_run_free_find_all_they_wrote() {
    let home = tempfile::tempdir().unwrap();
    let recording = Arc::new(RecordingDisk::new(Arc::new(RealDisk)));
    let dir = recording.open_root(home.path()).unwrap();
    let log = Log::create(recording.clone(), dir.clone(), options()).unwrap();
    let truncating = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..THREADS)
            .map(|thread| {
                let log = &log;
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let lsn = log.append(&[(1, payload(thread, round))]).unwrap();
                        log.sync_to(lsn).unwrap();
                        assert!(log.durable() >= lsn);
                    }
                })
            })
            .collect();
        let (log, truncating) = (&log, &truncating);
        scope.spawn(move || {
            while truncating.load(std::sync::atomic::Ordering::SeqCst) {
                log.truncate(Lsn(0)).unwrap();
                log.prepare().unwrap();
                assert!(log.bytes() + log.room() > 0);
            }
        });
        for other in others {
            other.join().unwrap();
        }
        truncating.store(false, std::sync::atomic::Ordering::SeqCst);
    });
    assert_eq!(log.durable(), Lsn(THREADS * ROUNDS));
    let (scan, seen) = scan_dir(&*recording, &dir);
    assert_eq!(scan.tail, Tail::Clean);
    assert_complete(&seen);
    assert!((recording.count(Verb::SyncData) as u64) <= THREADS * ROUNDS + scan.segments.len() as u64);
}

#[test]
fn all_who_wait_for_a_sync_that_fails_are_told() {
    let (_, disk) = sim();
    let fault = Arc::new(FaultDisk::new(disk, Fault::None).only(Verb::SyncData));
    let log = create(fault.clone());
    commit(&log, b"x");
    fault.arm(Fault::Error { at: 1, errno: errno::EIO });
    let written = Barrier::new(usize::try_from(THREADS).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (log, written) = (&log, &written);
            scope.spawn(move || {
                let lsn = log.append(&[(1, payload(thread, 0))]).unwrap();
                written.wait();
                assert!(matches!(log.sync_to(lsn), Err(Error::Poisoned { .. })));
            });
        }
    });
    assert_eq!((log.durable(), fault.mutations()), (Lsn(1), 1));
}

#[test]
fn a_commit_is_one_write_and_one_sync() {
    let (_, disk) = sim();
    let recording = Arc::new(RecordingDisk::new(disk));
    let dir = root(&*recording);
    let log = Log::create(recording.clone(), dir, LogOptions::new(TREE)).unwrap();
    for batch in 1..20usize {
        recording.take();
        let records = vec![(1, vec![9; batch * 1000]); batch];
        let last = log.append(&records).unwrap();
        log.sync_to(last).unwrap();
        log.sync_to(last).unwrap();
        log.sync().unwrap();
        assert_eq!(calls(&recording), [Verb::WriteAt, Verb::SyncData]);
    }
}

fn calls(recording: &RecordingDisk) -> Vec<Verb> {
    recording.take().into_iter().map(|call| call.verb).collect()
}

#[test]
fn a_commit_that_begins_a_segment_made_ready_is_one_write_and_one_sync_too() {
    let (_, disk) = sim();
    let recording = Arc::new(RecordingDisk::new(disk));
    let log = create(recording.clone());
    // A small record is copied, a large one is written from where it is.
    for payload in [30_000, 50_000] {
        while log.room() > 30_000 {
            commit(&log, &[1; 20_000]);
        }
        log.prepare().unwrap();
        recording.take();
        commit(&log, &vec![2; payload]);
        assert_eq!(calls(&recording), [Verb::WriteAt, Verb::SyncData]);
    }
    assert_eq!(scan(&*recording).0.segments.len(), 3);
    // What is not durable yet in the segment that is full goes first.
    log.append(&[(1, [3; 100])]).unwrap();
    log.prepare().unwrap();
    recording.take();
    commit(&log, &[4; 60_000]);
    assert_eq!(calls(&recording), [Verb::WriteAt, Verb::SyncData, Verb::WriteAt, Verb::SyncData]);
}

#[test]
fn a_segment_made_of_a_used_one_is_not_zeroed() {
    let (_, disk) = sim();
    let recording = Arc::new(RecordingDisk::new(disk));
    let log = create(recording.clone());
    commit(&log, &[1; 50_000]);
    commit(&log, &[2; 50_000]);
    log.truncate(Lsn(1)).unwrap();
    recording.take();
    log.prepare().unwrap();
    let expected = [Verb::Open, Verb::WriteAt, Verb::SyncFile, Verb::Rename, Verb::SyncDir];
    assert_eq!(calls(&recording), expected);
}

#[test]
fn a_thread_of_the_log_makes_the_next_segment_ready() {
    let (_, disk) = sim();
    let log = Log::create(Arc::clone(&disk), root(&*disk), LogOptions { ahead: true, ..options() }).unwrap();
    commit(&log, &[1; 20_000]);
    assert_eq!(names(&*disk).len(), 1);
    commit(&log, &[1; 20_000]);
    // Ends its thread.
    drop(log);
    assert_eq!(names(&*disk), [segment(1), segment(2)]);
    assert_eq!(scan(&*disk).0.reserved, Some(2));
    let (log, seen) = open(Arc::clone(&disk));
    assert_eq!(seen.len(), 2);
    let recording_before = names(&*disk);
    commit(&log, &[1; 50_000]);
    assert_eq!(names(&*disk), recording_before, "the reserved segment was begun");
}

#[test]
fn zeroing_goes_in_small_writes() {
    let (_, disk) = sim();
    let recording = Arc::new(RecordingDisk::new(disk));
    create(recording.clone());
    let fills = recording.take().into_iter().filter(|call| call.verb == Verb::WriteAt && call.bytes == 16 << 10);
    assert_eq!(fills.count(), 4);
}

/// The power goes while threads commit, others begin segments, and one gives them back.
#[test]
fn the_power_goes_while_many_are_at_work() {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    let mut looked_at = 0;
    for cut in (5..200).step_by(3) {
        let (disk, shared) = sim();
        let log = Log::create(Arc::clone(&shared), root(&*shared), LogOptions { ahead: true, ..options() }).unwrap();
        let (acked, truncated) = (AtomicU64::new(0), AtomicU64::new(0));
        disk.cut_at(Some(cut));
        std::thread::scope(|scope| {
            for thread in 0..4usize {
                let (log, acked, truncated) = (&log, &acked, &truncated);
                scope.spawn(move || {
                    for round in 0..200usize {
                        let len = [200, 9_000, 33_000, 70_000][(thread + round) % 4].min(60_000);
                        let Ok(lsn) = log.append(&[(1, vec![7; len]), (2, vec![8; 100])]) else { return };
                        if round % 3 != 0 && log.sync_to(lsn).is_err() {
                            return;
                        } else if round % 3 != 0 {
                            acked.fetch_max(lsn.0, SeqCst);
                        }
                        if thread == 0 {
                            let upto = log.durable();
                            truncated.fetch_max(upto.0, SeqCst);
                            if log.truncate(upto).is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        drop(log);
        assert!(disk.is_off());
        let outcomes = disk.outcomes(Profile::Strict);
        for (n, outcome) in
            [outcomes.nothing(), outcomes.everything()].into_iter().chain(outcomes.sample(cut, 20)).enumerate()
        {
            let left = disk.after(&outcome);
            let (found, seen) = scan(&left);
            let what = format!("cut at {cut}, outcome {n}: {}", found.tail);
            assert!(!matches!(found.tail, Tail::Corrupt { .. }), "{what}");
            let (acked, truncated) = (acked.load(SeqCst), truncated.load(SeqCst));
            assert!(found.last.0 >= acked, "{what}");
            assert!(found.first.0 <= truncated + 1, "{what}");
            assert_eq!(seen.len() as u64, found.last.0 + 1 - found.first.0, "{what}");
            let (log, _) = open(Arc::new(left.clone()));
            let on = commit(&log, b"on");
            let after = left.after(&left.outcomes(Profile::Strict).nothing());
            assert_eq!((scan(&after).0.tail, scan(&after).0.last), (Tail::Clean, on), "{what}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 1000, "{looked_at}");
}
