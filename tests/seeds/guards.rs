//! Guards on a simulated disk: what their snapshots cost, what they survive, and how they end.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use treewal::{Error, GuardOptions, Sharing, Tree};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Fault, FaultDisk, RecordingDisk, Verb, errno};

use crate::sim::{every_crash, holds, leftovers, mkdir, open, options, prepared, put};
use crate::walk::work_dir;

fn base() -> SimDisk {
    prepared(|disk| {
        mkdir(disk, "d");
        put(disk, "d/f", "before");
        put(disk, "d/g", "before");
    })
}

/// A guard whose paths are changed, and which then ends as is asked. Whether it was said to have ended.
fn guarded(disk: &SimDisk, commits: bool) -> bool {
    let Ok(tree) = open(disk) else { return false };
    let Ok(guard) = tree.guard(["d"]) else { return false };
    put(disk, "d/f", "after");
    put(disk, "d/new", "after");
    let ended = if commits { guard.commit() } else { guard.rollback() };
    ended.is_ok()
}

/// Whether the directory is as the change left it; it must be that, or as before.
fn is_new(disk: &SimDisk) -> bool {
    let found = ["d/f", "d/g", "d/new"].map(|path| holds(disk, path));
    let text = |text: &str| Some(text.to_owned());
    let (old, new) = ([text("before"), text("before"), None], [text("after"), text("before"), text("after")]);
    assert!(found == old || found == new, "{found:?}");
    found == new
}

#[test]
fn ro1_the_snapshot_is_durable_before_anything_may_change() {
    let judged = every_crash(
        &base(),
        |disk| guarded(disk, true),
        |disk, said| {
            let tree = open(disk).unwrap();
            assert!(is_new(disk) || !said, "{}", tree.recovery());
            assert!(!tree.recovery().found_damage(), "{}", tree.recovery());
        },
    );
    println!("{judged} crashes of a guard that commits");
}

#[test]
fn ro4_a_snapshot_that_fails_half_way_leaves_nothing() {
    let base = base();
    for at in 1.. {
        let disk = base.remount();
        let faulty = Arc::new(FaultDisk::new(Arc::new(disk.clone()), Fault::None));
        let tree = options().open_on(faulty.clone(), "/").unwrap();
        faulty.arm(Fault::Error { at, errno: errno::ENOSPC });
        let guard = tree.guard(["d"]);
        faulty.arm(Fault::None);
        let done = guard.is_ok();
        drop(guard);
        drop(tree);
        drop(open(&disk).unwrap());
        assert_eq!(leftovers(&disk), Vec::<String>::new(), "call {at} failed");
        assert!(!is_new(&disk));
        if done {
            assert!(at > 5, "it was interrupted {at} times");
            break;
        }
    }
}

#[test]
fn w_o12_what_a_killed_guard_leaves_is_swept() {
    every_crash(
        &base(),
        |disk| guarded(disk, false),
        |disk, _| {
            drop(open(disk).unwrap());
            assert!(!is_new(disk));
            assert_eq!(leftovers(disk), Vec::<String>::new());
            assert!(open(disk).unwrap().recovery().is_clean());
        },
    );
}

#[test]
fn ro5_what_kept_a_file_is_told() {
    let kept = |disk: Arc<dyn Disk>, sharing| {
        let tree = options().open_on(disk, "/").unwrap();
        let guard = tree.guard_with(GuardOptions::new().sharing(sharing), ["d"]).unwrap();
        let report = *guard.snapshot();
        (report.reflinked, report.hard_linked, report.copied)
    };
    let disk = base();
    disk.set_reflink(true);
    assert_eq!(kept(Arc::new(disk.clone()), Sharing::Auto), (2, 0, 0));
    disk.set_reflink(false);
    assert_eq!(kept(Arc::new(disk.clone()), Sharing::Auto), (0, 0, 2), "others write in place: no hard links");
    assert_eq!(kept(Arc::new(disk.clone()), Sharing::HardLink), (0, 2, 0));
    for errno in [errno::EXDEV, errno::EPERM, errno::EACCES] {
        let refuses = FaultDisk::new(Arc::new(disk.clone()), Fault::ErrorFrom { at: 1, errno }).only(Verb::HardLink);
        assert_eq!(kept(Arc::new(refuses), Sharing::HardLink), (0, 0, 2), "{errno}");
    }
}

