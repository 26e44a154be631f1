//! What a snapshot keeps and a restore brings back, on the file system of the machine.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::bed::{Bed, assert_same, rel};
use crate::hooked::Hooked;
use treewal_snapshot::{ChangeKind, Check, Error, Manifest, Mode, Sharing, TakeOptions, compare, take};
use treewal_vfs::{Fault, FaultDisk, Kind, Open, RealDisk, RelPath, Verb, errno};

/// One of everything.
fn furnish(bed: &Bed<'_>) {
    bed.dir("w");
    bed.write("w/plain", b"plain");
    bed.write("w/secret", b"secret");
    bed.mode("w/secret", 0o600);
    bed.dir("w/empty");
    bed.dir("w/sub");
    bed.dir("w/sub/deep");
    bed.write("w/sub/deep/file", b"deep");
    bed.symlink("plain", "w/link");
    bed.symlink("../nowhere", "w/dangling");
    bed.fifo("w/fifo");
    bed.write("w/pair-a", b"pair");
    bed.link("w/pair-a", "w/sub/pair-b");
    bed.write("w/tagged", b"tagged");
    bed.xattr("w/tagged", "user.tag", "one");
    bed.xattr("w/sub", "user.dir", "two");
    bed.write_at("w/sparse", b"end", 4 << 20);
    bed.write("w/new\nline", b"newline");
    bed.mode("w/sub/deep", 0o500);
    for (path, nanos) in [("w/secret", 123_456_789), ("w/dangling", 5), ("w/empty", 999_999_999), ("w/sub/deep", 7)] {
        bed.times(path, 1_000_000_000, nanos);
    }
    let odd = RelPath::from_bytes(b"w/odd-\xff\xfe").unwrap();
    let (dir, name) = bed.at(&odd);
    bed.disk.open(&dir, name, Open::CreateNew { mode: 0o644 }).unwrap();
}

