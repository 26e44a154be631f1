//! Copying contents: by reflink, by bytes, with holes.

use std::io::ErrorKind;
use std::sync::Arc;

use treewal_vfs::{
    Copied, Disk, Fault, FaultDisk, File, RealDisk, RecordingDisk, Verb, copy_contents, errno, write_all,
};

use crate::scratch::{Mounted, Scratch, os};

/// A disk that cannot reflink, whatever the file system beneath can.
fn bytewise() -> FaultDisk {
    FaultDisk::new(Arc::new(RealDisk), Fault::ErrorFrom { at: 1, errno: errno::EOPNOTSUPP }).only(Verb::Reflink)
}

fn copied(scratch: &Scratch, disk: &dyn Disk, from: &File) -> Copied {
    drop(RealDisk.remove_file(&scratch.root, os("to")));
    let to = scratch.file("to", b"");
    let copied = copy_contents(disk, from, &to).unwrap();
    assert!(scratch.read("to") == scratch.read("from"), "the copy differs");
    copied
}

#[test]
fn bytes_come_across_block_by_block() {
    let scratch = Scratch::new();
    // Around the block of 256 KiB, and with a pattern that shows a block out of place.
    for len in [0, 1, 4096, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 1_000_000] {
        drop(RealDisk.remove_file(&scratch.root, os("from")));
        let contents: Vec<u8> = (0..len).map(|n: u32| (n / 251).to_le_bytes()[0] ^ n.to_le_bytes()[0]).collect();
        let from = scratch.file("from", &contents);
        assert_eq!(copied(&scratch, &bytewise(), &from), Copied::Bytes(u64::from(len)));
    }
}

#[test]
fn holes_stay_holes() {
    const MIB: u64 = 1 << 20;
    let scratch = Scratch::new();
    let from = scratch.file("from", b"head");
    write_all(&RealDisk, &from, &[3; 10_000], 5 * MIB).unwrap();
    RealDisk.set_len(&from, 40 * MIB).unwrap();
    let Copied::Bytes(bytes) = copied(&scratch, &bytewise(), &from) else { panic!("it was told to copy bytes") };
    let (from, to) = (RealDisk.stat(&scratch.root, os("from")), RealDisk.stat(&scratch.root, os("to")));
    let (from, to) = (from.unwrap(), to.unwrap());
    assert_eq!(to.size, 40 * MIB);
    // Only where the file system has holes there is something to keep.
    if from.allocated < MIB {
        assert!(bytes < MIB && to.allocated < MIB, "{bytes} copied, {} allocated", to.allocated);
    }
}

#[test]
fn a_file_that_is_one_hole_costs_one_call() {
    let scratch = Scratch::new();
    let from = scratch.file("from", b"");
    RealDisk.set_len(&from, 1 << 20).unwrap();
    let disk = RecordingDisk::new(Arc::new(bytewise()));
    let copied = copied(&scratch, &disk, &from);
    if RealDisk.next_data(&from, 0).unwrap().is_none() {
        assert_eq!((copied, disk.count(Verb::WriteAt), disk.count(Verb::SetLen)), (Copied::Bytes(0), 0, 1));
    }
}

#[test]
fn short_writes_are_finished_and_errors_are_told() {
    let scratch = Scratch::new();
    let from = scratch.file("from", &[5; 700_000]);
    for at in 1..=3 {
        let short = FaultDisk::new(Arc::new(bytewise()), Fault::ShortWrite { at }).only(Verb::WriteAt);
        assert_eq!(copied(&scratch, &short, &from), Copied::Bytes(700_000));
    }
    let cases = [(Verb::Reflink, errno::EIO), (Verb::WriteAt, errno::ENOSPC), (Verb::ReadAt, errno::EIO)];
    for (n, (verb, errno)) in cases.into_iter().enumerate() {
        let disk = FaultDisk::new(Arc::new(bytewise()), Fault::Error { at: 1, errno }).only(verb);
        let to = scratch.file(&n.to_string(), b"");
        let refused = copy_contents(&disk, &from, &to).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(errno), "{verb:?}");
    }
}

#[test]
fn only_an_empty_file_is_copied_to() {
    let scratch = Scratch::new();
    let (from, to) = (scratch.file("from", b"new"), scratch.file("to", b"old contents"));
    let refused = copy_contents(&RealDisk, &from, &to).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert_eq!(scratch.read("to"), b"old contents");
}

#[test]
fn extents_are_shared_where_the_file_system_can() {
    let Some(mounted) = Mounted::new("mkfs.xfs", 512 << 20) else { return };
    let scratch = Scratch::beneath(mounted.path());
    let from = scratch.file("from", &[9; 3 << 20]);
    RealDisk.sync_all(&scratch.root).unwrap();
    let before = RealDisk.space(&scratch.root).unwrap();
    let disk = RecordingDisk::new(Arc::new(RealDisk));
    assert_eq!(copied(&scratch, &disk, &from), Copied::Reflink);
    assert_eq!(disk.count(Verb::WriteAt), 0);
    RealDisk.sync_all(&scratch.root).unwrap();
    assert!(before.saturating_sub(RealDisk.space(&scratch.root).unwrap()) < 1 << 20);
    // From another file system it can only be bytes.
    let elsewhere = Scratch::new();
    let to = elsewhere.file("to", b"");
    assert_eq!(copy_contents(&RealDisk, &from, &to).unwrap(), Copied::Bytes(3 << 20));
}
