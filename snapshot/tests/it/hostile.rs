//! Trees that nobody would make on purpose, and disks that do not say what is there.

use std::ffi::{OsStr, OsString};
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use treewal_snapshot::{Check, Entry, Error, Manifest, Sharing, TakeOptions, changes, take};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, Fault, FaultDisk, Layer, Open, RealDisk, RelPath, Rename, Verb, errno};

use crate::bed::{Bed, PRIVATE, assert_same, rel};
use crate::furnished::{ALL, mutate, on_real};
use crate::lying::Lying;

fn taken_by(bed: &Bed<'_>, threads: usize, sharing: Sharing) -> treewal_snapshot::Result<Manifest> {
    let threads = NonZeroUsize::new(threads);
    let options = TakeOptions { sharing, exclude: vec![rel(PRIVATE)], threads, ..TakeOptions::default() };
    take(bed.disk, &bed.tree, &[RelPath::root()], &bed.private, &options)?;
    Manifest::load(bed.disk, &bed.private)
}

/// A tree of some thousand entries: wide, narrow and deep directories, and files with names in several of them.
fn large(bed: &Bed<'_>) {
    for dir in 0..30 {
        bed.dir(&format!("d{dir}"));
        for file in 0..[0, 1, 7, 90][dir % 4] {
            let path = format!("d{dir}/f{file}");
            bed.write(&path, path.as_bytes());
            if file % 50 == 3 {
                bed.link(&path, &format!("second-{dir}-{file}"));
            }
            if file % 70 == 5 {
                bed.dir(&format!("d{dir}/z{file}"));
                bed.symlink("../x", &format!("d{dir}/z{file}/link"));
            }
        }
    }
}

#[test]
fn many_threads_take_and_restore_what_one_does() {
    for sharing in ALL {
        for threads in [1, 8] {
            let home = tempfile::tempdir().unwrap();
            let bed = Bed::new(&RealDisk, home.path());
            large(&bed);
            let before = bed.dump();
            let manifest = taken_by(&bed, threads, sharing).unwrap();
            let entries: Vec<Entry> = manifest.entries(bed.disk).map(Result::unwrap).collect();
            let paths: Vec<RelPath> = entries.iter().skip(1).map(|entry| entry.path.clone()).collect();
            assert_eq!(paths, before.keys().cloned().collect::<Vec<_>>(), "{threads} threads");
            let several = |entry: &&Entry| entry.same_as.is_some();
            let links = before.values().filter(|node| node.same_as.is_some()).count();
            assert_eq!(entries.iter().filter(several).count(), links);
            assert_eq!(changes(bed.disk, &bed.tree, &manifest).count(), 0);
            bed.remove("d3");
            bed.replace("d7/f9", b"another");
            bed.remove("second-11-3");
            bed.write("d2/new", b"new");
            bed.restore(Check::Attributes).unwrap();
            assert_same(&before, &bed.dump(), &format!("{sharing:?}, {threads} threads"));
        }
    }
}

#[test]
fn an_error_in_any_thread_ends_all_of_them_and_leaves_nothing() {
    for at in [1, 200, 400, 600] {
        let home = tempfile::tempdir().unwrap();
        let bed = Bed::new(&RealDisk, home.path());
        large(&bed);
        let fault = Fault::Error { at, errno: errno::EIO };
        let disk = FaultDisk::new(Arc::new(RealDisk), fault).only(Verb::HardLink);
        let error = taken_by(&bed.through(&disk), 4, Sharing::HardLink).unwrap_err();
        assert!(matches!(error, Error::Io { verb: "link", .. }), "{error}");
        assert_eq!(bed.disk.list(&bed.private).unwrap(), []);
    }
}

#[test]
fn a_listing_that_tells_wrong_numbers_of_inodes_is_found_out() {
    for sharing in ALL {
        on_real(|bed| {
            let before = bed.dump();
            let lying = Lying;
            let bed = bed.through(&lying);
            bed.take(&["w"], sharing).unwrap();
            let manifest = bed.manifest();
            assert_eq!(manifest.entries(bed.disk).filter(|e| e.as_ref().unwrap().same_as.is_some()).count(), 1);
            assert_eq!(bed.restore(Check::Attributes).unwrap().restored, 0);
            mutate(&bed);
            bed.restore(Check::Attributes).unwrap();
            assert_same(&before, &bed.dump(), &format!("{sharing:?}"));
        });
    }
}

