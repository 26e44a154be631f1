//! Bytes and holes on the real disk, and what it says about itself.

use std::fs;
use std::os::unix::fs::MetadataExt;

use treewal_vfs::{Disk, Kind, Open, RealDisk, errno, read_all};

use crate::scratch::{Mounted, Scratch, os};

#[test]
fn reads_and_writes_where_it_is_told() {
    let scratch = Scratch::new();
    let file = scratch.file("f", b"0123456789");
    assert_eq!(RealDisk.write_at(&file, b"AB", 4).unwrap(), 2);
    assert_eq!(scratch.read("f"), b"0123AB6789");
    let mut buf = [0; 4];
    assert_eq!(RealDisk.read_at(&file, &mut buf, 8).unwrap(), 2);
    assert_eq!(&buf[..2], b"89");
    assert_eq!(RealDisk.read_at(&file, &mut buf, 10).unwrap(), 0);
    RealDisk.set_len(&file, 3).unwrap();
    RealDisk.set_len(&file, 5).unwrap();
    assert_eq!(scratch.read("f"), b"012\0\0");
    assert_eq!(read_all(&RealDisk, &file, 5).unwrap(), b"012\0\0");
    assert!(RealDisk.write_at(&file, b"x", u64::MAX).is_err());
    let reader = RealDisk.open(&scratch.root, os("f"), Open::Read).unwrap();
    assert_eq!(RealDisk.write_at(&reader, b"x", 0).unwrap_err().raw_os_error(), Some(errno::EBADF));
}

#[test]
fn a_directory_is_no_file_to_write() {
    let scratch = Scratch::new();
    RealDisk.create_dir(&scratch.root, os("d"), 0o755).unwrap();
    let refused = RealDisk.open(&scratch.root, os("d"), Open::ReadWrite).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(errno::EISDIR));
    let opened = RealDisk.open(&scratch.root, os("d"), Open::Read).unwrap();
    assert_eq!(RealDisk.stat_file(&opened).unwrap().kind, Kind::Dir);
    assert_eq!(RealDisk.read_at(&opened, &mut [0], 0).unwrap_err().raw_os_error(), Some(errno::EISDIR));
}

#[test]
fn data_between_holes_is_found() {
    const MIB: u64 = 1 << 20;
    let scratch = Scratch::new();
    let file = scratch.file("sparse", b"");
    RealDisk.write_at(&file, &[1; 4096], MIB).unwrap();
    RealDisk.set_len(&file, 3 * MIB).unwrap();
    let (start, end) = RealDisk.next_data(&file, 0).unwrap().unwrap();
    assert!(start <= MIB && end >= MIB + 4096, "{start}..{end}");
    // On a file system with holes the run is no more than the blocks around the data.
    let allocated = fs::metadata(scratch.path("sparse")).unwrap().blocks() * 512;
    if allocated < MIB {
        assert!(end - start < MIB, "{start}..{end}");
        assert_eq!(RealDisk.next_data(&file, end).unwrap(), None);
    }
    assert_eq!(RealDisk.next_data(&file, 3 * MIB).unwrap(), None);
    assert_eq!(RealDisk.next_data(&file, u64::MAX).unwrap(), None);
    assert_eq!(RealDisk.stat(&scratch.root, os("sparse")).unwrap().allocated, allocated);
}

#[test]
fn a_reflink_shares_or_says_that_it_cannot() {
    let scratch = Scratch::new();
    let (from, to) = (scratch.file("from", b"contents"), scratch.file("to", b""));
    match RealDisk.reflink(&from, &to) {
        Ok(()) => assert_eq!(scratch.read("to"), b"contents"),
        Err(error) => {
            let known = [errno::EOPNOTSUPP, errno::EINVAL, errno::ENOTTY, errno::ENOSYS];
            assert!(known.contains(&error.raw_os_error().unwrap()), "{error}");
            assert!(scratch.read("to").is_empty());
        }
    }
}

#[test]
fn a_reflink_shares_where_the_file_system_can() {
    let Some(mounted) = Mounted::new("mkfs.btrfs", 256 << 20) else { return };
    let scratch = Scratch::beneath(mounted.path());
    let contents = vec![7; 1 << 20];
    let (from, to) = (scratch.file("from", &contents), scratch.file("to", b""));
    RealDisk.reflink(&from, &to).unwrap();
    assert_eq!(scratch.read("to"), contents);
    RealDisk.write_at(&to, b"changed", 0).unwrap();
    assert_eq!(scratch.read("from"), contents);
}

#[test]
fn every_sync_succeeds_on_a_healthy_disk() {
    let scratch = Scratch::new();
    scratch.file("f", b"x");
    let reader = RealDisk.open(&scratch.root, os("f"), Open::Read).unwrap();
    RealDisk.sync_data(&reader).unwrap();
    RealDisk.sync_file(&reader).unwrap();
    RealDisk.sync_dir(&scratch.root).unwrap();
    RealDisk.sync_all(&scratch.root).unwrap();
}

#[test]
fn the_machine_tells_its_boot_and_its_space() {
    let scratch = Scratch::new();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(RealDisk.boot_id(), boot.trim());
    let space = RealDisk.space(&scratch.root).unwrap();
    assert!(space > 0 && space < 1 << 60, "{space}");
}
