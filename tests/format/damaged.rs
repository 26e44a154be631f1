//! Journals that were damaged at random: decoder and reader come to the same verdict, and to the same records.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use treewal_journal::{Log, LogOptions, SEGMENT_BYTES_MIN, TreeId};
use treewal_vfs::{Disk, RealDisk};

use crate::make::{crc, every_record, segment};
use crate::python::decoded;
use crate::told::told;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn journal(dir: &Path, dice: &mut Dice) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let root = disk.open_root(dir).unwrap();
    let options = LogOptions { segment_bytes: SEGMENT_BYTES_MIN, ..LogOptions::new(TreeId([3; 16])) };
    let log = Log::create(disk, root, options).unwrap();
    for n in 0..4 + dice.below(20) {
        let sizes = [dice.below(60), dice.below(12_000), dice.below(40)];
        log.append(&sizes.map(|size| (1, vec![u8::try_from(n).unwrap(); size]))).unwrap();
        log.append(&[payload(dice)]).unwrap();
        if dice.below(3) > 0 {
            log.sync().unwrap();
        }
    }
}

/// A record, or nearly one: most are spoilt before they are framed, so that every checksum fits.
fn payload(dice: &mut Dice) -> (u8, Vec<u8>) {
    let records = every_record();
    let record = &records[dice.below(records.len())];
    let (mut kind, mut bytes) = (record.kind(), record.encode().unwrap());
    match dice.below(6) {
        0 => {}
        1 => kind = 1 + u8::try_from(dice.below(9)).unwrap(),
        2 => bytes.truncate(dice.below(bytes.len())),
        3 => bytes.push(0),
        4 => {
            let at = dice.below(bytes.len());
            bytes[at] = [0, 1, 2, 250, 251, 252, 253, 254, 255][dice.below(9)];
        }
        _ => {
            // A form that is longer than it must be, and perhaps wider than its type.
            let at = dice.below(bytes.len());
            let form = dice.below(3);
            let zeros = [1, 3, 7][form];
            bytes.splice(at..at, [[251, 252, 253][form]]);
            let behind = (at + 2).min(bytes.len());
            bytes.splice(behind..behind, vec![0; zeros]);
        }
    }
    (kind, bytes)
}

/// One way to spoil a journal.
fn spoil(dir: &Path, dice: &mut Dice) {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|path| path.extension().is_some_and(|end| end == "wal"));
    if files.is_empty() {
        return;
    }
    let path = &files[dice.below(files.len())];
    let mut bytes = fs::read(path).unwrap();
    let place = |dice: &mut Dice, len: usize| match dice.below(3) {
        0 => dice.below(124.min(len)),
        _ => dice.below(len),
    };
    match dice.below(9) {
        _ if bytes.is_empty() => {}
        0..=2 => {
            let at = place(dice, bytes.len());
            bytes[at] ^= 1 << dice.below(8);
        }
        3 => bytes.truncate(dice.below(bytes.len())),
        4 => {
            let at = dice.below(bytes.len());
            let end = bytes.len().min(at + 1 + dice.below(5000));
            bytes[at..end].fill(0);
        }
        5 => bytes.fill(0),
        6 => {
            let (from, at) = (dice.below(bytes.len()) & !7, dice.below(bytes.len()) & !7);
            let len = dice.below(2000).min(bytes.len() - from.max(at));
            bytes.copy_within(from..from + len, at);
        }
        7 if bytes.len() > 4096 => {
            // A header that is intact and says something else.
            let field = [12, 16, 48, 56, 64, 72, 76, 80, 88, 104, 108, 112][dice.below(12)];
            bytes[field + dice.below(2)] ^= 1;
            let crc = crc(&bytes[..120]);
            bytes[120..124].copy_from_slice(&crc.to_le_bytes());
        }
        _ => {
            let to = dir.join(segment(1 + dice.below(6) as u64));
            fs::rename(path, to).unwrap();
            return;
        }
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn decoder_and_reader_agree_on_damage() {
    let mut dice = Dice(1);
    let dirs: Vec<tempfile::TempDir> = (0..200).map(|_| tempfile::tempdir().unwrap()).collect();
    for dir in &dirs {
        journal(dir.path(), &mut dice);
        for _ in 0..dice.below(4) {
            spoil(dir.path(), &mut dice);
        }
    }
    let paths: Vec<&Path> = dirs.iter().map(tempfile::TempDir::path).collect();
    let Some(values) = decoded(&paths) else { return };
    let mut seen = std::collections::BTreeMap::new();
    for (dir, value) in paths.iter().zip(&values) {
        assert_eq!(value, &told(dir), "{dir:?}");
        *seen.entry(value["tail"]["state"].as_str().unwrap_or("newer")).or_insert(0) += 1;
    }
    for state in ["clean", "torn", "damaged here", "damaged there"] {
        assert!(seen.get(state).is_some_and(|times| *times > 3), "{seen:?}");
    }
}
