//! Damage: every byte, every length, every way to mix segments up. What is read is a prefix of what was written, and
//! where something acknowledged is missing, it is named.

use std::ops::ControlFlow;
use std::sync::Arc;

use treewal_journal::{Error, Finding, HeaderFault, Lsn, Proof, Reader, SEGMENT_BYTES_MIN, Tail, TreeId};
use treewal_vfs::Disk;

use crate::common::scan_every_way as scan;
use crate::common::*;

/// A segment with three batches of two records, each synced before the next, and where its frames end.
fn three_batches() -> (Vec<u8>, Vec<Seen>, usize) {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    for n in 0..3u8 {
        let records = [(1, vec![n; 13]), (2, vec![n + 10; 20 + usize::from(n)])];
        let last = log.append(&records).unwrap();
        log.sync_to(last).unwrap();
    }
    let end = usize::try_from(log.bytes()).unwrap();
    (bytes_of(&*disk, &segment(1)), scan(&*disk).1, end)
}

fn disk_with(segments: &[(u64, &[u8])]) -> Arc<dyn Disk> {
    let (_, disk) = sim();
    for (seq, bytes) in segments {
        put(&*disk, &segment(*seq), bytes);
    }
    disk
}

#[test]
fn any_flipped_byte_leaves_a_prefix_or_named_damage() {
    let (bytes, written, end) = three_batches();
    let (mut clean, mut torn, mut corrupt) = (0, 0, 0);
    for at in (0..200).chain(4096..end + 64) {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] ^= flip;
            let disk = disk_with(&[(1, &bad)]);
            let (scan, seen) = scan(&*disk);
            assert_eq!(seen, written[..seen.len()], "byte {at}");
            // The last batch is vouched for by nothing that follows.
            if seen.len() < 4 {
                assert!(matches!(scan.tail, Tail::Corrupt { .. }), "byte {at}: {:?}", scan.tail);
            }
            match scan.tail {
                Tail::Clean => {
                    assert_eq!(seen.len(), 6, "byte {at}");
                    clean += 1;
                }
                Tail::Torn { expected, .. } => {
                    assert_eq!(expected, scan.last.next());
                    torn += 1;
                }
                Tail::Corrupt { .. } => corrupt += 1,
            }
            if flip == 0xff {
                mend_and_go_on(&disk);
            }
        }
    }
    assert!(clean > 0 && torn > 0 && corrupt > 600, "{clean} {torn} {corrupt}");
}

#[test]
fn any_length_leaves_a_prefix_and_says_that_it_is_short() {
    let (bytes, written, end) = three_batches();
    for len in (0..130).chain((130..4096).step_by(61)).chain(4090..end + 64) {
        let disk = disk_with(&[(1, &bytes[..len])]);
        let (scan, seen) = scan(&*disk);
        assert_eq!(seen, written[..seen.len()]);
        assert!(!scan.findings.is_empty(), "length {len}");
        match scan.tail {
            Tail::Clean if len == 0 => assert_eq!(scan.findings, [Finding::Unfinished { segment: 1 }]),
            Tail::Clean => assert!(seen.len() == 6 && len >= end + 32, "length {len}"),
            Tail::Corrupt { .. } => {}
            tail @ Tail::Torn { .. } => panic!("length {len}: {tail}"),
        }
        if mend_and_go_on(&disk) == Tail::Clean && len > 0 {
            assert_eq!(bytes_of(&*disk, &segment(1)), bytes[..len], "a short segment is not written on");
        }
    }
}

#[test]
fn any_zeroed_sector_leaves_a_prefix_or_named_damage() {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    for n in 0..40u8 {
        commit(&log, &vec![n; 333]);
    }
    let (bytes, written) = (bytes_of(&*disk, &segment(1)), scan(&*disk).1);
    let end = usize::try_from(log.bytes()).unwrap();
    let last = end - (32 + 333 + 3);
    for at in (0..end).step_by(512) {
        let mut bad = bytes.clone();
        bad[at..at + 512].fill(0);
        let disk = disk_with(&[(1, &bad)]);
        let (scan, seen) = scan(&*disk);
        assert_eq!(seen, written[..seen.len()]);
        // Where the sector takes the last record along, nothing is left that would vouch for the one before.
        if seen.len() < 39 && at + 512 <= last {
            assert!(matches!(scan.tail, Tail::Corrupt { .. }), "byte {at}: {:?}", scan.tail);
        }
        mend_and_go_on(&disk);
    }
}

// --- the three shapes that other logs get wrong ------------------------------------------------------------------------

