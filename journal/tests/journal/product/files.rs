//! Every file, times every way to spoil a file.

use std::ffi::OsStr;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use treewal_journal::{Error, Finding, Lsn, Proof, Reader, Tail};
use treewal_vfs::{Disk, Fault, FaultDisk, Kind, Meta, Rename, Verb, errno};

use super::*;

#[derive(Debug, Clone, Copy)]
enum FileHarm {
    Delete,
    /// It and the next one, or the first, change places.
    Swap,
    /// It stands behind the last one, too.
    DoubleAtEnd,
    /// It stands in the place of the next one, or the first, too.
    DoubleOver,
    Directory,
    Symlink,
    Fifo,
    /// It is of another tree.
    Foreign,
    /// It is of another history of the same tree.
    OtherHistory,
}

const FILE_HARMS: [FileHarm; 9] = [
    FileHarm::Delete,
    FileHarm::Swap,
    FileHarm::DoubleAtEnd,
    FileHarm::DoubleOver,
    FileHarm::Directory,
    FileHarm::Symlink,
    FileHarm::Fifo,
    FileHarm::Foreign,
    FileHarm::OtherHistory,
];

/// How many records are handed out, the tail, and what is found.
type Expected = (Range<usize>, Tail, Vec<Finding>);

fn corrupt(file: usize, proof: Proof) -> Tail {
    Tail::Corrupt { segment: file as u64 + 1, offset: 0, expected: Lsn(first_lsn(file)), proof }
}

/// Puts something else in the place of a segment.
fn replace(disk: &dyn Disk, name: &str, kind: Kind) {
    let (dir, name) = (root(disk), OsStr::new(name));
    // A symlink leads to the very segment, so that following it would look well.
    disk.rename(&dir, name, &quarantine(disk), OsStr::new("moved"), Rename::Replace).unwrap();
    match kind {
        Kind::Dir => disk.create_dir(&dir, name, 0o700).unwrap(),
        Kind::Symlink => disk.symlink(OsStr::new("../quarantine/moved"), &dir, name).unwrap(),
        kind => {
            let meta = disk.stat_dir(&dir).unwrap();
            disk.make_node(&dir, name, &Meta { kind, mode: 0o600, ..meta }).unwrap();
        }
    }
}

/// Does it, and gives what must be found.
fn spoil(disk: &dyn Disk, original: &Original, file: usize, harm: FileHarm) -> Expected {
    let (dir, name, segment_number) = (root(disk), segment(file as u64 + 1), file as u64 + 1);
    let all = original.records.len();
    let other = (file + 1) % SEGMENTS;
    let says = |at: usize| Proof::Misnamed { says: at as u64 + 1 };
    let double = |at: usize, says: usize| Finding::Duplicate { segment: at as u64 + 1, says: says as u64 + 1 };
    let replaced = |kind: Kind| {
        replace(disk, &name, kind);
        (0..file * FRAMES, corrupt(file, Proof::NoFile(kind)), vec![Finding::NoFile { segment: segment_number, kind }])
    };
    match harm {
        FileHarm::Delete => {
            disk.remove_file(&dir, OsStr::new(&name)).unwrap();
            match file {
                // Of the oldest and of the newest nothing tells: what is left is a log.
                0 => (FRAMES..all, Tail::Clean, vec![]),
                _ if other == 0 => (0..file * FRAMES, Tail::Clean, vec![]),
                _ => {
                    let missing = Finding::Missing { segment: segment_number };
                    (0..file * FRAMES, corrupt(file, Proof::Missing), vec![missing])
                }
            }
        }
        FileHarm::Swap => {
            put(disk, &name, &original.files[other]);
            put(disk, &segment(other as u64 + 1), &original.files[file]);
            let (low, high) = (file.min(other), file.max(other));
            (0..low * FRAMES, corrupt(low, says(high)), vec![double(low, high), double(high, low)])
        }
        FileHarm::DoubleAtEnd => {
            put(disk, &segment(SEGMENTS as u64 + 1), &original.files[file]);
            let tail = Tail::Corrupt {
                segment: SEGMENTS as u64 + 1,
                offset: 0,
                expected: Lsn(all as u64 + 1),
                proof: says(file),
            };
            (0..all, tail, vec![double(SEGMENTS, file)])
        }
        FileHarm::DoubleOver => {
            put(disk, &segment(other as u64 + 1), &original.files[file]);
            (0..other * FRAMES, corrupt(other, says(file)), vec![double(other, file)])
        }
        FileHarm::Directory => replaced(Kind::Dir),
        FileHarm::Symlink => replaced(Kind::Symlink),
        FileHarm::Fifo => replaced(Kind::Fifo),
        FileHarm::Foreign => {
            let tree = treewal_journal::TreeId([9; 16]);
            let mut bytes = original.files[file].clone();
            // The second header is where a segment was reserved before it was begun.
            for at in if file > 0 { &[0, 512][..] } else { &[0] } {
                let header = &mut bytes[*at..];
                header[16..32].copy_from_slice(&tree.0);
                let crc = crc32fast::hash(&header[..120]);
                header[120..124].copy_from_slice(&crc.to_le_bytes());
            }
            put(disk, &name, &bytes);
            let foreign = Finding::Foreign { segment: segment_number, tree };
            (0..file * FRAMES, corrupt(file, Proof::Foreign(tree)), vec![foreign])
        }
        FileHarm::OtherHistory => {
            put(disk, &name, &super::original().files[file]);
            // The first segment links to nothing before it, so it passes, and the second does not link to it.
            let unlinked = file.max(1);
            (0..unlinked * FRAMES, corrupt(unlinked, Proof::Unlinked), vec![])
        }
    }
}

#[test]
fn every_file_spoiled_in_every_way() {
    let original = original();
    let mut cases = 0;
    for file in 0..SEGMENTS {
        for harm in FILE_HARMS {
            let (_, disk) = sim();
            for (other, contents) in original.files.iter().enumerate() {
                put(&*disk, &segment(other as u64 + 1), contents);
            }
            let (handed_out, tail, findings) = spoil(&*disk, &original, file, harm);
            let (scan, seen) = scan_every_way(&*disk);
            let what = format!("segment {}, {harm:?}", file + 1);
            assert_eq!(scan.tail, tail, "{what}");
            assert_eq!(scan.findings, findings, "{what}");
            assert_eq!(seen, original.records[handed_out], "{what}");
            assert!(scan.tail == Tail::Clean || !scan.tail.to_string().is_empty());
            // Whatever stands there, a repair keeps it and the log goes on.
            mend_and_go_on(&disk);
            cases += 1;
        }
    }
    println!("{cases} cases, each read in 6 ways");
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let original = original();
    let (_, sim) = sim();
    for (file, contents) in original.files.iter().enumerate() {
        put(&*sim, &segment(file as u64 + 1), contents);
    }
    let dir = root(&*sim);
    for errno in [errno::EACCES, errno::EIO, errno::ENOENT] {
        for verb in [Verb::Open, Verb::Stat] {
            for at in 1..=SEGMENTS as u64 {
                let disk = FaultDisk::new(Arc::clone(&sim), Fault::Error { at, errno }).only(verb);
                let refused = Reader::scan(&disk, &dir, Some(TREE), &mut |_| ControlFlow::Continue(()));
                let name = segment(at);
                assert!(
                    matches!(refused, Err(Error::Io { name: named, .. }) if named == name),
                    "{errno} {verb:?} {at}"
                );
            }
        }
    }
}