fn on_real(test: impl Fn(&Bed<'_>)) {
    let home = tempfile::tempdir().unwrap();
    let disk = RealDisk;
    let bed = Bed::new(&disk, home.path());
    furnish(&bed);
    test(&bed);
}

const ALL: [Sharing; 3] = [Sharing::Auto, Sharing::Copy, Sharing::HardLink];

#[test]
fn what_was_not_touched_keeps_its_inode_and_its_times() {
    for sharing in ALL {
        on_real(|bed| {
            bed.take(&["w"], sharing).unwrap();
            let (file, dir) = (bed.meta("w/plain"), bed.meta("w/sub"));
            assert_eq!(compare(bed.disk, &bed.tree, &bed.manifest()).unwrap(), []);
            let restored = bed.restore(Check::Attributes).unwrap();
            assert_eq!((restored.restored, restored.removed, restored.metadata), (0, 0, 0));
            assert_eq!(restored.unchanged, bed.manifest().entries().len() as u64);
            assert_eq!((bed.meta("w/plain").ino, bed.meta("w/plain").changed), (file.ino, file.changed));
            assert_eq!((bed.meta("w/sub").ino, bed.meta("w/sub").changed), (dir.ino, dir.changed));
        });
    }
}

/// Everything that somebody can do who replaces files by renaming.
fn mutate(bed: &Bed<'_>) {
    bed.replace("w/plain", b"other");
    bed.remove("w/secret");
    bed.remove("w/empty");
    bed.dir("w/new");
    bed.dir("w/new/images");
    bed.write("w/new/images/one", b"one");
    bed.remove("w/link");
    bed.write("w/link", b"no link any more");
    bed.remove("w/dangling");
    bed.symlink("elsewhere", "w/dangling");
    bed.remove("w/fifo");
    bed.dir("w/fifo");
    bed.write("w/fifo/inside", b"inside");
    bed.remove("w/tagged");
    bed.dir("w/tagged");
    bed.remove("w/sub");
    bed.write("w/sub", b"a file where a directory was");
    bed.replace("w/sparse", b"dense");
    bed.rename("w/new\nline", "w/renamed");
    bed.remove("w/pair-a");
    bed.write("w/pair-a", b"single");
}

#[test]
fn everything_comes_back_whatever_was_done_to_it() {
    for sharing in ALL {
        for check in [Check::Attributes, Check::Contents] {
            on_real(|bed| {
                let before = bed.dump();
                let allocated = bed.meta("w/sparse").allocated;
                bed.take(&["w"], sharing).unwrap();
                mutate(bed);
                bed.restore(check).unwrap();
                assert_same(&before, &bed.dump(), &format!("{sharing:?} {check:?}"));
                assert_eq!(bed.meta("w/sparse").allocated, allocated, "holes");
                assert_eq!(bed.meta("w/pair-a").links, bed.meta("w/sub/pair-b").links);
                let again = bed.restore(check).unwrap();
                assert_eq!((again.restored, again.removed, again.metadata), (0, 0, 0), "{sharing:?} {check:?}");
                assert_same(&before, &bed.dump(), "twice");
                let changes = compare(bed.disk, &bed.tree, &bed.manifest()).unwrap();
                // A hard link that was put back cannot prove that nobody wrote to it and set its time back.
                let wanted = |kind| sharing == Sharing::HardLink && kind == ChangeKind::Metadata;
                assert!(changes.iter().all(|change| wanted(change.kind)), "{changes:?}");
            });
        }
    }
}

#[test]
fn what_was_written_in_place_comes_back_from_a_copy() {
    for sharing in [Sharing::Auto, Sharing::Copy] {
        on_real(|bed| {
            let before = bed.dump();
            bed.take(&["w"], sharing).unwrap();
            bed.write("w/plain", b"PLAIN");
            bed.write("w/pair-a", b"PAIR");
            bed.write_at("w/sparse", b"more", 9 << 20);
            // Written, and the time set back: only the time of last change tells.
            let then = bed.meta("w/secret").modified;
            bed.write("w/secret", b"SECRET");
            bed.times("w/secret", then.secs, then.nanos);
            bed.restore(Check::Attributes).unwrap();
            assert_same(&before, &bed.dump(), &format!("{sharing:?}"));
        });
    }
}

#[test]
fn attributes_alone_are_set_back_in_place() {
    for sharing in [Sharing::Auto, Sharing::Copy] {
        on_real(|bed| {
            let before = bed.dump();
            bed.take(&["w"], sharing).unwrap();
            let inode = bed.meta("w/plain").ino;
            bed.mode("w/plain", 0o777);
            bed.xattr("w/plain", "user.new", "x");
            bed.xattr("w/tagged", "user.tag", "changed");
            bed.mode("w/sub/deep", 0o777);
            bed.times("w/empty", 5, 5);
            bed.times("w/dangling", 6, 6);
            let restored = bed.restore(Check::Attributes).unwrap();
            assert_same(&before, &bed.dump(), &format!("{sharing:?}"));
            assert_eq!((restored.restored, restored.removed, restored.metadata), (0, 0, 5));
            assert_eq!(bed.meta("w/plain").ino, inode);
        });
    }
}

#[test]
fn the_ladder_says_which_rung_it_stood_on() {
    on_real(|bed| {
        let report = bed.take(&["w"], Sharing::HardLink).unwrap();
        assert_eq!((report.files, report.hard_linked, report.bytes_copied), (8, 8, 0), "{report:?}");
        let manifest = bed.manifest();
        let entry = manifest.entry(&rel("w/plain")).unwrap();
        assert_eq!((entry.mode(), entry.backup.as_ref().unwrap().ino), (Mode::HardLink, bed.meta("w/plain").ino));
        assert_eq!(manifest.entry(&rel("w/link")).unwrap().mode(), Mode::None);
    });
    on_real(|bed| {
        let report = bed.take(&["w"], Sharing::Auto).unwrap();
        assert_eq!((report.files, report.hard_linked, report.reflinked + report.copied), (8, 0, 8));
        let report = take_beside(bed, Sharing::Copy);
        assert_eq!((report.files, report.copied), (8, 8));
        assert!(report.bytes_copied < 64 << 10, "holes are not copied: {report:?}");
        assert_eq!(report.entries, bed.manifest().entries().len() as u64);
    });
}

fn take_beside(bed: &Bed<'_>, sharing: Sharing) -> treewal_snapshot::Report {
    let private = &bed.private;
    bed.disk.create_dir(private, "second".as_ref(), 0o700).unwrap();
    let into = bed.disk.open_dir(private, &rel("second")).unwrap();
    take(bed.disk, &bed.tree, &[rel("w")], &into, &Bed::options(sharing)).unwrap()
}

#[test]
fn a_link_that_is_not_permitted_becomes_a_copy_and_any_other_failure_is_one() {
    for code in [errno::EXDEV, errno::EPERM, errno::EACCES, errno::EMLINK] {
        on_real(|bed| {
            let disk = FaultDisk::new(Arc::new(RealDisk), Fault::ErrorFrom { at: 1, errno: code }).only(Verb::HardLink);
            let bed = bed.through(&disk);
            let before = bed.dump();
            let report = bed.take(&["w"], Sharing::HardLink).unwrap();
            assert_eq!((report.copied, report.hard_linked), (8, 0));
            disk.arm(Fault::None);
            mutate(&bed);
            bed.restore(Check::Attributes).unwrap();
            assert_same(&before, &bed.dump(), "after copies");
        });
    }
    on_real(|bed| {
        let disk = FaultDisk::new(Arc::new(RealDisk), Fault::Error { at: 3, errno: errno::EIO }).only(Verb::HardLink);
        let bed = bed.through(&disk);
        let error = bed.take(&["w"], Sharing::HardLink).unwrap_err();
        assert!(matches!(error, Error::Io { verb: "link", ref path, .. } if path.starts_with(&rel("w"))), "{error}");
        assert_eq!(bed.disk.list(&bed.private).unwrap(), [], "nothing is left");
    });
}

#[test]
fn a_hard_linked_backup_that_was_written_in_place_is_named_and_left() {
    on_real(|bed| {
        let before = bed.dump();
        bed.take(&["w"], Sharing::HardLink).unwrap();
        bed.write("w/plain", b"PLAIN");
        bed.write("w/pair-a", b"longer than it was");
        bed.mode("w/tagged", 0o600);
        bed.remove("w/secret");
        bed.dir("w/new");
        for _ in 0..2 {
            let error = bed.restore(Check::Attributes).unwrap_err();
            let Error::InPlace { paths } = error else { panic!("{error}") };
            assert_eq!(paths, ["w/pair-a", "w/plain", "w/sub/pair-b", "w/tagged"].map(rel));
            // Everything else is restored, and of the one that changed only its mode, the mode as well.
            let mut after = bed.dump();
            for path in ["w/plain", "w/pair-a", "w/sub/pair-b"].map(rel) {
                let node = after.get_mut(&path).unwrap();
                assert_ne!(node.contents, before[&path].contents);
                *node = before[&path].clone();
            }
            assert_same(&before, &after, "the others");
        }
    });
}

#[test]
fn absent_paths_go_away_again_with_the_directories_made_for_them() {
    on_real(|bed| {
        bed.take(&["a/b/c", "x", "w/sub/deep/none", "gone"], Sharing::Auto).unwrap();
        let before = bed.dump();
        for path in ["a", "a/b", "a/b/c", "x"] {
            bed.dir(path);
        }
        bed.write("a/b/c/file", b"new");
        bed.symlink("/etc", "gone");
        bed.restore(Check::Attributes).unwrap();
        assert_same(&before, &bed.dump(), "all new");
        bed.dir("a");
        bed.write("a/theirs", b"not guarded");
        bed.restore(Check::Attributes).unwrap();
        assert!(bed.has("a/theirs"), "what is not guarded stays, and so does what it is in");
    });
}

#[test]
fn directories_above_come_back_and_are_otherwise_left_to_others() {
    on_real(|bed| {
        let before = bed.dump();
        bed.take(&["w/sub/deep/file", "w/sub/pair-b"], Sharing::Auto).unwrap();
        bed.write("w/sub/deep/file", b"written in place");
        bed.write("w/theirs", b"not guarded");
        bed.restore(Check::Attributes).unwrap();
        let mut after = bed.dump();
        assert!(after.remove(&rel("w/theirs")).is_some());
        // Somebody else changed `w` itself; its time is theirs.
        assert_ne!(after[&rel("w")].modified, before[&rel("w")].modified);
        after.insert(rel("w"), before[&rel("w")].clone());
        assert_same(&before, &after, "in place");

        bed.remove("w/sub");
        bed.symlink("/etc", "w/sub");
        bed.mode("w", 0o711);
        // The backup was used up by the first restore: taken anew, as a caller does.
        let Error::Lost { paths, in_place } = bed.restore(Check::Attributes).unwrap_err() else { panic!() };
        assert_eq!((paths, in_place), (vec![rel("w/sub/deep/file")], vec![]));
        let sub = bed.meta("w/sub");
        assert_eq!((sub.kind, sub.mode), (Kind::Dir, 0o755));
        assert_eq!(bed.meta("w/sub/deep").mode, 0o500);
        assert_eq!(bed.meta("w").mode, 0o711, "not guarded");
    });
}

#[test]
fn paths_may_repeat_and_contain_one_another_and_be_the_whole_tree() {
    on_real(|bed| {
        let before = bed.dump();
        bed.take(&["w/sub/deep", "w/sub", "w", "w", ""], Sharing::Auto).unwrap();
        assert_eq!(bed.manifest().guarded().len(), 1);
        bed.remove("w");
        bed.write("new", b"new");
        bed.write(".private/kept", b"excluded");
        bed.restore(Check::Attributes).unwrap();
        assert_same(&before, &bed.dump(), "the whole tree");
        assert!(bed.has(".private/kept"));
    });
    on_real(|bed| {
        bed.take(&["w/sub/deep", "w/sub", "w/plain", "w/sub"], Sharing::Auto).unwrap();
        let manifest = bed.manifest();
        let guarded: Vec<_> = manifest.guarded().iter().map(|guarded| guarded.path.clone()).collect();
        assert_eq!(guarded, [rel("w/plain"), rel("w/sub")]);
    });
}

#[test]
fn comparison_names_every_kind_of_change() {
    on_real(|bed| {
        bed.take(&["w"], Sharing::Auto).unwrap();
        bed.write("w/plain", b"PLAIN");
        bed.mode("w/secret", 0o644);
        bed.remove("w/empty");
        bed.write("w/added", b"");
        bed.remove("w/link");
        bed.dir("w/link");
        bed.remove("w/dangling");
        bed.symlink("other", "w/dangling");
        let changes = compare(bed.disk, &bed.tree, &bed.manifest()).unwrap();
        let found: Vec<_> = changes.iter().map(|change| (change.path.to_path(), change.kind)).collect();
        let wanted = [
            ("w", ChangeKind::Metadata),
            ("w/added", ChangeKind::Added),
            ("w/dangling", ChangeKind::Modified),
            ("w/empty", ChangeKind::Removed),
            ("w/link", ChangeKind::TypeChanged),
            ("w/plain", ChangeKind::Modified),
            ("w/secret", ChangeKind::Metadata),
        ];
        assert_eq!(found, wanted.map(|(path, kind)| (path.into(), kind)));
    });
}

#[test]
fn a_planted_symlink_is_never_followed() {
    let outside = tempfile::tempdir().unwrap();
    on_real(|bed| {
        let there = Bed::new(bed.disk, outside.path());
        there.write("precious", b"precious");
        let before = bed.dump();
        bed.take(&["w/sub", "new"], Sharing::Auto).unwrap();
        for path in ["w/sub", "new"] {
            if bed.has(path) {
                bed.remove(path);
            }
            bed.symlink(outside.path().to_str().unwrap(), path);
        }
        let theirs = there.dump();
        bed.restore(Check::Attributes).unwrap();
        let mut after = bed.dump();
        // `w` is not guarded, and others changed names in it; nor is the other name of the pair.
        for path in ["w", "w/sub/pair-b"].map(rel) {
            after.insert(path.clone(), before[&path].clone());
        }
        assert_same(&before, &after, "links gone");
        assert_same(&theirs, &there.dump(), "outside");
        there.remove("precious");
    });
}

#[test]
fn what_cannot_be_guarded_is_refused_by_name_and_leaves_nothing() {
    on_real(|bed| {
        for (path, refused) in [("w/link/x", "w/link"), ("w/plain/x", "w/plain")] {
            let error = bed.take(&[path], Sharing::Auto).unwrap_err();
            assert!(matches!(error, Error::NotADirectory { ref path } if *path == rel(refused)), "{error}");
            assert_eq!(bed.disk.list(&bed.private).unwrap(), []);
        }
        let error = bed.take(&["w", ".private/x"], Sharing::Auto).unwrap_err();
        assert!(matches!(error, Error::Excluded { .. }), "{error}");
        bed.write(".private/something", b"");
        assert!(matches!(bed.take(&["w"], Sharing::Auto), Err(Error::NotEmpty)));
        assert!(matches!(Manifest::load(bed.disk, &bed.private), Err(Error::Incomplete { .. })));
    });
}

#[test]
fn an_excluded_path_is_neither_recorded_nor_touched() {
    on_real(|bed| {
        let options = TakeOptions { exclude: vec![rel(".private"), rel("w/sub/deep")], ..TakeOptions::default() };
        take(bed.disk, &bed.tree, &[rel("w")], &bed.private, &options).unwrap();
        assert!(bed.manifest().entry(&rel("w/sub/deep")).is_none());
        bed.mode("w/sub/deep", 0o700);
        bed.write("w/sub/deep/file", b"theirs");
        bed.write("w/sub/other", b"new");
        bed.restore(Check::Attributes).unwrap();
        assert_eq!(bed.dump()[&rel("w/sub/deep/file")].contents, b"theirs");
        assert!(!bed.has("w/sub/other"));
    });
    on_real(|bed| {
        let options = TakeOptions { exclude: vec![rel("w/plain/private")], ..TakeOptions::default() };
        take(bed.disk, &bed.tree, &[rel("w/plain"), rel("w/secret")], &bed.private, &options).unwrap();
        bed.remove("w/plain");
        bed.dir("w/plain");
        bed.write("w/plain/private", b"theirs");
        bed.remove("w/secret");
        let error = bed.restore(Check::Attributes).unwrap_err();
        assert!(matches!(error, Error::Excluded { ref path } if *path == rel("w/plain")), "{error}");
        assert!(bed.has("w/plain/private") && !bed.has("w/secret"), "nothing was touched");
    });
}

#[test]
fn a_damaged_backup_is_named_and_what_stands_there_stays() {
    on_real(|bed| {
        let before = bed.dump();
        bed.take(&["w"], Sharing::Copy).unwrap();
        let number = bed.manifest().entry(&rel("w/plain")).unwrap().backup.as_ref().unwrap().number;
        let then = bed.meta(&format!(".private/contents/{number}"));
        bed.write(&format!(".private/contents/{number}"), b"plaiN");
        bed.times(&format!(".private/contents/{number}"), then.modified.secs, then.modified.nanos);
        // The bytes of then still exist, under a name that is new.
        bed.rename("w/plain", "w/moved");
        bed.write("w/plain", b"new");
        bed.remove("w/secret");
        let Error::Lost { paths, .. } = bed.restore(Check::Attributes).unwrap_err() else { panic!() };
        assert_eq!(paths, [rel("w/plain")]);
        let mut after = bed.dump();
        assert_eq!(after.remove(&rel("w/moved")).unwrap().contents, b"plain");
        assert_eq!(after[&rel("w/plain")].contents, b"new");
        after.insert(rel("w/plain"), before[&rel("w/plain")].clone());
        assert_same(&before, &after, "the others");
    });
}

#[test]
fn a_file_that_keeps_changing_is_refused_and_one_that_changed_once_is_taken_again() {
    on_real(|bed| {
        let disk = Hooked { inner: RealDisk, after: meddler(bed.home.clone(), 1) };
        let bed = bed.through(&disk);
        bed.take(&["w/plain"], Sharing::Copy).unwrap();
        let manifest = bed.manifest();
        let entry = manifest.entry(&rel("w/plain")).unwrap();
        assert_eq!(entry.meta.modified, bed.meta("w/plain").modified);
    });
    on_real(|bed| {
        let disk = Hooked { inner: RealDisk, after: meddler(bed.home.clone(), 100) };
        let bed = bed.through(&disk);
        let error = bed.take(&["w/plain"], Sharing::Copy).unwrap_err();
        assert!(matches!(error, Error::Changed { ref path } if *path == rel("w/plain")), "{error}");
        assert_eq!(bed.disk.list(&bed.private).unwrap(), []);
    });
}

/// Somebody who writes to `w/plain` whenever it is read, so many times.
fn meddler(home: PathBuf, times: u32) -> impl Fn(Verb) + Send + Sync {
    let left = AtomicU32::new(times);
    move |verb| {
        if verb == Verb::ReadAt && left.load(Ordering::Relaxed) > 0 {
            left.fetch_sub(1, Ordering::Relaxed);
            // As long as before, but for the time.
            std::thread::sleep(std::time::Duration::from_millis(12));
            Bed::new(&RealDisk, &home).write("w/plain", b"PLAIN");
        }
    }
}

#[test]
fn a_tree_that_was_copied_with_its_snapshot_is_restored_as_well() {
    for sharing in ALL {
        on_real(|bed| {
            let before = bed.dump();
            bed.take(&["w"], sharing).unwrap();
            mutate(bed);
            let elsewhere = tempfile::tempdir().unwrap();
            let copied = elsewhere.path().join("copy");
            let done = Command::new("cp").arg("-a").args([&bed.home, &copied]).status().unwrap();
            assert!(done.success());
            let copy = Bed::new(bed.disk, &copied);
            copy.restore(Check::Contents).unwrap();
            assert_same(&before, &copy.dump(), &format!("{sharing:?}"));
            if sharing == Sharing::Copy {
                let again = copy.restore(Check::Contents).unwrap();
                assert_eq!((again.restored, again.removed, again.metadata), (0, 0, 0));
            }
            // What is left of the first is not disturbed by what was done to the second.
            bed.restore(Check::Contents).unwrap();
            assert_same(&before, &bed.dump(), &format!("{sharing:?}"));
        });
    }
}