/// One synced record, then three that nobody waited for, each in sectors of its own.
fn acked_and_three_more() -> (Vec<u8>, [usize; 5]) {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    let mut starts = [4096; 5];
    for (n, payload) in [b'a', b'b', b'c', b'd'].into_iter().enumerate() {
        let lsn = log.append(&[(1, vec![payload; 992])]).unwrap();
        if n == 0 {
            log.sync_to(lsn).unwrap();
        }
        starts[n + 1] = usize::try_from(log.bytes()).unwrap();
    }
    log.flush().unwrap();
    (bytes_of(&*disk, &segment(1)), starts)
}

#[test]
fn a_stale_tail_never_comes_back() {
    let (bytes, starts) = acked_and_three_more();
    // B is lost as a whole: the sectors of its frame are zero, C and D are there.
    let mut bad = bytes;
    bad[starts[1]..starts[2]].fill(0);
    let disk = disk_with(&[(1, &bad)]);
    let (scan_torn, seen) = scan(&*disk);
    assert_eq!(payloads(&seen), [vec![b'a'; 992]]);
    assert!(matches!(scan_torn.tail, Tail::Torn { expected: Lsn(2), .. }));
    let (log, _) = open(Arc::clone(&disk));
    commit(&log, &[b'x'; 992]);
    drop(log);
    let (after, seen) = scan(&*disk);
    assert_eq!(payloads(&seen), [vec![b'a'; 992], vec![b'x'; 992]]);
    assert_eq!(after.tail, Tail::Clean);
    // Even if the disk gives the lost sectors of B back, or a reader once failed to see them.
    poke(&*disk, &segment(1), starts[1], &acked_and_three_more().0[starts[1]..starts[2]]);
    assert_eq!(scan(&*disk).1, seen);
}

#[test]
fn a_tail_that_reads_again_stays_cut() {
    let (bytes, starts) = acked_and_three_more();
    let mut bad = bytes.clone();
    bad[starts[1] + 100] ^= 1;
    let disk = disk_with(&[(1, &bad)]);
    let (log, _) = open(Arc::clone(&disk));
    commit(&log, b"x");
    // The very same bytes as before the flip: B, C and D are whole frames of this segment again.
    poke(&*disk, &segment(1), starts[1], &bytes[starts[1]..starts[4]]);
    let (scan, seen) = scan(&*disk);
    assert_eq!((scan.tail, payloads(&seen)), (Tail::Clean, vec![&[b'a'; 992][..], b"x"]));
}

#[test]
fn a_torn_batch_that_nobody_was_promised_always_opens() {
    let (bytes, starts) = acked_and_three_more();
    let end = starts[4];
    for at in (starts[1]..end).step_by(256) {
        for with in [0u8, 0x55] {
            let mut bad = bytes.clone();
            bad[at..(at + 256).min(end)].fill(with);
            let disk = disk_with(&[(1, &bad)]);
            assert!(!matches!(mend_and_go_on(&disk), Tail::Corrupt { .. }), "byte {at}");
        }
    }
}

#[test]
fn damage_to_what_was_acknowledged_is_named() {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    let mut starts = vec![4096];
    for n in 0..4u8 {
        commit(&log, &vec![n; 4000]);
        starts.push(usize::try_from(log.bytes()).unwrap());
    }
    poke(&*disk, &segment(1), starts[1] + 2000, b"!");
    let (scan, seen) = scan(&*disk);
    assert_eq!(seen.len(), 1);
    let proof = Proof::Mark { lsn: Lsn(3), offset: starts[2] as u64, durable: Lsn(2) };
    let tail = Tail::Corrupt { segment: 1, offset: starts[1] as u64, expected: Lsn(2), proof };
    assert_eq!(scan.tail, tail);
    let refused = treewal_journal::Log::resume(Arc::clone(&disk), root(&*disk), options(), &scan);
    assert!(matches!(refused, Err(Error::Damaged(found)) if found == tail));
}

// --- segments in the wrong place ---------------------------------------------------------------------------------------

/// Four segments of one log, and the records of each.
fn four_segments() -> (Vec<Vec<u8>>, Vec<Vec<Seen>>) {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    while log.last() < Lsn(32) {
        commit(&log, &vec![u8::try_from(log.last().0).unwrap(); 6400]);
    }
    let (found, seen) = scan(&*disk);
    assert_eq!(found.segments.len(), 4);
    let range = |s: &treewal_journal::SegmentInfo| s.header.first.0..=s.last.0;
    let records = found.segments.iter().map(|s| seen.iter().filter(|r| range(s).contains(&r.0)).cloned().collect());
    let files = (1..=4).map(|seq| bytes_of(&*disk, &segment(seq))).collect();
    (files, records.collect())
}

fn expect_cut(segments: &[(u64, &[u8])], kept: &[Vec<Seen>], tail: Tail, finding: Option<Finding>) {
    let disk = disk_with(segments);
    let (scan, seen) = scan(&*disk);
    assert_eq!(seen, kept.concat());
    assert_eq!(scan.tail, tail);
    assert_eq!(scan.findings, finding.into_iter().collect::<Vec<_>>());
    mend_and_go_on(&disk);
}

