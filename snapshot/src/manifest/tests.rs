//! What the reader accepts and what it refuses, byte by byte and record by record.

use std::ffi::{OsStr, OsString};

use proptest::prelude::*;
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, Kind, Meta, Open, RelPath, Time, read_all, write_all};

use super::check::Checker;
use super::layout::{self, End, FRAME_HEADER_BYTES, HEADER_BYTES};
use super::record::{Record, from_entry};
use super::{Backup, Entry, MANIFEST, Manifest, Mode, Role, Writer};
use crate::Error;

fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

fn meta(kind: Kind, ino: u64) -> Meta {
    let time = Time { secs: 5, nanos: 6 };
    Meta {
        kind,
        mode: 0o644,
        uid: 1,
        gid: 2,
        size: 3,
        allocated: 4096,
        links: 2,
        ino,
        dev: 0,
        rdev: 0,
        born: time,
        accessed: time,
        modified: time,
        changed: time,
        mounted: false,
    }
}

fn entry(path: &str, kind: Kind, ino: u64) -> Entry {
    let backup = Backup {
        number: ino,
        mode: Mode::Copy,
        ino: ino + 100,
        born: Time::default(),
        modified: Time::default(),
        checksum: Some(7),
    };
    Entry {
        path: rel(path),
        role: Role::Guarded,
        meta: meta(kind, ino),
        xattrs: vec![("user.a".into(), b"value".to_vec())],
        target: (kind == Kind::Symlink).then(|| OsString::from("target")),
        same_as: None,
        backup: (kind == Kind::File).then_some(backup),
    }
}

fn ancestor(path: &str) -> Entry {
    Entry { role: Role::Ancestor, ..entry(path, Kind::Dir, 1) }
}

fn linked(path: &str, ino: u64, to: usize) -> Entry {
    Entry { backup: None, same_as: Some(to), ..entry(path, Kind::File, ino) }
}

/// In order: a name that is no UTF-8 and begins with an `o` among others.
fn good() -> Vec<Entry> {
    let mut odd = entry("a", Kind::Fifo, 9);
    odd.path = rel("a/w").join(std::os::unix::ffi::OsStrExt::from_bytes(b"odd\n\xff") as &OsStr);
    vec![
        ancestor("a"),
        entry("a/w", Kind::Dir, 2),
        entry("a/w/dir", Kind::Dir, 5),
        entry("a/w/dir/inner", Kind::Fifo, 6),
        entry("a/w/file", Kind::File, 3),
        entry("a/w/link", Kind::Symlink, 4),
        odd,
        linked("a/w/second", 3, 4),
    ]
}

fn guarded(path: &str, present: bool) -> Record {
    Record::Guarded { path: path.into(), present }
}

fn excluded(path: &str) -> Record {
    Record::Excluded { path: path.into() }
}

fn end(entries: u64) -> Record {
    Record::End { bytes: End { entries, ..End::default() }.to_bytes() }
}

fn put(entry: &Entry) -> Record {
    Record::Entry(Box::new(from_entry(entry.clone(), entry.path.to_bytes())))
}

fn check(records: Vec<Record>) -> Result<(), String> {
    let mut checker = Checker::default();
    for record in records {
        checker.push(record)?;
    }
    checker.end.map(drop).ok_or_else(|| "no end".into())
}

fn disk() -> (SimDisk, Dir) {
    let disk = SimDisk::new();
    let dir = disk.open_root("/".as_ref()).unwrap();
    (disk, dir)
}

fn written() -> Vec<u8> {
    let (disk, dir) = disk();
    let mut writer = Writer::create(&disk, &dir).unwrap();
    writer.guarded(&rel("a/w"), true).unwrap();
    writer.guarded(&rel("b"), false).unwrap();
    writer.excluded(&rel("a/w/not")).unwrap();
    for entry in good() {
        let path = entry.path.to_bytes();
        writer.entry(from_entry(entry, path)).unwrap();
    }
    assert_eq!(writer.finish(Time::default(), [7; 24]).unwrap(), 8);
    read_all(&disk, &disk.open(&dir, OsStr::new(MANIFEST), Open::Read).unwrap(), 1 << 20).unwrap()
}

fn entries(bytes: &[u8]) -> Vec<Entry> {
    let (disk, dir) = disk();
    let file = disk.open(&dir, OsStr::new(MANIFEST), Open::CreateNew { mode: 0o600 }).unwrap();
    write_all(&disk, &file, bytes, 0).unwrap();
    Manifest::load(&disk, &dir).unwrap().entries(&disk).map(Result::unwrap).collect()
}

fn load(bytes: &[u8]) -> crate::Result<Manifest> {
    let (disk, dir) = disk();
    let file = disk.open(&dir, OsStr::new(MANIFEST), Open::CreateNew { mode: 0o600 }).unwrap();
    write_all(&disk, &file, bytes, 0).unwrap();
    let manifest = Manifest::load(&disk, &dir)?;
    manifest.entries(&disk).try_for_each(|entry| entry.map(drop))?;
    Ok(manifest)
}

