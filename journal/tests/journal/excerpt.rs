//! Reading from a record on: older segments are left alone, and that is said.

use std::ops::ControlFlow;
use std::sync::Arc;

use treewal_journal::{Excerpt, Finding, Lsn, Reader, ScanOptions, Tail};
use treewal_vfs::{Disk, RecordingDisk, Verb};

use crate::common::*;

/// A log of 36 records in four segments, nine in each.
fn log() -> Arc<dyn Disk> {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    while log.last() < Lsn(36) {
        commit(&log, &vec![u8::try_from(log.last().0).unwrap(); 6400]);
    }
    disk
}

fn from(disk: &dyn Disk, lsn: u64) -> (Excerpt, Vec<u64>) {
    let mut found = None;
    for options in every_way() {
        let mut seen = Vec::new();
        let excerpt = Reader::scan_from(disk, &root(disk), &options, Lsn(lsn), &mut |frame| {
            assert_eq!(frame.payload, vec![u8::try_from(frame.lsn.0 - 1).unwrap(); 6400]);
            seen.push(frame.lsn.0);
            ControlFlow::Continue(())
        });
        let this = (excerpt.unwrap(), seen);
        assert_eq!(found.get_or_insert_with(|| this.clone()), &this, "{options:?}");
    }
    found.unwrap()
}

fn skipped(excerpt: &Excerpt) -> Vec<u64> {
    excerpt.skipped.iter().map(|header| header.seq).collect()
}

#[test]
fn what_comes_before_is_left_out_and_told() {
    let disk = log();
    let (whole, _) = scan(&*disk);
    for lsn in 0..=40 {
        let (excerpt, seen) = from(&*disk, lsn);
        assert_eq!(seen, (lsn.max(1)..=36).collect::<Vec<_>>(), "from {lsn}");
        // The segment that holds the record is the first that is read.
        let before = usize::try_from(lsn.saturating_sub(1).min(35) / 9).unwrap();
        assert_eq!(skipped(&excerpt), (1..=before as u64).collect::<Vec<_>>(), "from {lsn}");
        assert_eq!(excerpt.segments, whole.segments[before..]);
        assert_eq!(
            (excerpt.tail, excerpt.first, excerpt.last, excerpt.durable),
            (Tail::Clean, Lsn(1), Lsn(36), whole.durable)
        );
        assert_eq!((excerpt.tree, excerpt.findings.len()), (Some(TREE), 0));
    }
}

#[test]
fn a_segment_that_is_left_out_costs_its_header() {
    let recording = RecordingDisk::new(log());
    let options = ScanOptions::new(Some(TREE));
    Reader::scan_from(&recording, &root(&recording), &options, Lsn(30), &mut |_| ControlFlow::Continue(())).unwrap();
    let read =
        |bytes: u64| recording.calls().iter().filter(|call| call.verb == Verb::ReadAt && call.bytes == bytes).count();
    assert_eq!((read(4096), recording.count(Verb::Open)), (4, 4 + 1));
}

#[test]
fn damage_in_what_is_left_out_is_not_seen_and_damage_to_a_header_is() {
    let disk = log();
    poke(&*disk, &segment(2), 20_000, b"damage");
    let (excerpt, seen) = from(&*disk, 20);
    assert_eq!((excerpt.tail, seen.len(), skipped(&excerpt)), (Tail::Clean, 17, vec![1, 2]));
    // Where it is not left out, it ends the log before anything is handed out.
    let (excerpt, seen) = from(&*disk, 12);
    assert!(matches!(excerpt.tail, Tail::Corrupt { segment: 2, expected: Lsn(12), .. }), "{}", excerpt.tail);
    assert_eq!((seen.len(), skipped(&excerpt)), (0, vec![1]));

    let disk = log();
    poke(&*disk, &segment(2), 20, b"damage");
    let (excerpt, seen) = from(&*disk, 30);
    assert_eq!((seen.len(), skipped(&excerpt)), (0, vec![]), "nothing behind a damaged header counts");
    assert_eq!(excerpt.tail, scan(&*disk).0.tail);

    let disk = log();
    disk.remove_file(&root(&*disk), segment(2).as_ref()).unwrap();
    let (excerpt, seen) = from(&*disk, 30);
    assert_eq!((excerpt.tail, seen.len()), (scan(&*disk).0.tail, 0));
    assert_eq!(excerpt.findings, [Finding::Missing { segment: 2 }]);
}

#[test]
fn a_record_that_is_gone_already_is_noticed() {
    let disk = log();
    let (log, _) = open(Arc::clone(&disk));
    log.truncate(Lsn(20)).unwrap();
    let (excerpt, seen) = from(&*disk, 5);
    assert_eq!((excerpt.first, seen.first(), seen.len()), (Lsn(19), Some(&19), 18));
}

#[test]
fn an_empty_log_and_a_torn_one() {
    let (_, disk) = sim();
    let (excerpt, seen) = from(&*disk, 7);
    assert_eq!((excerpt.first, excerpt.last, excerpt.tail, seen.len()), (Lsn(1), Lsn(0), Tail::Clean, 0));

    let disk = log();
    poke(&*disk, &segment(4), 4096 + 8 * 6432 + 100, b"damage");
    let (excerpt, seen) = from(&*disk, 34);
    assert!(matches!(excerpt.tail, Tail::Torn { segment: 4, expected: Lsn(36), .. }), "{}", excerpt.tail);
    assert_eq!(seen, [34, 35]);
}
