//! The recording disk: every verb is passed on and told once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use treewal_vfs::{Call, Dir, Disk, Kind, Lock, Meta, Open, RealDisk, RecordingDisk, Rename, Time, Verb};

use crate::scratch::{Scratch, os, rel};

/// Calls every verb of `disk` but `open_root` once, and those that make something as often as it takes.
pub(crate) fn every_verb(disk: &dyn Disk, at: &Dir) {
    let owner = disk.stat_dir(at).unwrap();
    let file = disk.open(at, os("file"), Open::CreateNew { mode: 0o644 }).unwrap();
    disk.write_at(&file, b"contents", 0).unwrap();
    disk.set_len(&file, 5).unwrap();
    disk.sync_data(&file).unwrap();
    disk.sync_file(&file).unwrap();
    assert_eq!(disk.read_at(&file, &mut [0; 100], 0).unwrap(), 5);
    disk.map(&file, 5).unwrap();
    assert_eq!(disk.next_data(&file, 0).unwrap().unwrap().0, 0);
    let copy = disk.open(at, os("copy"), Open::Create { mode: 0o644 }).unwrap();
    // Many file systems cannot: the call is what counts.
    drop(disk.reflink(&file, &copy));
    assert!(disk.try_lock(&copy, Lock::Exclusive).unwrap());
    disk.unlock(&copy).unwrap();
    assert_eq!(disk.stat_file(&file).unwrap().size, 5);
    disk.open(at, os("file"), Open::Read).unwrap();
    disk.create_dir(at, os("dir"), 0o755).unwrap();
    disk.open_dir(at, &rel("dir")).unwrap();
    disk.remove_dir(at, os("dir")).unwrap();
    disk.symlink(os("file"), at, os("link")).unwrap();
    assert_eq!(disk.read_link(at, os("link")).unwrap(), "file");
    disk.remove_file(at, os("link")).unwrap();
    disk.hard_link(at, os("file"), at, os("second")).unwrap();
    disk.make_node(at, os("fifo"), &Meta { kind: Kind::Fifo, mode: 0o600, ..owner }).unwrap();
    disk.rename(at, os("second"), at, os("fifo"), Rename::Exchange).unwrap();
    disk.set_mode(at, os("file"), 0o600).unwrap();
    disk.set_owner(at, os("file"), owner.uid, owner.gid).unwrap();
    disk.set_times(at, os("file"), Time::default(), Time::default()).unwrap();
    disk.set_xattr(at, os("file"), os("user.key"), b"value").unwrap();
    assert!(disk.xattrs(at, os("file")).unwrap().contains(&("user.key".into(), b"value".to_vec())));
    disk.remove_xattr(at, os("file"), os("user.key")).unwrap();
    assert_eq!(disk.stat(at, os("file")).unwrap().mode, 0o600);
    assert_eq!(disk.list(at).unwrap().len(), 4);
    disk.sync_dir(at).unwrap();
    disk.sync_all(at).unwrap();
    assert!(disk.space(at).unwrap() > 0);
    assert!(!disk.boot_id().is_empty());
}

#[test]
fn every_verb_is_told_once() {
    let scratch = Scratch::new();
    let disk = RecordingDisk::new(Arc::new(RealDisk));
    let root = disk.open_root(&scratch.path("")).unwrap();
    every_verb(&disk, &root);
    let calls = disk.take();
    let verbs: BTreeSet<Verb> = calls.iter().map(|call| call.verb).collect();
    // All 36, and twice only the one that made both a new file and a file to lock.
    assert_eq!((verbs.len(), calls.len()), (36, 37));
    assert_eq!(verbs.iter().filter(|verb| verb.is_mutating()).count(), 16);
    assert_eq!(verbs.iter().filter(|verb| verb.is_sync()).count(), 4);
    assert!(verbs.iter().all(|verb| !(verb.is_mutating() && verb.is_sync())));
    assert!(disk.calls().is_empty());
}

#[test]
fn calls_are_told_in_order_with_names_and_sizes() {
    let scratch = Scratch::new();
    let disk = RecordingDisk::new(Arc::new(RealDisk));
    let at = &scratch.root;
    let file = disk.open(at, os("a"), Open::CreateNew { mode: 0o600 }).unwrap();
    disk.write_at(&file, b"12345", 0).unwrap();
    disk.sync_data(&file).unwrap();
    disk.rename(at, os("a"), at, os("b"), Rename::Replace).unwrap();
    disk.sync_dir(at).unwrap();
    assert!(disk.stat(at, os("a")).is_err(), "a call that fails is told as well");
    let told: Vec<String> = disk.calls().iter().map(Call::to_string).collect();
    assert_eq!(told, ["Create \"a\"", "WriteAt (5 bytes)", "SyncData", "Rename \"a\" \"b\"", "SyncDir", "Stat \"a\""]);
    assert_eq!((disk.syncs(), disk.mutations(), disk.count(Verb::Rename)), (2, 3, 1));
}

#[test]
fn no_call_is_lost_between_threads() {
    let scratch = Scratch::new();
    let disk = RecordingDisk::new(Arc::new(RealDisk));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    disk.stat_dir(&scratch.root).unwrap();
                }
            });
        }
    });
    assert_eq!(disk.count(Verb::StatDir), 400);
}
