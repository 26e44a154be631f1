//! Repair: the power goes at every changing call of it. What was valid stays readable, and every byte of what is cut is
//! found in the log or in the quarantine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;

use treewal_journal::{Error, Lsn, Scan, Tail, repair};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, Open, Verb, errno, read_all};

use crate::common::*;

/// Four segments; the byte that is flipped is in an acknowledged record of one of them, or in its header.
fn damaged(seq: u64, offset: usize) -> (SimDisk, Arc<dyn Disk>, BTreeMap<String, Vec<u8>>) {
    let (disk, shared) = sim();
    let log = create(Arc::clone(&shared));
    while log.last() < Lsn(32) {
        commit(&log, &vec![u8::try_from(log.last().0).unwrap(); 6400]);
    }
    drop(log);
    let byte = bytes_of(&disk, &segment(seq))[offset];
    poke(&disk, &segment(seq), offset, &[!byte]);
    disk.sync_all(&root(&disk)).unwrap();
    let cut = (seq..=4).map(|seq| (segment(seq), bytes_of(&disk, &segment(seq)))).collect();
    (disk, shared, cut)
}

fn mend(disk: &dyn Disk, scan: &Scan) -> Result<treewal_journal::Repair, Error> {
    repair(disk, &root(disk), &options(), scan, &quarantine(disk))
}

/// Every file that was cut is there, whole, under its name in the quarantine or still in the log.
fn assert_nothing_lost(disk: &dyn Disk, cut: &BTreeMap<String, Vec<u8>>, what: &str) {
    for (name, bytes) in cut {
        let found = [quarantine(disk), root(disk)].iter().any(|dir| {
            let file = disk.open(dir, OsStr::new(name), Open::Read);
            file.is_ok_and(|file| read_all(disk, &file, 1 << 30).unwrap() == *bytes)
        });
        assert!(found, "{what}: {name} is lost");
    }
}

#[test]
fn the_power_goes_at_every_call_of_a_repair() {
    let mut looked_at = 0;
    for (seq, offset) in [(1, 64), (2, 4096 + 6432 + 99), (3, 20), (4, 4096 + 50)] {
        for cut_at in 1.. {
            let (disk, shared, cut) = damaged(seq, offset);
            let (found, valid) = scan(&disk);
            assert!(matches!(found.tail, Tail::Corrupt { segment, .. } if segment == seq));
            disk.cut_at(Some(cut_at));
            let done = mend(&*shared, &found);
            assert_eq!(done.is_err(), disk.is_off());
            let outcomes = disk.outcomes(Profile::Strict);
            let chosen: Vec<_> = match outcomes.exhaustive(60) {
                Some(all) => all.collect(),
                None => {
                    [outcomes.nothing(), outcomes.everything()].into_iter().chain(outcomes.sample(cut_at, 30)).collect()
                }
            };
            for (n, outcome) in chosen.iter().enumerate() {
                let what = format!("segment {seq}, cut at {cut_at}, outcome {n}");
                let left = disk.after(outcome);
                let (now, seen) = scan(&left);
                assert_eq!(seen, valid, "{what}");
                let is_mended = now.tail == Tail::Clean;
                assert!(is_mended || matches!(now.tail, Tail::Corrupt { .. }), "{what}: {}", now.tail);
                assert!(done.is_err() || is_mended, "{what}: done, but {}", now.tail);
                assert_nothing_lost(&left, &cut, &what);
                let next = now.last.next();
                let shared: Arc<dyn Disk> = Arc::new(left.clone());
                mend_and_go_on(&shared);
                assert_nothing_lost(&left, &cut, &what);
                assert!(!is_mended || next > Lsn(32), "{what}: record {next} a second time");
                looked_at += 1;
            }
            if !disk.is_off() {
                break;
            }
        }
    }
    assert!(looked_at > 200, "{looked_at}");
}

