//! Segments of the journal go when nobody needs them any more, whatever died in between.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use treewal::{CheckpointSync, Options, Tree};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, Open, RecordingDisk, RelPath, Verb, write_all};

fn try_open(disk: &SimDisk) -> treewal::Result<Tree> {
    Options::new()
        .segment_bytes(64 << 10)
        .inline_max(64 << 10)
        .lock_wait(Duration::ZERO)
        .open_on(Arc::new(disk.clone()), "/")
}

fn open(disk: &SimDisk) -> Tree {
    try_open(disk).unwrap()
}

/// A recovery whose checkpoint is durable, and which dies before it gives the segments back, leaves that to the next.
#[test]
fn segments_that_a_dead_recovery_no_longer_needed_are_given_back_by_the_next() {
    let segments = |disk: &SimDisk| {
        let own = RelPath::new(".treewal/journal").unwrap();
        disk.dump().keys().filter(|path| path.starts_with(&own) && **path != own).count()
    };
    let disk = SimDisk::new();
    let tree = open(&disk);
    let fill = |name: &str, files: usize| {
        tree.transaction(|tx| (0..files).try_for_each(|n| tx.write(format!("{name}{n}"), vec![b'x'; 1_000]))).unwrap();
    };
    fill("settled", 50);
    tree.checkpoint().unwrap();
    fill("a", 4);
    fill("b", 25);
    std::mem::forget(tree);
    let killed = disk.kill();
    // The last batch was not written whole: recovery goes on in a third segment.
    let journal = killed.open_root(".treewal/journal".as_ref()).unwrap();
    let last = killed.list(&journal).unwrap().into_iter().map(|entry| entry.name).max().unwrap();
    let file = killed.open(&journal, &last, Open::ReadWrite).unwrap();
    write_all(&killed, &file, &[0; 512], 16 << 10).unwrap();
    killed.sync_all(&killed.open_root("/".as_ref()).unwrap()).unwrap();
    let mut most = 0;
    for cut in 1.. {
        let disk = killed.remount();
        disk.cut_at(Some(cut));
        drop(try_open(&disk));
        if !disk.is_off() {
            break;
        }
        let left = disk.after(&disk.outcomes(Profile::Ordered).everything()).remount();
        most = most.max(segments(&left));
        drop(open(&left));
        assert!(segments(&left) <= 2, "cut before call {cut}: {} segments are left", segments(&left));
    }
    assert!(most > 2, "there was never more than a recovery keeps");
}

/// Whoever opens a tree goes on with segments as it was made with, unless told otherwise.
#[test]
fn the_size_of_segments_is_that_of_the_newest_unless_it_is_asked_for() {
    let disk = SimDisk::new();
    let lengths = |disk: &SimDisk| {
        let own = RelPath::new(".treewal/journal").unwrap();
        let files: Vec<usize> = disk
            .dump()
            .iter()
            .filter(|(path, _)| path.starts_with(&own) && **path != own)
            .map(|(_, node)| node.contents.len())
            .collect();
        files
    };
    // More than two segments of 64 KiB, which no checkpoint gives back on the way.
    let fill = |options: &Options| {
        let tree = options.clone().checkpoint_bytes(u64::MAX).open_on(Arc::new(disk.clone()), "/").unwrap();
        for n in 0..40 {
            tree.transaction(|tx| tx.write(format!("f{n}"), vec![b'x'; 4000])).unwrap();
        }
        let found = lengths(&disk);
        drop(tree);
        found
    };
    fill(&Options::new().segment_bytes(64 << 10));
    let found = fill(&Options::new());
    assert!(found.len() > 2 && found.iter().all(|length| *length == 64 << 10), "{found:?}");
    assert!(fill(&Options::new().segment_bytes(128 << 10)).contains(&(128 << 10)));
    assert!(fill(&Options::new()).contains(&(128 << 10)), "the newest counts");
}

/// A checkpoint is due when a segment is full, of whatever size these are.
#[test]
fn small_segments_make_checkpoints_come_early_also_for_who_did_not_ask_for_them() {
    let disk = SimDisk::new();
    drop(open(&disk));
    let recording = Arc::new(RecordingDisk::new(Arc::new(disk)));
    let tree = Options::new().checkpoint_sync(CheckpointSync::FileSystem).open_on(recording.clone(), "/").unwrap();
    recording.take();
    for n in 0..20 {
        tree.transaction(|tx| tx.write("a", vec![n; 4000])).unwrap();
    }
    assert_eq!(recording.count(Verb::SyncAll), 1);
}
