//! What a snapshot keeps and a restore brings back, on the file system of the machine.

use std::process::Command;

use treewal_snapshot::{ChangeKind, Check, Error, Mode, Report, Sharing, compare, take};
use treewal_vfs::Kind;

use crate::bed::{Bed, assert_same, rel};
use crate::furnished::{ALL, mutate, on_real};

#[test]
fn what_was_not_touched_keeps_its_inode_and_its_times() {
    for sharing in ALL {
        on_real(|bed| {
            bed.take(&["w"], sharing).unwrap();
            let (file, dir) = (bed.meta("w/plain"), bed.meta("w/sub"));
            assert_eq!(compare(bed.disk, &bed.tree, &bed.manifest()).unwrap(), []);
            let restored = bed.restore(Check::Attributes).unwrap();
            assert_eq!((restored.restored, restored.removed, restored.metadata), (0, 0, 0));
            assert_eq!(restored.unchanged, bed.manifest().len());
            assert_eq!((bed.meta("w/plain").ino, bed.meta("w/plain").changed), (file.ino, file.changed));
            assert_eq!((bed.meta("w/sub").ino, bed.meta("w/sub").changed), (dir.ino, dir.changed));
        });
    }
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
        let entry = bed.entry("w/plain").unwrap();
        assert_eq!((entry.mode(), entry.backup.as_ref().unwrap().ino), (Mode::HardLink, bed.meta("w/plain").ino));
        assert_eq!(bed.entry("w/link").unwrap().mode(), Mode::None);
    });
    on_real(|bed| {
        let report = bed.take(&["w"], Sharing::Auto).unwrap();
        assert_eq!((report.files, report.hard_linked, report.reflinked + report.copied), (8, 0, 8));
        let report = take_beside(bed, Sharing::Copy);
        assert_eq!((report.files, report.copied), (8, 8));
        assert!(report.bytes_copied < 64 << 10, "holes are not copied: {report:?}");
        assert_eq!(report.entries, bed.manifest().len());
    });
}

fn take_beside(bed: &Bed<'_>, sharing: Sharing) -> Report {
    let private = &bed.private;
    bed.disk.create_dir(private, "second".as_ref(), 0o700).unwrap();
    let into = bed.disk.open_dir(private, &rel("second")).unwrap();
    take(bed.disk, &bed.tree, &[rel("w")], &into, &Bed::options(sharing)).unwrap()
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
        // The backup was used up by the first restore.
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

#[test]
fn what_looked_alike_and_became_one_is_two_again() {
    on_real(|bed| {
        bed.symlink("plain", "w/link-too");
        bed.fifo("w/fifo-too");
        for (number, path) in ["w/link-too", "w/fifo-too"].into_iter().enumerate() {
            bed.times(path, 1_234_567_890, u32::try_from(number).unwrap());
        }
        let before = bed.dump();
        bed.take(&["w"], Sharing::Auto).unwrap();
        for (first, second) in [("w/link", "w/link-too"), ("w/fifo", "w/fifo-too")] {
            bed.remove(first);
            bed.link(second, first);
        }
        bed.restore(Check::Attributes).unwrap();
        assert_same(&before, &bed.dump(), "two again");
    });
}
