//! What is refused, and by which name; what is found damaged; and who comes in between.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use treewal_snapshot::{Check, Error, Manifest, Sharing, TakeOptions, take};
use treewal_vfs::{Fault, FaultDisk, RealDisk, Verb, errno};

use crate::bed::{Bed, assert_same, rel};
use crate::furnished::{mutate, on_real};
use crate::hooked::Hooked;

#[test]
fn a_link_that_is_not_permitted_becomes_a_copy_and_any_other_failure_is_one() {
    for code in [errno::EXDEV, errno::EPERM, errno::EACCES, errno::EMLINK] {
        on_real(|bed| {
            let disk = FaultDisk::new(Arc::new(RealDisk), Fault::ErrorFrom { at: 1, errno: code }).only(Verb::HardLink);
            let bed = bed.through(&disk);
            let before = bed.dump();
            let report = bed.take(&["w"], Sharing::HardLink).unwrap();
            assert_eq!((report.copied + report.reflinked, report.hard_linked), (8, 0));
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
fn a_damaged_backup_is_named_and_what_stands_there_stays() {
    on_real(|bed| {
        let before = bed.dump();
        bed.take(&["w"], Sharing::Copy).unwrap();
        let backup = bed.backup("w/plain");
        let then = bed.meta(&backup);
        bed.write(&backup, b"plaiN");
        bed.times(&backup, then.modified.secs, then.modified.nanos);
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
    // Also where the time is set back, so that only the time of last change tells.
    for hide in [false, true] {
        on_real(|bed| {
            let disk = Hooked { inner: RealDisk, after: meddler(bed.home.clone(), 1, hide) };
            let bed = bed.through(&disk);
            bed.take(&["w/plain"], Sharing::Copy).unwrap();
            let entry = bed.entry("w/plain").unwrap();
            assert_eq!(entry.meta.changed, bed.meta("w/plain").changed);
        });
        on_real(|bed| {
            let disk = Hooked { inner: RealDisk, after: meddler(bed.home.clone(), 100, hide) };
            let bed = bed.through(&disk);
            let error = bed.take(&["w/plain"], Sharing::Copy).unwrap_err();
            assert!(matches!(error, Error::Changed { ref path } if *path == rel("w/plain")), "{error}");
            assert_eq!(bed.disk.list(&bed.private).unwrap(), []);
        });
    }
}

/// Somebody who writes to `w/plain` whenever it is read, so many times, and may set the time back.
fn meddler(home: PathBuf, times: u32, hide: bool) -> impl Fn(Verb) + Send + Sync {
    let left = AtomicU32::new(times);
    move |verb| {
        if verb == Verb::ReadAt && left.load(Ordering::Relaxed) > 0 {
            left.fetch_sub(1, Ordering::Relaxed);
            let bed = Bed::new(&RealDisk, &home);
            let then = bed.meta("w/plain").modified;
            // Longer than a tick of the clock.
            std::thread::sleep(std::time::Duration::from_millis(12));
            bed.write("w/plain", b"PLAIN");
            if hide {
                bed.times("w/plain", then.secs, then.nanos);
            }
        }
    }
}

#[test]
fn a_name_that_comes_or_goes_just_before_it_is_put_back_is_no_failure() {
    for comes in [true, false] {
        on_real(|bed| {
            let before = bed.dump();
            bed.take(&["w"], Sharing::Copy).unwrap();
            let backup = bed.backup("w/plain");
            let race = |bed: &Bed<'_>, comes: bool| match comes {
                true => bed.replace("w/plain", b"somebody"),
                false => bed.remove("w/plain"),
            };
            race(bed, !comes);
            // Preparing the backup is the last thing before it goes into place.
            let ready = AtomicU32::new(0);
            let hook = |verb: Verb| {
                if verb == Verb::SetTimes && ready.fetch_add(1, Ordering::Relaxed) == 0 {
                    race(&Bed::new(&RealDisk, &bed.home), comes);
                }
            };
            let disk = Hooked { inner: RealDisk, after: hook };
            bed.through(&disk).restore(Check::Attributes).unwrap();
            assert_same(&before, &bed.dump(), "after the race");
            assert_eq!(bed.has(&backup), comes, "what came is kept aside");
        });
    }
}

struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, arguments: &[&str]) -> Option<Self> {
        let done = Command::new("mount").args(arguments).arg(at).output().ok()?;
        done.status.success().then(|| Self(at.to_path_buf()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}

#[test]
fn another_file_system_is_refused_by_name_where_mounting_is_permitted() {
    on_real(|bed| {
        let (w, other) = (bed.home.join("w"), bed.home.join("other"));
        bed.dir("other");
        let Some(_tmpfs) = Mounted::new(&other, &["-t", "tmpfs", "tmpfs"]) else {
            return;
        };
        // A directory, and a file on which a file from elsewhere is mounted.
        let source = other.join("file");
        Bed::new(&RealDisk, &other).write("file", b"elsewhere");
        let _bound = Mounted::new(&w.join("plain"), &["--bind", source.to_str().unwrap()]).unwrap();
        let refused = [("other", "other"), ("", "other"), ("other/file", "other"), ("w", "w/plain")];
        let found = refused.map(|(path, _)| match bed.take(&[path], Sharing::Auto) {
            Err(Error::OtherFileSystem { path }) => path,
            taken => panic!("{taken:?}"),
        });
        assert_eq!(found, refused.map(|(_, path)| rel(path)));
    });
}

#[test]
fn an_excluded_path_is_neither_recorded_nor_touched() {
    on_real(|bed| {
        let options = TakeOptions { exclude: vec![rel(".private"), rel("w/sub/deep")], ..TakeOptions::default() };
        take(bed.disk, &bed.tree, &[rel("w")], &bed.private, &options).unwrap();
        assert!(bed.entry("w/sub/deep").is_none());
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
