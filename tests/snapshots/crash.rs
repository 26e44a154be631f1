//! The power goes, or the process, at every call of taking, restoring and removing a snapshot.

use std::sync::Arc;
use std::time::Duration;

use treewal::{Options, Sharing, SnapshotOptions, Tree};
use treewal_vfs::sim::{Outcome, Profile, SimDisk};
use treewal_vfs::{Disk, Kind, Meta, RelPath};

use crate::seen::{Seen, differences, leftovers, look};

fn open(disk: &SimDisk) -> treewal::Result<Tree> {
    let options = Options::new().segment_bytes(64 << 10).inline_max(4 << 10).lock_wait(Duration::ZERO);
    options.open_on(Arc::new(disk.clone()), "/")
}

fn settled(disk: &SimDisk) -> SimDisk {
    disk.sync_all(&disk.open_root("/".as_ref()).unwrap()).unwrap();
    disk.remount()
}

/// A tree that treewal has been used on.
fn old() -> SimDisk {
    let disk = SimDisk::new();
    let tree = open(&disk).unwrap();
    tree.transaction(|tx| {
        tx.create_dir_all("d/deep")?;
        tx.write("a", "old a")?;
        tx.write("d/x", "old x")?;
        tx.write("d/deep/large", vec![b'L'; 9000])?;
        tx.hard_link("a", "d/a too")?;
        tx.symlink("a", "link")
    })
    .unwrap();
    drop(tree);
    settled(&disk)
}

/// The same with a snapshot, and changed since.
fn changed(sharing: Sharing) -> SimDisk {
    let disk = old();
    let tree = open(&disk).unwrap();
    tree.snapshot_with(SnapshotOptions::new().sharing(sharing), "one").unwrap();
    change(&tree);
    drop(tree);
    settled(&disk)
}

fn change(tree: &Tree) {
    tree.transaction(|tx| {
        tx.write("a", "new a")?;
        tx.remove_dir_all("d/deep")?;
        tx.write("d/deep", "a file now")?;
        tx.write("d/x", vec![b'X'; 6000])?;
        tx.create_dir("new")?;
        tx.write("new/n", "n")?;
        tx.remove_file("link")
    })
    .unwrap();
}