#[test]
fn loops_of_symlinks_and_odd_names_are_entries_like_any_other() {
    on_real(|bed| {
        bed.symlink("loop-b", "w/loop-a");
        bed.symlink("loop-a", "w/loop-b");
        bed.symlink(".", "w/self");
        bed.symlink("..", "w/up");
        for name in ["w/\n", "w/ ", "w/-rf", "w/\\", "w/a\tb", "w/..."] {
            bed.write(name, name.as_bytes());
        }
        bed.write(&format!("w/{}", "n".repeat(255)), b"long");
        let before = bed.dump();
        bed.take(&["w"], Sharing::Auto).unwrap();
        bed.remove("w");
        bed.restore(Check::Attributes).unwrap();
        assert_same(&before, &bed.dump(), "odd");
    });
}

#[test]
fn a_tree_far_deeper_than_handles_are_many_is_taken_and_one_too_deep_for_a_path_refused() {
    let home = tempfile::tempdir().unwrap();
    let bed = Bed::new(&RealDisk, home.path());
    bed.dir("w");
    let mut dir = bed.disk.open_dir(&bed.tree, &rel("w")).unwrap();
    let deeper = |dir: &mut treewal_vfs::Dir, levels: usize| {
        for level in 0..levels {
            for file in ["a", "z"] {
                RealDisk.open(dir, OsStr::new(file), Open::CreateNew { mode: 0o644 }).unwrap();
            }
            let name = OsString::from(format!("m{}", level % 10));
            RealDisk.create_dir(dir, &name, 0o755).unwrap();
            *dir = RealDisk.open_dir(dir, &RelPath::root().join(name)).unwrap();
        }
    };
    deeper(&mut dir, 1200);
    bed.take(&["w"], Sharing::HardLink).unwrap();
    let entries = bed.manifest().len();
    assert_eq!(entries, 1 + 3 * 1200);
    let bottom = RelPath::new(format!("w/{}", (0..1190).map(|n| format!("m{}/", n % 10)).collect::<String>())).unwrap();
    let bottom = RealDisk.open_dir(&bed.tree, &bottom).unwrap();
    treewal_vfs::remove_tree(&RealDisk, &bottom, OsStr::new("m0")).unwrap();
    let restored = bed.restore(Check::Attributes).unwrap();
    assert_eq!(restored.restored, 1 + 3 * 9);
    assert_eq!(bed.restore(Check::Attributes).unwrap().unchanged, entries);

    dir = RealDisk.open_dir(&bottom, &rel("m0/m1/m2/m3/m4/m5/m6/m7/m8/m9")).unwrap();
    deeper(&mut dir, 300);
    let into = bed.disk.create_dir(&bed.private, OsStr::new("other"), 0o700);
    into.unwrap();
    let into = bed.disk.open_dir(&bed.private, &rel("other")).unwrap();
    let error = take(bed.disk, &bed.tree, &[rel("w")], &into, &TakeOptions::default()).unwrap_err();
    let Error::Io { path, source, .. } = &error else { panic!("{error}") };
    assert!(path.starts_with(&rel("w")) && source.raw_os_error() == Some(errno::ENAMETOOLONG), "{source}");
    assert_eq!(bed.disk.list(&into).unwrap(), []);
}

#[test]
fn a_fifo_is_never_opened() {
    let disk = SimDisk::new();
    let bed = Bed::new(&disk, Path::new("/"));
    bed.dir("w");
    bed.fifo("w/fifo");
    let counted = treewal_vfs::RecordingDisk::new(Arc::new(disk.clone()));
    for sharing in ALL {
        let bed = bed.through(&counted);
        bed.take(&["w"], sharing).unwrap();
        bed.restore(Check::Contents).unwrap();
        for entry in disk.list(&bed.private).unwrap() {
            treewal_vfs::remove_tree(&disk, &bed.private, &entry.name).unwrap();
        }
    }
    let opened = counted.take().into_iter().filter(|call| call.name == "fifo" && call.verb == Verb::Open);
    assert_eq!(opened.count(), 0);
}