#[test]
fn what_is_written_is_read_back() {
    let manifest = load(&written()).unwrap();
    let entries = entries(&written());
    assert_eq!(entries, good());
    assert_eq!(manifest.excluded(), [rel("a/w/not")]);
    let guarded: Vec<_> = manifest.guarded().iter().map(|guarded| (guarded.path.clone(), guarded.present)).collect();
    assert_eq!(guarded, [(rel("a/w"), true), (rel("b"), false)]);
    let second = entries.iter().find(|entry| entry.path == rel("a/w/second")).unwrap();
    assert_eq!((second.mode(), second.same_as), (Mode::None, Some(4)));
    assert_eq!((manifest.len(), manifest.end.mount), (8, [7; 24]));
}

#[test]
fn the_bytes_are_those_of_the_description() {
    let mut bytes = layout::header().to_vec();
    for (sequence, record) in [(0, guarded("a", false)), (1, end(0))] {
        layout::put_frame(sequence, &treewal_vfs::codec::encode(&record).unwrap(), &mut bytes).unwrap();
    }
    let mut hex = String::new();
    for line in include_str!("layout.rs").lines().filter_map(|line| line.strip_prefix("//! | `")) {
        hex.push_str(line.split('`').next().unwrap());
        hex.push(' ');
    }
    let described: Vec<u8> = hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    assert_eq!(described, bytes, "{bytes:02x?}");
    assert!(!load(&bytes).unwrap().guarded()[0].present);
}

#[test]
fn no_flipped_byte_passes() {
    let whole = written();
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            load(&bytes).expect_err("a flipped byte");
        }
        let mut bytes = whole.clone();
        bytes[at..].fill(0);
        load(&bytes).expect_err("zeros to the end");
    }
}

#[test]
fn no_other_length_passes_and_a_cut_is_told_from_damage() {
    let whole = written();
    for length in 0..whole.len() {
        let error = load(&whole[..length]).unwrap_err();
        assert!(matches!(error, Error::Incomplete { .. }), "{length}: {error}");
    }
    let longer = [&whole[..], &[0]].concat();
    assert!(matches!(load(&longer), Err(Error::Damaged { .. })));
    // Also where what follows looks like an end.
    let twice = [&whole[..], &whole[whole.len() - layout::END_FRAME_BYTES..]].concat();
    assert!(matches!(load(&twice), Err(Error::Damaged { .. })));
}