/// Changes in place what is kept by hard link, and gives what the rollback says.
fn changed_in_place(name: &str, change: fn(&Path)) -> (tempfile::TempDir, Error) {
    let dir = work_dir();
    fs::write(dir.path().join(name), "before").unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let guard = tree.guard_with(GuardOptions::new().sharing(Sharing::HardLink), [name]).unwrap();
    change(&dir.path().join(name));
    let error = guard.rollback().unwrap_err();
    (dir, error)
}

fn written_in_place(name: &str) -> (tempfile::TempDir, Error) {
    changed_in_place(name, |path| fs::write(path, "written in place").unwrap())
}

fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(chain).unwrap_or_default();
    format!("{error}: {cause}")
}

#[test]
fn ro6_who_writes_into_the_backup_is_found_out() {
    let (dir, error) = written_in_place("precious");
    assert!(chain(&error).contains("precious"), "{}", chain(&error));
    assert_eq!(fs::read(dir.path().join("precious")).unwrap(), b"written in place");
}

#[test]
fn w_o6_a_backup_that_was_written_to_is_never_said_to_be_restored() {
    let (dir, error) = written_in_place("precious");
    assert_eq!(error.outcome(), treewal::Outcome::Undecided);
    let tree = Tree::open(dir.path()).unwrap();
    assert!(tree.recovery().found_damage() || tree.recovery().pending().count() > 0, "{}", tree.recovery());
    // Where others may write in place, and nobody asks for a hard link, there is none.
    let kept = work_dir();
    fs::write(kept.path().join("f"), "before").unwrap();
    let tree = Tree::open(kept.path()).unwrap();
    let guard = tree.guard(["f"]).unwrap();
    fs::write(kept.path().join("f"), "written in place").unwrap();
    guard.rollback().unwrap();
    assert_eq!(fs::read(kept.path().join("f")).unwrap(), b"before");
}

#[test]
fn w_o7_nor_is_one_whose_mode_was_changed() {
    let chmod = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    let (dir, error) = changed_in_place("precious", chmod);
    assert!(chain(&error).contains("precious"), "{}", chain(&error));
    assert_eq!(fs::read(dir.path().join("precious")).unwrap(), b"before");
    // Where it is not kept by hard link, the mode is set back.
    let kept = work_dir();
    let file = kept.path().join("f");
    fs::write(&file, "before").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let guard = Tree::open(kept.path()).unwrap().guard(["f"]).unwrap();
    chmod(&file);
    guard.rollback().unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);
}

