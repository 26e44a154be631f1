//! A medium that really refuses a block: Btrfs gives `EIO` for bytes that do not fit their checksum, to a read and to
//! a page of a mapping alike. A log's own segments have no checksum of Btrfs, as they are written in place; those of a log
//! that was copied, or is older than that, do.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use treewal_journal::{Finding, Log, LogOptions, Proof, Tail};
use treewal_vfs::{Dir, Disk, Open, RealDisk, RelPath, read_all, write_all};

use crate::common::*;
use crate::sources::every;

const IMAGE_BYTES: u64 = 128 << 20;
const RECORDS: u8 = 200;
const COPY: &str = "copy";
/// The record that is spoiled; it lies in the middle of a segment.
const SPOILED: u8 = 120;

fn run(program: &str, args: &[&OsStr]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|done| done.status.success())
}

/// Mounted for as long as this value lives.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn new(image: &Path, at: &'a Path) -> Option<Self> {
        run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_ref(), at.as_ref()]).then_some(Self(at))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        // A child that another test is just starting holds all our handles until its `exec`.
        let done = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            run("umount", &[self.0.as_ref()])
        });
        assert!(done, "{} stays mounted", self.0.display());
    }
}

fn payload(n: u8) -> Vec<u8> {
    let mut payload = vec![n; 20_000];
    // Found by it in the image, whatever block it starts in.
    payload[10_000..10_016].copy_from_slice(&[b"find record ", &[n; 4][..]].concat());
    payload
}

/// Flips a byte of the record where it stands in the image; gives how often it stands there.
fn spoil(image: &Path) -> usize {
    let home = RealDisk.open_root(image.parent().unwrap()).unwrap();
    let file = RealDisk.open(&home, image.file_name().unwrap(), Open::ReadWrite).unwrap();
    let bytes = read_all(&RealDisk, &file, IMAGE_BYTES).unwrap();
    let pattern = &payload(SPOILED)[10_000..10_016];
    let places: Vec<usize> = (0..bytes.len() - 16).filter(|at| &bytes[*at..*at + 16] == pattern).collect();
    for at in &places {
        write_all(&RealDisk, &file, b"?", *at as u64).unwrap();
    }
    RealDisk.sync_file(&file).unwrap();
    places.len()
}

/// Makes copies of all segments, which Btrfs keeps like any other file: with checksums.
fn copy_of(disk: &dyn Disk, dir: &Dir) -> Dir {
    let name = OsStr::new(COPY);
    let segments = disk.list(dir).unwrap();
    disk.create_dir(dir, name, 0o700).unwrap();
    let copy = disk.open_dir(dir, &RelPath::new(COPY).unwrap()).unwrap();
    for segment in segments {
        let from = disk.open(dir, &segment.name, Open::Read).unwrap();
        let to = disk.open(&copy, &segment.name, Open::CreateNew { mode: 0o600 }).unwrap();
        write_all(disk, &to, &read_all(disk, &from, IMAGE_BYTES).unwrap(), 0).unwrap();
    }
    copy
}

#[test]
fn a_block_that_the_medium_refuses_is_found_in_every_way_and_kills_nobody() {
    let (home, at) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let image = home.path().join("image");
    let home_dir = RealDisk.open_root(home.path()).unwrap();
    let file = RealDisk.open(&home_dir, OsStr::new("image"), Open::CreateNew { mode: 0o600 }).unwrap();
    RealDisk.set_len(&file, IMAGE_BYTES).unwrap();
    let made = run("mkfs.btrfs", &["-q".as_ref(), image.as_ref()]);
    let Some(mounted) = made.then(|| Mount::new(&image, at.path())).flatten() else {
        println!("skipped: no mkfs.btrfs, or mounting is not permitted");
        return;
    };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let dir = disk.open_root(at.path()).unwrap();
    let log = Log::create(Arc::clone(&disk), dir.clone(), LogOptions { segment_bytes: 1 << 20, ..options() }).unwrap();
    for n in 0..RECORDS {
        commit(&log, &payload(n));
    }
    drop(log);
    drop(copy_of(&*disk, &dir));
    drop(dir);
    // Mounted anew, so that the bytes come from the medium.
    drop(mounted);
    assert!(spoil(&image) > 0);
    let mounted = Mount::new(&image, at.path()).unwrap();
    let dir = disk.open_root(&at.path().join(COPY)).unwrap();
    let (found, seen) = every(&*disk, &dir);
    assert_eq!(seen.len(), usize::from(SPOILED));
    let Tail::Corrupt { segment, offset, proof: Proof::Unreadable, .. } = found.tail else { panic!("{}", found.tail) };
    let [Finding::Unreadable { segment: refused, offset: from }] = found.findings[..] else {
        panic!("{:?}", found.findings)
    };
    assert_eq!(segment, refused);
    assert!(from > offset && from < offset + 20_000, "{from}");
    assert_eq!(from % 4096, 0, "a block of the file system is what it refuses");
    drop((dir, mounted));
}