#[test]
fn a_missing_segment_is_named() {
    let (files, records) = four_segments();
    let expected = Lsn(records[2][0].0);
    let tail = Tail::Corrupt { segment: 3, offset: 0, expected, proof: Proof::Missing };
    let segments = [(1, &files[0][..]), (2, &files[1]), (4, &files[3])];
    expect_cut(&segments, &records[..2], tail, Some(Finding::Missing { segment: 3 }));
}

#[test]
fn swapped_and_doubled_segments_are_named() {
    let (files, records) = four_segments();
    let expected = Lsn(records[1][0].0);
    let tail = Tail::Corrupt { segment: 2, offset: 0, expected, proof: Proof::Misnamed { says: 3 } };
    let disk = disk_with(&[(1, &files[0]), (2, &files[2]), (3, &files[1]), (4, &files[3])]);
    let (found, seen) = scan(&*disk);
    assert_eq!((found.tail, &seen), (tail, &records[0]));
    let doubles = [Finding::Duplicate { segment: 2, says: 3 }, Finding::Duplicate { segment: 3, says: 2 }];
    assert_eq!(found.findings, doubles);
    mend_and_go_on(&disk);
    let alone = [(1, &files[0][..]), (2, &files[2])];
    expect_cut(&alone, &records[..1], tail, Some(Finding::Misnamed { segment: 2, says: 3 }));
}