#[test]
fn frames_that_changed_places_were_doubled_or_left_out_do_not_pass() {
    let whole = written();
    let mut frames = Vec::new();
    let mut at = HEADER_BYTES;
    while at < whole.len() {
        let header = whole[at..at + FRAME_HEADER_BYTES].try_into().unwrap();
        let next = at + FRAME_HEADER_BYTES + layout::frame_header(header).0 as usize;
        frames.push(whole[at..next].to_vec());
        at = next;
    }
    assert_eq!(frames.len(), 12);
    let join = |frames: &[Vec<u8>]| [&whole[..HEADER_BYTES], &frames.concat()].concat();
    assert_eq!(join(&frames), whole);
    for at in 0..frames.len() {
        let (mut left_out, mut doubled) = (frames.clone(), frames.clone());
        left_out.remove(at);
        doubled.insert(at, frames[at].clone());
        load(&join(&left_out)).expect_err("left out");
        load(&join(&doubled)).expect_err("doubled");
        let mut swapped = frames.clone();
        swapped.swap(at, (at + 1) % frames.len());
        load(&join(&swapped)).expect_err("swapped");
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let mut bytes = written();
    bytes[8] = 2;
    assert!(matches!(load(&bytes), Err(Error::Version { found: 2, newest: 1 })));
}

#[test]
fn records_that_do_not_fit_together_are_refused() {
    let a = || guarded("a", true);
    let dir = || put(&entry("a", Kind::Dir, 2));
    let with = |path: &str, change: fn(&mut Entry)| {
        let mut entry = entry(path, Kind::File, 3);
        change(&mut entry);
        put(&entry)
    };
    let bad: Vec<(&str, Vec<Record>)> = vec![
        ("no end", vec![a(), dir()]),
        ("after the end", vec![end(0), guarded("z", false)]),
        ("count", vec![a(), dir(), end(2)]),
        ("guarded twice", vec![guarded("b", false), guarded("b", false), end(0)]),
        ("guarded unsorted", vec![guarded("b", false), guarded("a", false), end(0)]),
        ("guarded inside another", vec![guarded("b", false), guarded("b/c", false), end(0)]),
        ("guarded late", vec![a(), dir(), guarded("b", false), end(1)]),
        ("guarded after excluded", vec![excluded("x"), guarded("b", false), end(0)]),
        ("excluded late", vec![a(), dir(), excluded("b"), end(1)]),
        ("excluded unsorted", vec![excluded("c"), excluded("b"), end(0)]),
        ("absent and there", vec![guarded("a", false), dir(), end(1)]),
        ("present and not there", vec![a(), end(0)]),
        ("guarded and excluded", vec![guarded("b/c", false), excluded("b"), end(0)]),
        ("climbing", vec![guarded("a/../../etc", false), end(0)]),
        ("absolute", vec![guarded("/etc", false), end(0)]),
        ("climbing entry", vec![a(), dir(), with("a/x", |e| e.path = rel("a").join("../../x")), end(2)]),
        ("outside", vec![a(), dir(), with("b", |_| ()), end(2)]),
        ("excluded entry", vec![a(), excluded("a/x"), dir(), with("a/x", |_| ()), end(2)]),
        ("twice", vec![a(), dir(), dir(), end(2)]),
        ("no parent", vec![a(), dir(), with("a/b/c", |_| ()), end(2)]),
        ("in a file", vec![a(), with("a", |_| ()), with("a/b", |e| e.backup.as_mut().unwrap().number = 9), end(2)]),
        ("root is a file", vec![guarded("", true), with("", |_| ()), end(1)]),
        ("ancestor of nothing", vec![a(), put(&ancestor("b")), dir(), end(2)]),
        ("ancestor is no directory", vec![guarded("a/b", false), with("a", |e| e.role = Role::Ancestor), end(1)]),
        ("ancestor is the root", vec![a(), put(&ancestor("")), dir(), end(2)]),
        ("link to nothing", vec![a(), dir(), put(&linked("a/x", 3, 9)), end(2)]),
        ("link to itself", vec![a(), dir(), put(&linked("a/x", 3, 1)), end(2)]),
        (
            "a directory that is a link",
            vec![a(), dir(), with("a/x", |e| (e.backup, e.same_as, e.meta.kind) = (None, Some(0), Kind::Dir)), end(2)],
        ),
        (
            "entries unsorted",
            vec![a(), dir(), with("a/y", |_| ()), with("a/x", |e| e.backup.as_mut().unwrap().number = 9), end(3)],
        ),
        (
            "ancestors unsorted",
            vec![guarded("a/x/z", false), guarded("b/x", false), put(&ancestor("b")), put(&ancestor("a")), end(2)],
        ),
        ("an ancestor late", vec![a(), guarded("b/x", false), dir(), put(&ancestor("b")), end(2)]),
        ("not normal", vec![a(), dir(), with("a/x", |e| e.path = rel("a").join("x/./y")), end(2)]),
        ("link with contents", vec![a(), dir(), with("a/x", |_| ()), with("a/y", |e| e.same_as = Some(1)), end(3)]),
        ("file without contents", vec![a(), dir(), with("a/x", |e| e.backup = None), end(2)]),
        ("directory with contents", vec![a(), with("a", |e| e.meta.kind = Kind::Dir), end(1)]),
        ("one backup for two", vec![a(), dir(), with("a/x", |_| ()), with("a/y", |_| ()), end(3)]),
        ("no mode", vec![a(), dir(), with("a/x", |e| e.backup.as_mut().unwrap().mode = Mode::None), end(2)]),
        ("mode bits", vec![a(), dir(), with("a/x", |e| e.meta.mode = 0o10_644), end(2)]),
        ("nanoseconds", vec![a(), dir(), with("a/x", |e| e.meta.modified.nanos = 1_000_000_000), end(2)]),
        ("target of a file", vec![a(), dir(), with("a/x", |e| e.target = Some("t".into())), end(2)]),
        ("nameless attribute", vec![a(), dir(), with("a/x", |e| e.xattrs[0].0 = OsString::new()), end(2)]),
    ];
    check(vec![a(), dir(), with("a/x", |_| ()), put(&linked("a/y", 3, 1)), end(3)]).unwrap();
    for (what, records) in bad {
        check(records).expect_err(what);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(tail in proptest::collection::vec(any::<u8>(), 0..200), framed in any::<bool>()) {
        let mut bytes = layout::header().to_vec();
        if framed && !tail.is_empty() {
            // Past the checksum, so that what the codec and the checker see is arbitrary.
            layout::put_frame(0, &tail, &mut bytes).unwrap();
        } else {
            bytes.extend(tail);
        }
        load(&bytes).unwrap_err();
    }
}

#[test]
fn a_length_beyond_the_file_costs_no_memory() {
    let mut bytes = layout::header().to_vec();
    bytes.extend_from_slice(&(16u32 << 20).to_le_bytes());
    bytes.extend_from_slice(&[0; 100]);
    assert!(matches!(load(&bytes), Err(Error::Incomplete { .. })));
    bytes[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(load(&bytes), Err(Error::Damaged { .. })));
}