/// The power goes before each call of `work`; `judge` gets the opened tree and whether `work` had said that it is done.
fn every_crash(
    base: &SimDisk,
    work: fn(&Tree) -> treewal::Result<()>,
    judge: impl Fn(&Tree, &SimDisk, bool, &str),
) -> u64 {
    let depth: usize = std::env::var("TREEWAL_CRASH_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1);
    let mut states = 0;
    for cut in 1.. {
        let disk = base.remount();
        let tree = open(&disk).unwrap();
        disk.cut_at(Some(cut));
        let done = work(&tree).is_ok();
        let off = disk.is_off();
        drop(tree);
        // Where all of the work was done, the power goes right after.
        for profile in [Profile::Strict, Profile::Ordered] {
            let all = disk.outcomes(profile);
            let mut outcomes =
                vec![all.nothing(), all.everything(), all.names_without_contents(), all.contents_without_names()];
            outcomes.extend(all.sample(cut, 4 * depth).collect::<Vec<Outcome>>());
            for outcome in outcomes {
                states += 1;
                let at = format!("cut before call {cut}, {profile:?}: {}", disk.describe(&outcome));
                let crashed = disk.after(&outcome).remount();
                let tree = open(&crashed).unwrap();
                judge(&tree, &crashed, done, &at);
                drop(tree);
                assert_eq!(leftovers(&crashed, "/"), Vec::<String>::new(), "{at}");
            }
        }
        if !off {
            assert!(cut > 5, "{cut} calls are too few to be true");
            break;
        }
    }
    states
}

fn names(tree: &Tree) -> Vec<String> {
    tree.snapshots().unwrap().iter().map(|snapshot| snapshot.name().to_owned()).collect()
}

/// Whole snapshots, and nothing beside them.
fn is_whole(tree: &Tree, disk: &SimDisk, at: &str) {
    for snapshot in tree.snapshots().unwrap() {
        assert_eq!(snapshot.verify().unwrap(), Vec::<std::path::PathBuf>::new(), "{at}");
    }
    let seen = disk.dump();
    for snapshot in tree.snapshots().unwrap() {
        let view = RelPath::new(snapshot.files().to_str().unwrap()).unwrap();
        // Where people see its files, they see all of them, with the contents of then.
        let kept = snapshot.kept().unwrap();
        let is_there = seen.contains_key(&view);
        assert_eq!(is_there, snapshot.summary().unwrap().hard_linked == 0, "{at}: {}", snapshot.name());
        for entry in kept.iter().filter(|_| is_there) {
            let path = view.join_path(&RelPath::new(entry.path.to_str().unwrap()).unwrap());
            assert!(seen.contains_key(&path), "{at}: {path} is not shown");
            let shown = &seen[&path];
            let wanted = if shown.kind == Kind::File { snapshot.read(&entry.path).unwrap() } else { Vec::new() };
            assert!(shown.contents == wanted, "{at}: {path} is shown as {:?}", shown.contents);
        }
    }
    let parent = RelPath::new(".treewal/snapshots").unwrap();
    let beneath = |path: &RelPath| path.starts_with(&parent) && path.depth() == 3;
    let there = disk.dump().into_keys().filter(beneath).count();
    assert_eq!(there, names(tree).len(), "{at}");
}

fn same(disk: &SimDisk, wanted: &Seen, at: &str) {
    let differ = differences(&look(disk, "/"), wanted);
    assert!(differ.is_empty(), "{at}:\n{differ}");
}

#[test]
fn one_that_is_being_taken_is_there_and_whole_or_not_there() {
    let base = old();
    let before = look(&base, "/");
    let states = every_crash(
        &base,
        |tree| tree.snapshot("one").map(drop),
        |tree, disk, done, at| {
            is_whole(tree, disk, at);
            same(disk, &before, at);
            assert!(!done || names(tree) == ["one"], "{at}");
            if let Ok(snapshot) = tree.find_snapshot("one") {
                change(tree);
                tree.restore(&snapshot).unwrap();
                same(disk, &before, at);
            }
        },
    );
    assert!(states > 200, "{states}");
}

#[test]
fn a_restore_happens_wholly_or_not_at_all() {
    for sharing in [Sharing::Auto, Sharing::HardLink] {
        let base = changed(sharing);
        let (then, now) = (look(&old(), "/"), look(&base, "/"));
        let work = |tree: &Tree| tree.restore(&tree.find_snapshot("one")?).map(drop);
        let states = every_crash(&base, work, |tree, disk, done, at| {
            is_whole(tree, disk, at);
            let restored = differences(&look(disk, "/"), &then);
            if done || !restored.is_empty() {
                assert!(!done || restored.is_empty(), "{at}:\n{restored}");
                same(disk, if done { &then } else { &now }, at);
            }
            tree.restore(&tree.find_snapshot("one").unwrap()).unwrap();
            same(disk, &then, at);
        });
        assert!(states > 200, "{states}");
    }
}

#[test]
fn a_restore_that_makes_a_fifo_happens_wholly_or_not_at_all() {
    let disk = old();
    let root = disk.open_root("/".as_ref()).unwrap();
    let meta = Meta { kind: Kind::Fifo, mode: 0o640, ..disk.stat_dir(&root).unwrap() };
    disk.make_node(&root, "pipe".as_ref(), &meta).unwrap();
    let disk = settled(&disk);
    let then = look(&disk, "/");
    let tree = open(&disk).unwrap();
    tree.snapshot("one").unwrap();
    tree.transaction(|tx| {
        tx.remove_file("pipe")?;
        tx.write("a", "new a")?;
        tx.write("pipe", "a file now")
    })
    .unwrap();
    drop(tree);
    let base = settled(&disk);
    let now = look(&base, "/");
    let work = |tree: &Tree| tree.restore(&tree.find_snapshot("one")?).map(drop);
    let states = every_crash(&base, work, |tree, disk, done, at| {
        let restored = differences(&look(disk, "/"), &then);
        assert!(!done || restored.is_empty(), "{at}:\n{restored}");
        if !restored.is_empty() {
            same(disk, &now, at);
        }
        tree.restore(&tree.find_snapshot("one").unwrap()).unwrap();
        same(disk, &then, at);
    });
    assert!(states > 100, "{states}");
}

#[test]
fn one_that_is_being_removed_is_whole_or_gone() {
    let base = changed(Sharing::Auto);
    let now = look(&base, "/");
    let states = every_crash(
        &base,
        |tree| tree.remove_snapshot("one"),
        |tree, disk, done, at| {
            is_whole(tree, disk, at);
            same(disk, &now, at);
            assert!(!done || names(tree).is_empty(), "{at}");
        },
    );
    assert!(states > 100, "{states}");
}
