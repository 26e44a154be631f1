//! The fault-injecting disk: each fault does what it says, where it says.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use treewal_vfs::{Disk, Fault, FaultDisk, Open, RealDisk, Verb, errno, write_all};

use crate::record::every_verb;
use crate::scratch::{Scratch, os};

fn faulty(fault: Fault) -> FaultDisk {
    FaultDisk::new(Arc::new(RealDisk), fault)
}

/// Makes the directories `1` to `count`, whatever becomes of each.
fn make_dirs(disk: &dyn Disk, scratch: &Scratch, count: u32) -> Vec<Option<i32>> {
    (1..=count)
        .map(|n| disk.create_dir(&scratch.root, os(&n.to_string()), 0o700).err().and_then(|e| e.raw_os_error()))
        .collect()
}

#[test]
fn without_a_fault_everything_passes_and_changes_are_counted() {
    let scratch = Scratch::new();
    let disk = faulty(Fault::None);
    let root = disk.open_root(&scratch.path("")).unwrap();
    every_verb(&disk, &root);
    // 16 verbs that change something, one of them twice, and 4 syncs.
    assert_eq!((disk.mutations(), disk.is_off()), (21, false));
}

#[test]
fn one_call_fails() {
    let scratch = Scratch::new();
    let disk = faulty(Fault::Error { at: 2, errno: errno::ENOSPC });
    assert_eq!(make_dirs(&disk, &scratch, 3), [None, Some(errno::ENOSPC), None]);
    assert_eq!((scratch.names(), disk.mutations()), (vec!["1".to_owned(), "3".to_owned()], 3));
}

#[test]
fn every_call_from_one_on_fails_but_looking_does_not() {
    let scratch = Scratch::new();
    let disk = faulty(Fault::ErrorFrom { at: 2, errno: errno::EDQUOT });
    assert_eq!(make_dirs(&disk, &scratch, 3), [None, Some(errno::EDQUOT), Some(errno::EDQUOT)]);
    assert_eq!(disk.sync_dir(&scratch.root).unwrap_err().raw_os_error(), Some(errno::EDQUOT));
    assert_eq!(disk.list(&scratch.root).unwrap().len(), 1);
}

#[test]
fn a_write_is_cut_in_half_once() {
    let scratch = Scratch::new();
    let file = scratch.file("f", b"");
    let disk = faulty(Fault::ShortWrite { at: 2 });
    assert_eq!(disk.write_at(&file, b"123456789", 0).unwrap(), 9);
    assert_eq!(disk.write_at(&file, b"abcdefghi", 9).unwrap(), 5);
    assert_eq!(scratch.read("f"), b"123456789abcde");
    disk.arm(Fault::ShortWrite { at: 1 });
    write_all(&disk, &file, b"ABCDEFGHI", 0).unwrap();
    assert_eq!((scratch.read("f"), disk.mutations()), (b"ABCDEFGHIabcde".to_vec(), 2));
    disk.arm(Fault::ShortWrite { at: 1 });
    disk.set_len(&file, 4).unwrap();
    assert_eq!(disk.write_at(&file, b"whole", 0).unwrap(), 5, "the call was no write");
}

#[test]
fn a_disk_that_is_off_does_nothing_more() {
    let scratch = Scratch::new();
    let file = scratch.file("f", b"contents");
    let disk = faulty(Fault::Off { at: 2 });
    assert_eq!(disk.read_at(&file, &mut [0; 8], 0).unwrap(), 8);
    assert_eq!(make_dirs(&disk, &scratch, 3), [None, Some(errno::EIO), Some(errno::EIO)]);
    let off = [
        disk.read_at(&file, &mut [0; 8], 0).map(drop),
        disk.stat_dir(&scratch.root).map(drop),
        disk.open(&scratch.root, os("f"), Open::Read).map(drop),
        disk.list(&scratch.root).map(drop),
        disk.unlock(&file),
        disk.sync_all(&scratch.root),
        disk.open_root(Path::new("/")).map(drop),
    ];
    for call in off {
        assert_eq!(call.unwrap_err().raw_os_error(), Some(errno::EIO));
    }
    assert!(disk.is_off());
    assert_eq!(scratch.names(), ["1", "f"]);
    disk.arm(Fault::None);
    assert!(!disk.is_off() && disk.stat_dir(&scratch.root).is_ok());
}

#[test]
fn a_chosen_verb_alone_is_counted() {
    let scratch = Scratch::new();
    let file = scratch.file("f", b"contents");
    let disk = faulty(Fault::Error { at: 2, errno: errno::EIO }).only(Verb::ReadAt);
    let read = |disk: &FaultDisk| -> io::Result<usize> { disk.read_at(&file, &mut [0; 8], 0) };
    assert_eq!(make_dirs(&disk, &scratch, 2), [None, None]);
    assert!(read(&disk).is_ok() && read(&disk).is_err() && read(&disk).is_ok());
    assert_eq!(disk.mutations(), 3);
}

const KILLED_IN: &str = "TREEWAL_TEST_KILLED_IN";

/// The part of the next test that runs in the process that is killed; nothing by itself.
#[test]
fn child_that_is_killed() {
    let Some(home) = std::env::var_os(KILLED_IN) else { return };
    let disk = faulty(Fault::Kill { at: 3 });
    let root = disk.open_root(Path::new(&home)).unwrap();
    for name in ["1", "2", "3", "4"] {
        disk.create_dir(&root, os(name), 0o700).unwrap();
    }
    fs::write(Path::new(&home).join("survived"), b"").unwrap();
}

#[test]
fn a_kill_comes_just_before_its_call() {
    let scratch = Scratch::new();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fault::child_that_is_killed"])
        .env(KILLED_IN, scratch.path(""))
        .output()
        .unwrap()
        .status;
    assert_eq!(status.signal(), Some(9));
    assert_eq!(scratch.names(), ["1", "2"]);
}
