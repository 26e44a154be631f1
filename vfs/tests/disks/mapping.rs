//! Files as memory: what is handed out is what the disk gives, and what it does not give is an error and no signal.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use treewal_vfs::{Disk, Fault, FaultDisk, Mapping, Open, RealDisk, RecordingDisk, Verb, errno, write_all};

use crate::scratch::{Mounted, Scratch, os};

/// Larger than what is asked for at a time, and no multiple of a page.
const BYTES: usize = (5 << 20) + 1234;

fn contents() -> Vec<u8> {
    (0..=250u8).cycle().take(BYTES).collect()
}

#[test]
fn a_mapping_gives_what_the_file_holds_as_far_as_it_is_asked() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &contents());
    let mut map = RealDisk.map(&file, u64::MAX).unwrap().unwrap();
    assert_eq!((map.len(), map.is_empty(), map.ready().len()), (BYTES, false, 0));
    let some = map.upto(1).unwrap();
    assert!(!some.is_empty() && some.len() < BYTES && some == &contents()[..some.len()]);
    let some = some.len();
    assert_eq!(map.ready().len(), some);
    assert_eq!(map.upto(usize::MAX).unwrap(), contents());
    assert_eq!(map.ready().len(), BYTES);
    // The name may go and the handle be closed: the bytes stay.
    drop(file);
    fs::remove_file(scratch.path("f")).unwrap();
    assert_eq!(map.ready(), contents());
}

#[test]
fn a_mapping_ends_where_it_is_told() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &contents());
    let mut map = RealDisk.map(&file, 5000).unwrap().unwrap();
    assert_eq!((map.len(), map.upto(9000).unwrap()), (5000, &contents()[..5000]));
}

#[test]
fn a_file_that_was_cut_is_an_error() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &contents());
    let mut map = RealDisk.map(&file, u64::MAX).unwrap().unwrap();
    RealDisk.set_len(&file, 0).unwrap();
    assert!(map.upto(1).is_err());
    assert_eq!(map.ready().len(), 0);

    write_all(&RealDisk, &file, &contents(), 0).unwrap();
    let mut map = RealDisk.map(&file, u64::MAX).unwrap().unwrap();
    let some = map.upto(1).unwrap().len();
    RealDisk.set_len(&file, some as u64 + 4096).unwrap();
    assert!(map.upto(BYTES).is_err());
    assert_eq!(map.ready(), &contents()[..some], "what was there before still is");
}

#[test]
fn only_files_of_known_file_systems_are_mapped() {
    let scratch = Scratch::new();
    let is_mapped = |file| RealDisk.map(&file, u64::MAX).unwrap().is_some();
    assert!(!is_mapped(scratch.file("empty", b"")));
    RealDisk.create_dir(&scratch.root, os("dir"), 0o700).unwrap();
    assert!(!is_mapped(RealDisk.open(&scratch.root, os("dir"), Open::Read).unwrap()));
    assert!(Command::new("mkfifo").arg(scratch.path("fifo")).status().unwrap().success());
    assert!(!is_mapped(RealDisk.open(&scratch.root, os("fifo"), Open::Read).unwrap()));
    symlink("empty", scratch.path("link")).unwrap();
    assert!(RealDisk.open(&scratch.root, os("link"), Open::Read).is_err());
    assert!(is_mapped(scratch.file("f", b"contents")));
    // A regular file with a length, on a file system that is in nobody's list.
    let odd = Path::new("/sys/kernel");
    if odd.join("uevent_seqnum").exists() {
        let root = RealDisk.open_root(odd).unwrap();
        assert!(!is_mapped(RealDisk.open(&root, os("uevent_seqnum"), Open::Read).unwrap()));
    }
}

#[test]
fn a_copy_refuses_what_it_is_told_to() {
    let mut map = Mapping::of_copy(contents(), BYTES);
    assert_eq!(map.upto(usize::MAX).unwrap(), contents());
    let mut map = Mapping::of_copy(contents(), BYTES - 1);
    let some = map.upto(1).unwrap().len();
    assert!(map.upto(BYTES).is_err());
    assert!(map.ready().len() >= some && map.ready().len() < BYTES);
}

#[test]
fn the_wrappers_pass_it_on() {
    let scratch = Scratch::new();
    let file = scratch.file("f", b"contents");
    let recording = RecordingDisk::new(Arc::new(RealDisk));
    assert!(recording.map(&file, 8).unwrap().is_some());
    assert_eq!((recording.count(Verb::Map), recording.mutations()), (1, 0));
    let faulty = FaultDisk::new(Arc::new(RealDisk), Fault::Error { at: 1, errno: errno::EIO }).only(Verb::Map);
    assert_eq!(faulty.map(&file, 8).unwrap_err().raw_os_error(), Some(errno::EIO));
    assert_eq!(faulty.map(&file, 8).unwrap().unwrap().upto(8).unwrap(), b"contents");
}

#[test]
fn xfs_and_btrfs_are_known() {
    for (mkfs, image_bytes) in [("mkfs.xfs", 320 << 20), ("mkfs.btrfs", 128 << 20)] {
        let Some(mounted) = Mounted::new(mkfs, image_bytes) else { continue };
        let scratch = Scratch::beneath(mounted.path());
        let file = scratch.file("f", b"contents");
        assert_eq!(RealDisk.map(&file, 8).unwrap().unwrap().upto(8).unwrap(), b"contents", "{mkfs}");
        drop((file, scratch));
    }
}