#[test]
fn numbers_of_cut_records_are_not_given_again_and_a_second_repair_goes_beyond_the_first() {
    let (disk, shared, _) = damaged(2, 4096 + 6432 + 99);
    let (found, valid) = scan(&disk);
    let first = mend(&disk, &found).unwrap();
    assert_eq!(first.kept, found.last);
    assert!(first.next > Lsn(32));
    assert_eq!(first.quarantined, [segment(2), segment(3), segment(4)]);
    assert!(matches!(mend(&disk, &scan(&disk).0), Err(Error::NotDamaged(Tail::Clean))));
    let (log, _) = open(Arc::clone(&shared));
    assert_eq!(log.last().next(), first.next);
    for n in 0..3 {
        commit(&log, &[n; 10]);
    }
    assert!(!names(&disk).contains(&segment(4)), "a number that was cut is not used again either");
    poke(&disk, &segment(5), 4096 + 40, b"?");
    let (again, seen) = scan(&disk);
    assert_eq!(seen, valid);
    // Into the same quarantine, where somebody has put other files of these names meanwhile.
    for name in [segment(5), segment(5) + ".1"] {
        disk.open(&quarantine(&disk), OsStr::new(&name), Open::CreateNew { mode: 0o600 }).unwrap();
    }
    let second = mend(&disk, &again).unwrap();
    assert!(second.next > Lsn(first.next.0 + 2));
    assert_eq!(second.quarantined, [segment(5) + ".2"]);
    assert_eq!(mend_and_go_on(&shared), Tail::Clean);
}

#[test]
fn a_segment_with_a_second_name_is_not_used_again() {
    let (disk, shared, cut) = damaged(1, 4096 + 6432 + 99);
    mend(&disk, &scan(&disk).0).unwrap();
    let (log, _) = open(Arc::clone(&shared));
    for n in 0..40u8 {
        let last = commit(&log, &vec![n; 9000]);
        log.truncate(last).unwrap();
    }
    assert_nothing_lost(&disk, &cut, "used again");
}

#[test]
fn where_there_are_no_second_names_the_files_are_copied() {
    let (disk, shared, cut) = damaged(3, 20);
    let without: Arc<dyn Disk> =
        Arc::new(FaultDisk::new(shared, Fault::ErrorFrom { at: 1, errno: errno::EPERM }).only(Verb::HardLink));
    let (found, valid) = scan(&disk);
    // A copy that an interrupted repair left half done, and one that it finished.
    let part = disk.open(&quarantine(&disk), OsStr::new("part"), Open::CreateNew { mode: 0o600 }).unwrap();
    disk.write_at(&part, b"half", 0).unwrap();
    let whole = disk.open(&quarantine(&disk), OsStr::new(&segment(4)), Open::CreateNew { mode: 0o600 }).unwrap();
    disk.write_at(&whole, &cut[&segment(4)], 0).unwrap();
    mend(&*without, &found).unwrap();
    let left = disk.after(&disk.outcomes(Profile::Strict).nothing());
    assert_eq!(scan(&left).1, valid);
    assert_eq!(left.list(&quarantine(&left)).unwrap().len(), 2);
    let file = disk.open(&quarantine(&disk), OsStr::new(&segment(3)), Open::Read).unwrap();
    assert_eq!(read_all(&disk, &file, 1 << 30).unwrap(), cut[&segment(3)]);
}

#[test]
fn a_file_that_lost_its_end_held_more_numbers_than_it_shows() {
    for header in [true, false] {
        let (disk, shared) = sim();
        let log = create(Arc::clone(&shared));
        while log.last() < Lsn(500) {
            commit(&log, b"");
        }
        drop(log);
        let name = segment(1);
        let bytes = bytes_of(&disk, &name);
        put(&disk, &name, &bytes[..5000]);
        poke(&disk, &name, if header { 4096 } else { 20 }, &[!bytes[if header { 4096 } else { 20 }]]);
        let (found, _) = scan(&disk);
        assert!(matches!(found.tail, Tail::Corrupt { .. }), "{}", found.tail);
        let next = mend(&*shared, &found).unwrap().next;
        assert!(next > Lsn(500), "{next} was given before");
    }
}