/// Changes a header, and its checksum with it.
fn reseal(header: &mut [u8], change: impl Fn(&mut [u8])) {
    change(header);
    let crc = crc32fast::hash(&header[..120]);
    header[120..124].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_segment_of_another_tree_is_named() {
    let (files, records) = four_segments();
    let mut foreign = files[3].clone();
    // Both headers: the segment was reserved and then begun.
    for at in [0, 512] {
        reseal(&mut foreign[at..], |header| header[16..32].fill(9));
    }
    let tree = TreeId([9; 16]);
    let expected = Lsn(records[3][0].0);
    let tail = Tail::Corrupt { segment: 4, offset: 0, expected, proof: Proof::Foreign(tree) };
    let segments = [(1, &files[0][..]), (2, &files[1]), (3, &files[2]), (4, &foreign)];
    expect_cut(&segments, &records[..3], tail, Some(Finding::Foreign { segment: 4, tree }));
}

#[test]
fn a_segment_of_another_history_does_not_link() {
    let (files, records) = four_segments();
    let (others, _) = four_segments();
    let expected = Lsn(records[2][0].0);
    let tail = Tail::Corrupt { segment: 3, offset: 0, expected, proof: Proof::Unlinked };
    let segments = [(1, &files[0][..]), (2, &files[1]), (3, &others[2])];
    expect_cut(&segments, &records[..2], tail, None);
}

#[test]
fn a_torn_segment_with_a_successor_is_damaged() {
    let (files, records) = four_segments();
    // The last record of segment 2, for which only the next segment vouches.
    let last = &records[1].last().unwrap();
    let mut bad = files[1].clone();
    let place = bad.len() - 6432 - (bad.len() - 4096) % 6432;
    bad[place + 40] ^= 1;
    let proof = Proof::Successor { segment: 3, from: Lsn(last.0) };
    let tail = Tail::Corrupt { segment: 2, offset: place as u64, expected: Lsn(last.0), proof };
    let kept = [records[0].clone(), records[1][..records[1].len() - 1].to_vec()];
    expect_cut(&[(1, &files[0]), (2, &bad), (3, &files[2])], &kept, tail, None);
    // The same where the next one cannot be read.
    let proof = Proof::Successor { segment: 3, from: Lsn(0) };
    let tail = Tail::Corrupt { segment: 2, offset: place as u64, expected: Lsn(last.0), proof };
    let finding = Finding::Header { segment: 3, fault: HeaderFault::Magic };
    expect_cut(&[(1, &files[0]), (2, &bad), (3, &[7; 9000])], &kept, tail, Some(finding));
}

#[test]
fn a_segment_without_a_header_is_named_unless_it_is_nothing_but_zeros() {
    let (files, records) = four_segments();
    let expected = Lsn(records[1][0].0);
    let mut garbage = files[1].clone();
    garbage[..4096].fill(0);
    for (bytes, fault) in [
        (&garbage[..], HeaderFault::Magic),
        (&files[1][..100], HeaderFault::Short),
        (&[files[1][..80].to_vec(), vec![0; 60_000]].concat(), HeaderFault::Checksum),
    ] {
        let tail = Tail::Corrupt { segment: 2, offset: 0, expected, proof: Proof::Header(fault) };
        let finding = Finding::Header { segment: 2, fault };
        expect_cut(&[(1, &files[0]), (2, bytes)], &records[..1], tail, Some(finding));
    }
    for unused in [&[][..], &[0; 5000], &vec![0; files[0].len()]] {
        expect_cut(
            &[(1, &files[0]), (2, unused)],
            &records[..1],
            Tail::Clean,
            Some(Finding::Unfinished { segment: 2 }),
        );
    }
}

#[test]
fn damage_in_the_oldest_segment_costs_all_and_gives_no_number_twice() {
    let (files, records) = four_segments();
    let segments: Vec<(u64, &[u8])> = (1..).zip(files.iter().map(Vec::as_slice)).collect();
    let disk = disk_with(&segments);
    poke(&*disk, &segment(1), 17, b"?");
    let tail = mend_and_go_on(&disk);
    let proof = Proof::Header(HeaderFault::Checksum);
    assert_eq!(tail, Tail::Corrupt { segment: 1, offset: 0, expected: Lsn(1), proof });
    assert!(scan(&*disk).0.first > Lsn(records[3].last().unwrap().0));
    let kept = quarantine(&*disk);
    assert_eq!(disk.list(&kept).unwrap().len(), 4);
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let (bytes, _, _) = three_batches();
    let mut newer = bytes;
    newer[8] = 2;
    let crc = crc32fast::hash(&newer[..120]);
    newer[120..124].copy_from_slice(&crc.to_le_bytes());
    let disk = disk_with(&[(1, &newer)]);
    let refused = Reader::scan(&*disk, &root(&*disk), None, &mut |_| ControlFlow::Continue(()));
    let error = refused.unwrap_err();
    assert!(matches!(error, Error::Version { segment: 1, version: 2 }));
    assert_eq!(error.to_string(), "segment 0000000000000001 has format version 2; versions up to 1 are understood");
}

// --- hostile bytes -----------------------------------------------------------------------------------------------------

#[test]
fn a_file_made_to_cost_is_given_up_and_not_called_torn() {
    let (bytes, _, _) = three_batches();
    let mut hostile = bytes;
    // Every 8 bytes the header of a frame with a huge payload that ends just within the segment.
    let start = 4096;
    for at in (start..hostile.len() - 32).step_by(32) {
        let len = u32::try_from(hostile.len() - at - 32).unwrap();
        hostile[at + 8..at + 12].copy_from_slice(&len.to_le_bytes());
        hostile[at + 12..at + 16].copy_from_slice(&[1, 0, 0, 0]);
        hostile[at + 16..at + 24].copy_from_slice(&9u64.to_le_bytes());
        hostile[at + 24..at + 32].copy_from_slice(&8u64.to_le_bytes());
    }
    let disk = disk_with(&[(1, &hostile)]);
    let (scan, _) = scan(&*disk);
    assert!(matches!(scan.tail, Tail::Corrupt { proof: Proof::Costly, offset: 4096, .. }), "{}", scan.tail);
    mend_and_go_on(&disk);
}

#[test]
fn numbers_at_the_end_of_their_range_do_not_wrap() {
    let (bytes, _, _) = three_batches();
    for first in [u64::MAX, u64::MAX - 1, u64::MAX >> 1, (u64::MAX >> 1) - 1] {
        let mut far = bytes.clone();
        far[56..64].copy_from_slice(&first.to_le_bytes());
        far[80..88].copy_from_slice(&(first - 1).to_le_bytes());
        let crc = crc32fast::hash(&far[..120]);
        far[120..124].copy_from_slice(&crc.to_le_bytes());
        let disk = disk_with(&[(1, &far)]);
        let (found, seen) = scan(&*disk);
        assert!(seen.is_empty());
        if let Tail::Torn { .. } = found.tail {
            let log = treewal_journal::Log::resume(Arc::clone(&disk), root(&*disk), options(), &found).unwrap();
            assert!(matches!(log.append(&[(1, "a"), (1, "b")]), Err(Error::Exhausted)));
            assert_eq!(log.append(&[(1, "a")]).is_ok(), first < u64::MAX >> 1);
        } else {
            assert!(first > u64::MAX >> 1 && matches!(found.tail, Tail::Corrupt { .. }));
        }
    }
    let high = disk_with(&[(u64::MAX, &[1; 100])]);
    assert!(matches!(scan(&*high).0.tail, Tail::Corrupt { segment: u64::MAX, .. }));
    let gap = disk_with(&[(1, &bytes), (u64::MAX, &vec![1; usize::try_from(SEGMENT_BYTES_MIN).unwrap()])]);
    assert!(matches!(scan(&*gap).0.tail, Tail::Corrupt { segment: 2, proof: Proof::Missing, .. }));
}