#[test]
fn a_file_that_grows_while_it_is_copied_is_whole_or_refused() {
    on_real(|bed| {
        let home = bed.home.clone();
        let grow = move |verb: Verb| {
            if verb == Verb::ReadAt {
                let bed = Bed::new(&RealDisk, &home);
                let size = bed.meta("w/plain").size;
                bed.write_at("w/plain", b"more", size);
            }
        };
        let disk = crate::hooked::Hooked { inner: RealDisk, after: grow };
        let error = bed.through(&disk).take(&["w/plain"], Sharing::Copy).unwrap_err();
        assert!(matches!(error, Error::Changed { ref path } if *path == rel("w/plain")), "{error}");
        assert_eq!(bed.disk.list(&bed.private).unwrap(), []);
    });
}

#[test]
fn what_may_not_be_read_is_refused_by_name() {
    on_real(|bed| {
        let disk = FaultDisk::new(Arc::new(RealDisk), Fault::Error { at: 4, errno: errno::EACCES }).only(Verb::Open);
        let error = bed.through(&disk).take(&["w"], Sharing::Copy).unwrap_err();
        let Error::Io { verb: "open", path, source } = error else { panic!("{error}") };
        assert!(path.starts_with(&rel("w")) && source.kind() == io::ErrorKind::PermissionDenied);
        assert_eq!(bed.disk.list(&bed.private).unwrap(), []);
    });
}

/// Somebody exchanges a directory for a link and back, and is seen at the first look that the snapshot takes behind it.
#[derive(Debug)]
struct Exchanged(SimDisk, AtomicBool);

impl Layer for Exchanged {
    fn inner(&self) -> &dyn Disk {
        &self.0
    }

    fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir> {
        if *path == rel("d") && !self.1.swap(true, Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(errno::ELOOP));
        }
        self.0.open_dir(at, path)
    }
}

#[test]
fn what_lies_behind_a_link_of_a_moment_is_not_absent() {
    let sim = SimDisk::new();
    let bed = Bed::new(&sim, Path::new("/"));
    bed.dir("d");
    bed.write("d/f", b"there");
    let exchanged = Exchanged(sim.clone(), AtomicBool::new(false));
    let taken = take(&exchanged, &bed.tree, &[rel("d/f")], &bed.private, &TakeOptions::default());
    assert!(matches!(&taken, Err(Error::Changed { path }) if *path == rel("d")), "{taken:?}");
    // Nobody is at work: it is there, and what has no directory is not.
    let taken = take(&exchanged, &bed.tree, &[rel("d/f"), rel("e/f")], &bed.private, &TakeOptions::default()).unwrap();
    assert_eq!(taken.files, 1);
}

/// Somebody puts the directory back in the place of a link right before that is exchanged.
#[derive(Debug)]
struct Returning(SimDisk, AtomicBool);

impl Layer for Returning {
    fn inner(&self) -> &dyn Disk {
        &self.0
    }

    fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()> {
        if to_name == "d" && how == Rename::Exchange && !self.1.swap(true, Ordering::Relaxed) {
            self.0.rename(to, OsStr::new("moved"), to, to_name, Rename::Exchange)?;
        }
        self.0.rename(from, name, to, to_name, how)
    }
}

#[test]
fn a_directory_that_comes_back_at_the_last_moment_does_not_go_with_what_is_displaced() {
    let sim = SimDisk::new();
    let bed = Bed::new(&sim, Path::new("/"));
    bed.dir("d");
    bed.write("d/f", b"there");
    bed.write("d/somebody's", b"not guarded");
    bed.take(&["d/f"], Sharing::Copy).unwrap();
    bed.rename("d", "moved");
    bed.symlink("elsewhere", "d");
    let returning = Returning(sim.clone(), AtomicBool::new(false));
    let restored = bed.through(&returning).restore(Check::Contents);
    assert!(matches!(&restored, Err(Error::Io { .. })), "{restored:?}");
    assert!(bed.has("d/f") && bed.has("d/somebody's") && bed.has("moved"), "somebody's work is gone");
    bed.restore(Check::Contents).unwrap();
    assert!(bed.has("d/f") && bed.has("d/somebody's"));
}
