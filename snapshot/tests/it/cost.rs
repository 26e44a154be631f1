//! What taking and restoring cost, in calls that change something or sync.

use std::path::Path;
use std::sync::Arc;

use treewal_snapshot::{Check, Sharing, compare};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{RecordingDisk, Verb};

use crate::bed::{Bed, rel};

/// Calls that change something, and syncs: of taking, and of restoring after one file of so many was replaced.
fn cost(files: usize, sharing: Sharing) -> [(usize, usize); 2] {
    let sim = SimDisk::new();
    let plain = Bed::new(&sim, Path::new("/"));
    plain.dir("w");
    for file in 0..files {
        plain.write(&format!("w/{file}"), b"contents");
    }
    let disk = RecordingDisk::new(Arc::new(sim.clone()));
    let bed = plain.through(&disk);
    bed.take(&["w"], sharing).unwrap();
    let taken = (disk.mutations(), disk.syncs());
    bed.replace("w/0", b"other");
    bed.write("w/new", b"new");
    disk.take();
    bed.restore(Check::Attributes).unwrap();
    [taken, (disk.mutations(), disk.syncs())]
}

#[test]
fn a_snapshot_costs_one_sync_and_a_few_calls_a_file() {
    for (sharing, a_file) in [(Sharing::Auto, 2), (Sharing::HardLink, 1), (Sharing::Copy, 3)] {
        let [(few, syncs), _] = cost(10, sharing);
        let [(many, _), _] = cost(110, sharing);
        // The manifest goes out in blocks, of which the larger one takes a few more.
        assert!((many - few).div_ceil(100) <= a_file + 1, "{sharing:?}: {few} and {many}");
        assert_eq!(syncs, 1);
    }
}

#[test]
fn a_snapshot_by_hard_link_makes_one_link_one_look_and_one_list_of_attributes_a_file() {
    let sim = SimDisk::new();
    let plain = Bed::new(&sim, Path::new("/"));
    plain.dir("w");
    let files = 700;
    for file in 0..files {
        plain.write(&format!("w/{file}"), b"contents");
    }
    let disk = RecordingDisk::new(Arc::new(sim.clone()));
    let bed = plain.through(&disk);
    bed.take(&["w"], Sharing::HardLink).unwrap();
    assert_eq!(disk.count(Verb::HardLink), files);
    for (verb, beside) in [(Verb::Stat, 8), (Verb::Xattrs, 8), (Verb::OpenDir, 24), (Verb::WriteAt, 8)] {
        let a_file = usize::from(matches!(verb, Verb::Stat | Verb::Xattrs));
        let calls = disk.count(verb);
        assert!(calls <= a_file * files + beside, "{verb:?}: {calls}");
    }
    assert_eq!(disk.count(Verb::Open), 0, "no file is opened to be read");
    assert_eq!(disk.syncs(), 1);
    // Directories of backups stay within a block of most file systems: what is made there is looked for in all of it.
    let contents = bed.disk.open_dir(&bed.private, &rel("contents")).unwrap();
    let mut names = 0;
    for dir in bed.disk.list(&contents).unwrap() {
        let inside = bed.disk.open_dir(&contents, &rel(dir.name.to_str().unwrap())).unwrap();
        let count = bed.disk.list(&inside).unwrap().len();
        assert!(count <= 128, "{count} in {dir:?}");
        names += count;
    }
    assert_eq!(names, files);
}

#[test]
fn a_restore_costs_what_was_touched() {
    for sharing in [Sharing::Auto, Sharing::HardLink, Sharing::Copy] {
        let [_, few] = cost(10, sharing);
        let [_, many] = cost(110, sharing);
        assert_eq!(few, many, "{sharing:?}");
        // Remove the new one, put back the old one with its mode and times, and the times of the directory.
        // One sync, because names in the directory changed before.
        assert!(few.0 <= 6 && few.1 == 1, "{sharing:?}: {few:?}");
    }
}

#[test]
fn a_restore_reads_the_manifest_once_and_once_more_for_names_of_one_file() {
    let sim = SimDisk::new();
    let disk = RecordingDisk::new(Arc::new(sim.clone()));
    let bed = Bed::new(&disk, Path::new("/"));
    bed.dir("w");
    for path in ["w/a", "w/b", "w/pair"] {
        bed.write(path, b"contents");
    }
    bed.link("w/pair", "w/pair-too");
    bed.take(&["w"], Sharing::HardLink).unwrap();
    for (path, reads) in [("w/a", 1), ("w/pair", 2)] {
        bed.replace(path, b"other");
        let manifest = bed.manifest();
        disk.take();
        treewal_snapshot::restore(&disk, &bed.tree, &bed.private, &manifest, Check::Attributes).unwrap();
        assert_eq!(disk.count(Verb::ReadAt), reads, "{path}");
    }
}

#[test]
fn a_restore_of_what_was_written_in_place_syncs_nothing() {
    let sim = SimDisk::new();
    let disk = RecordingDisk::new(Arc::new(sim.clone()));
    let bed = Bed::new(&disk, Path::new("/"));
    bed.dir("w");
    bed.write("w/a", b"contents");
    bed.take(&["w"], Sharing::Auto).unwrap();
    bed.write("w/a", b"CONTENTS");
    disk.take();
    assert_eq!(bed.restore(Check::Attributes).unwrap().restored, 1);
    assert_eq!(disk.syncs(), 0);
}

#[test]
fn comparing_changes_nothing_and_reads_no_contents() {
    let sim = SimDisk::new();
    let disk = RecordingDisk::new(Arc::new(sim.clone()));
    let bed = Bed::new(&disk, Path::new("/"));
    bed.dir("w");
    bed.write("w/a", b"contents");
    bed.take(&["w"], Sharing::Auto).unwrap();
    bed.write("w/a", b"CONTENTS");
    let manifest = bed.manifest();
    disk.take();
    assert_eq!(compare(bed.disk, &bed.tree, &manifest).unwrap().len(), 1);
    // What is read is the manifest, which is open.
    assert_eq!((disk.mutations(), disk.syncs(), disk.count(Verb::Open)), (0, 0, 0));
}