#[test]
fn ro8_copies_stream_and_files_have_the_mode_that_they_should() {
    const LARGE: usize = 8 << 20;
    let dir = work_dir();
    let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
    fs::create_dir(&tree).unwrap();
    fs::write(&outside, vec![b'x'; LARGE]).unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(tree.join("replaced"), "old").unwrap();
    fs::set_permissions(tree.join("replaced"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(tree.join("umask"), "as any program makes it").unwrap();
    let disk = Arc::new(RecordingDisk::new(Arc::new(treewal_vfs::RealDisk)));
    let open = treewal::Options::new().open_on(disk.clone(), &tree).unwrap();
    open.transaction(|tx| {
        std::io::copy(&mut fs::File::open(&outside).unwrap(), &mut tx.create("made").unwrap()).unwrap();
        tx.publish(&outside, "replaced")?;
        tx.write("small", "new")
    })
    .unwrap();
    let guard = open.guard_with(GuardOptions::new().sharing(Sharing::Copy), ["made"]).unwrap();
    assert_eq!(guard.snapshot().bytes_copied, LARGE as u64);
    guard.rollback().unwrap();
    let mode = |path: &str| fs::metadata(tree.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("replaced"), mode("made"), mode("small")), (0o640, mode("umask"), mode("umask")));
    // No piece of it was ever as large as the file.
    let largest = disk
        .calls()
        .iter()
        .filter(|call| matches!(call.verb, Verb::ReadAt | Verb::WriteAt))
        .map(|call| call.bytes)
        .max();
    assert!(largest.unwrap() <= 1 << 20, "{largest:?}");
}

#[test]
fn ro9_what_comes_after_the_commit_undoes_nothing() {
    let disk = base();
    for verb in [Verb::RemoveFile, Verb::RemoveDir] {
        let fault = Fault::ErrorFrom { at: 1, errno: errno::EIO };
        let stubborn = Arc::new(FaultDisk::new(Arc::new(disk.clone()), Fault::None).only(verb));
        let tree = options().open_on(stubborn.clone(), "/").unwrap();
        let guard = tree.guard(["d"]).unwrap();
        put(&disk, "d/f", "after");
        put(&disk, "d/new", "after");
        stubborn.arm(fault);
        guard.commit().unwrap();
        drop(tree);
        assert!(is_new(&disk.remount()));
    }
    let disk = disk.kill();
    drop(open(&disk).unwrap());
    assert!(is_new(&disk));
    assert_eq!(leftovers(&disk), Vec::<String>::new());
}

#[test]
fn ro10_each_state_has_its_end() {
    for (commits, ends) in [(true, ["undo", "kept"]), (false, ["undo", "settled"])] {
        let seen = std::cell::RefCell::new(BTreeSet::new());
        every_crash(
            &base(),
            |disk| guarded(disk, commits),
            |disk, said| {
                let tree = open(disk).unwrap();
                let label = tree.recovery().transactions.iter().map(|told| told.label).next();
                match label {
                    Some("undo") => assert!(!(is_new(disk) || commits && said)),
                    Some("kept") => assert!(is_new(disk)),
                    Some("settled") => assert!(!is_new(disk)),
                    Some(other) => panic!("{other}: {}", tree.recovery()),
                    None => assert_eq!(is_new(disk), commits && said, "nothing was owed"),
                }
                seen.borrow_mut().extend(label);
            },
        );
        let seen = seen.into_inner();
        assert!(
            ends.iter().any(|label| seen.contains(label)) && seen.iter().all(|label| ends.contains(label)),
            "{seen:?}"
        );
        assert!(seen.contains("undo"));
    }
}

#[test]
fn ro23_a_commit_costs_what_it_touches_whatever_else_is_in_the_tree() {
    let calls = |others: usize| {
        let disk = prepared(|disk| {
            mkdir(disk, "d");
            mkdir(disk, "others");
            put(disk, "d/f", "before");
            (0..others).for_each(|n| put(disk, &format!("others/{n}"), "other"));
        });
        let recording = Arc::new(RecordingDisk::new(Arc::new(disk)));
        let tree = options().open_on(recording.clone(), "/").unwrap();
        recording.take();
        tree.transaction(|tx| tx.write("d/f", "after")).unwrap();
        let commit = recording.take().len();
        let guard = tree.guard(["d"]).unwrap();
        guard.rollback().unwrap();
        (commit, recording.take().len())
    };
    let few = calls(10);
    assert_eq!(calls(2000), few);
    println!("{} calls for a commit, {} for a guard, with 10 files and with 2000 beside", few.0, few.1);
}

#[test]
fn w_o2_a_path_outside_is_refused_also_where_nothing_stands() {
    let dir = work_dir();
    let (inside, outside) = (dir.path().join("tree"), dir.path().join("outside"));
    fs::create_dir(&inside).unwrap();
    let tree = Tree::open(&inside).unwrap();
    let absolute = outside.to_str().unwrap();
    for path in ["../outside", "d/../../outside", absolute] {
        let refused = tree.guard([path]).map(drop);
        assert!(matches!(refused, Err(Error::InvalidPath { .. })), "{path}: {refused:?}");
        let refused = tree.transaction(|tx| tx.write(path, "new"));
        assert!(matches!(refused, Err(Error::InvalidPath { .. })), "{path}: {refused:?}");
    }
    assert!(!outside.exists());
    assert!(!OsStr::new(absolute).is_empty());
}