/// Two records that are written and not synced, and a third of which the file lost the end.
fn shortened(failing: bool) -> (SimDisk, Arc<dyn Disk>) {
    let (disk, shared) = sim();
    let log = create(shared);
    commit(&log, &[1; 5000]);
    log.append(&[(1, vec![2; 5000]), (1, vec![3; 5000])]).unwrap();
    if failing {
        disk.fail_sync_at(Some(1));
        log.sync().unwrap_err();
    } else {
        log.flush().unwrap();
    }
    let disk = disk.kill();
    disk.set_len(&file(&disk, &segment(1)), 16_000).unwrap();
    let shared = Arc::new(disk.clone());
    (disk, shared)
}

#[test]
fn what_a_repair_keeps_is_durable_when_the_log_goes_on() {
    for failing in [false, true] {
        let (disk, shared) = shortened(failing);
        let (found, kept) = scan(&disk);
        assert!(matches!(found.tail, Tail::Corrupt { segment: 1, .. }) && kept.len() == 2);
        mend(&*shared, &found).unwrap();
        assert_eq!(open(Arc::clone(&shared)).1, kept);
        let left = disk.after(&disk.outcomes(Profile::Strict).nothing());
        let (found, seen) = scan(&left);
        assert!((found.tail, &seen) == (Tail::Clean, &kept), "{}, after a sync that failed: {failing}", found.tail);
    }
}

#[test]
fn a_log_in_doubt_that_was_repaired_is_written_anew_whatever_a_crash_leaves_of_that() {
    let mut looked_at = 0;
    for killed_at in 1.. {
        let (disk, shared) = shortened(true);
        let (found, kept) = scan(&disk);
        mend(&*shared, &found).unwrap();
        let dying = Arc::new(FaultDisk::new(shared, Fault::Off { at: killed_at }));
        let (found, _) = scan(&*dying);
        let taken_up = treewal_journal::Log::resume(dying.clone(), root(&disk), options(), &found);
        assert_eq!(taken_up.is_err(), dying.is_off());
        let next = disk.kill();
        assert!(open(Arc::new(next.clone())).1 == kept, "killed at {killed_at}");
        let outcomes = next.outcomes(Profile::Strict);
        for outcome in [outcomes.nothing(), outcomes.everything()].into_iter().chain(outcomes.sample(killed_at, 20)) {
            let (found, seen) = scan(&next.after(&outcome));
            assert!((found.tail, &seen) == (Tail::Clean, &kept), "{}, killed at {killed_at}", found.tail);
            looked_at += 1;
        }
        if !dying.is_off() {
            break;
        }
    }
    assert!(looked_at > 100, "{looked_at}");
}

#[test]
fn a_sync_that_fails_in_the_segment_of_a_repair_is_no_damage_whatever_a_crash_leaves() {
    for failing in [1, 2] {
        let (disk, shared, _) = damaged(2, 4096 + 6432 + 99);
        let (found, _) = scan(&disk);
        mend(&*shared, &found).unwrap();
        let (log, _) = open(Arc::clone(&shared));
        disk.fail_sync_at(Some(failing));
        for _ in 0..failing {
            log.append(&[(1, "behind")]).unwrap();
            log.sync().err();
        }
        let next = disk.kill();
        let shared: Arc<dyn Disk> = Arc::new(next.clone());
        let (log, kept) = open(Arc::clone(&shared));
        let outcomes = next.outcomes(Profile::Strict);
        for outcome in [outcomes.nothing(), outcomes.everything()].into_iter().chain(outcomes.sample(1, 20)) {
            let (found, seen) = scan_every_way(&next.after(&outcome));
            assert!((found.tail, &seen) == (Tail::Clean, &kept), "{}", found.tail);
        }
        commit(&log, b"and on");
    }
}
