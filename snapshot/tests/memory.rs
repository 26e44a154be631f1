//! What a snapshot of many entries takes of memory, all threads included: it must not grow with them.
//!
//! A program of its own, so that nothing else counts. `TREEWAL_SNAPSHOT_ENTRIES=1000000` makes it long.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "the kernel's account of this process is read beside the disk")]

use std::ffi::OsStr;

use treewal_snapshot::{Check, Manifest, Sharing, TakeOptions, changes, diff, restore, take};
use treewal_vfs::{Dir, Disk, Open, RealDisk, RelPath};

const MIB: u64 = 1 << 20;

/// The most memory that this process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

fn dir(at: &Dir, name: &str) -> Dir {
    RealDisk.create_dir(at, OsStr::new(name), 0o755).unwrap();
    RealDisk.open_dir(at, &RelPath::new(name).unwrap()).unwrap()
}

fn file(at: &Dir, name: &str) {
    RealDisk.open(at, OsStr::new(name), Open::CreateNew { mode: 0o644 }).unwrap();
}

#[test]
fn memory_does_not_grow_with_the_entries() {
    let entries: u64 = std::env::var("TREEWAL_SNAPSHOT_ENTRIES").map_or(30_000, |count| count.parse().unwrap());
    let home = tempfile::tempdir().unwrap();
    let tree = RealDisk.open_root(home.path()).unwrap();
    let (live, kept) = (dir(&tree, "live"), dir(&tree, "kept"));
    // Half of them in one directory, the others in many.
    let flat = dir(&live, "flat");
    let mut here = dir(&live, "many");
    for number in 0..entries / 2 {
        file(&flat, &format!("a-name-of-some-length-{number}"));
        if number % 1000 == 0 {
            here = dir(&live, &format!("d{number}"));
        }
        file(&here, &format!("f{number}"));
    }
    let begun = peak();
    let into = dir(&kept, "one");
    let options = TakeOptions { sharing: Sharing::HardLink, ..TakeOptions::default() };
    let paths = [RelPath::new("live").unwrap()];
    let report = take(&RealDisk, &tree, &paths, &into, &options).unwrap();
    assert!(report.entries >= entries && report.hard_linked == entries / 2 * 2);
    let taken = peak();

    RealDisk.remove_file(&flat, OsStr::new("a-name-of-some-length-7")).unwrap();
    file(&flat, "new");
    let manifest = Manifest::load(&RealDisk, &into).unwrap();
    assert_eq!(changes(&RealDisk, &tree, &manifest).map(Result::unwrap).count(), 3);
    assert_eq!(diff(&RealDisk, &manifest, &manifest).map(Result::unwrap).count(), 0);
    let compared = peak();
    let restored = restore(&RealDisk, &tree, &into, &manifest, Check::Attributes).unwrap();
    assert_eq!((restored.restored, restored.removed), (1, 1));
    let end = peak();
    let shown = [begun, taken, compared, end].map(|peak| peak / MIB);
    // Eight bytes and a number for each file, and the names of the largest directory.
    let allowed = 24 * MIB + entries * 230;
    assert!(end - begun < allowed, "{entries} entries, MiB: {shown:?}");
    println!("{entries} entries; MiB at the beginning, taken, compared, restored: {shown:?}");
}
