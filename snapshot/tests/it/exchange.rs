//! Putting a whole directory back in one step.

use std::path::Path;
use std::sync::Arc;

use treewal_snapshot::{Check, Error, Manifest, Report, Restored, Sharing, TakeOptions, exchange, take};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{RecordingDisk, RelPath};

use crate::bed::{Bed, PRIVATE, assert_same, rel};
use crate::furnished::{mutate, on_real};

fn taken(bed: &Bed<'_>, paths: &[&str], sharing: Sharing) -> treewal_snapshot::Result<Report> {
    let options = TakeOptions { sharing, exclude: vec![rel(PRIVATE)], exchange: true, ..TakeOptions::default() };
    let paths: Vec<RelPath> = paths.iter().map(|path| rel(path)).collect();
    take(bed.disk, &bed.tree, &paths, &bed.private, &options)
}

fn exchanged(bed: &Bed<'_>) -> treewal_snapshot::Result<Restored> {
    let manifest = Manifest::load(bed.disk, &bed.private)?;
    exchange(bed.disk, &bed.tree, &bed.private, &manifest)
}

/// Everything that `mutate` does, and writes in place.
fn change(bed: &Bed<'_>) {
    bed.write("w/secret", b"SECRET in place");
    mutate(bed);
    bed.mode("w", 0o700);
    bed.write("fresh", b"was not there");
}

#[test]
fn everything_comes_back_in_one_step_whatever_was_done_to_it() {
    for sharing in [Sharing::Auto, Sharing::Copy, Sharing::HardLink] {
        on_real(|bed| {
            bed.write("top", b"a file by itself");
            let before = bed.dump();
            let report = taken(bed, &["w", "top", "fresh"], sharing).unwrap();
            assert_eq!(report.hard_linked, 0, "a hard link cannot be put back by an exchange");
            change(bed);
            bed.remove("top");
            bed.write("another", b"found to be guarded, too");
            let mut manifest = bed.manifest();
            manifest.guard_absent(&rel("another"));
            let restored = exchange(bed.disk, &bed.tree, &bed.private, &manifest).unwrap();
            assert_eq!((restored.restored, restored.removed), (2, 2));
            assert_same(&before, &bed.dump(), &format!("{sharing:?}"));
            // What is done is done, and a restore by comparison finds nothing to do.
            assert_eq!(exchanged(bed).unwrap(), Restored::default());
            let again = bed.restore(Check::Contents).unwrap();
            assert_eq!((again.restored, again.removed, again.metadata), (0, 0, 0));
            assert_same(&before, &bed.dump(), "twice");
        });
    }
}

#[test]
fn the_cost_does_not_depend_on_what_is_in_the_directory() {
    let calls = |files: usize| {
        let sim = SimDisk::new();
        let plain = Bed::new(&sim, Path::new("/"));
        plain.dir("w");
        for file in 0..files {
            plain.write(&format!("w/{file}"), b"contents");
        }
        taken(&plain, &["w"], Sharing::Copy).unwrap();
        plain.write("w/0", b"CONTENTS");
        let disk = RecordingDisk::new(Arc::new(sim.clone()));
        exchanged(&plain.through(&disk)).unwrap();
        disk.take().len()
    };
    assert_eq!(calls(3), calls(300));
}

#[test]
fn what_cannot_be_exchanged_is_refused_by_name_before_anything_changes() {
    on_real(|bed| {
        let refused = |error| matches!(error, Error::NotExchangeable { .. });
        assert!(refused(taken(bed, &[""], Sharing::Auto).unwrap_err()));
        assert_eq!(bed.disk.list(&bed.private).unwrap(), []);
        let exclude = vec![rel("w/sub/deep/file")];
        let options = TakeOptions { exclude, exchange: true, ..TakeOptions::default() };
        assert!(refused(take(bed.disk, &bed.tree, &[rel("w")], &bed.private, &options).unwrap_err()));
        bed.take(&["w"], Sharing::Auto).unwrap();
        assert!(refused(exchanged(bed).unwrap_err()), "there is no mirror");
    });
    on_real(|bed| {
        taken(bed, &["w/sub/deep", "w/plain"], Sharing::Auto).unwrap();
        bed.write("w/plain", b"PLAIN");
        bed.mode("w/sub/deep", 0o700);
        bed.remove("w/sub");
        let before = bed.dump();
        let error = exchanged(bed).unwrap_err();
        assert!(matches!(error, Error::NotExchangeable { ref path, .. } if *path == rel("w/sub/deep")), "{error}");
        assert_same(&before, &bed.dump(), "nothing changed");
        bed.restore(Check::Attributes).unwrap();
        assert!(bed.has("w/sub/deep/file"));
    });
}

#[test]
fn any_crash_of_an_exchange_is_finished_by_the_next_one_or_by_a_restore() {
    let taken_disk = || {
        let disk = SimDisk::new();
        let bed = Bed::new(&disk, Path::new("/"));
        crate::furnished::furnish(&bed);
        bed.write("top", b"top");
        disk.sync(&bed);
        disk
    };
    for restored in [false, true] {
        for call in 1.. {
            let disk = taken_disk();
            let bed = Bed::new(&disk, Path::new("/"));
            let before = bed.dump();
            taken(&bed, &["w", "top", "fresh"], Sharing::Copy).unwrap();
            change(&bed);
            disk.sync(&bed);
            let (disk, before) = (disk.remount(), before);
            let bed = Bed::new(&disk, Path::new("/"));
            disk.cut_at(Some(call));
            if exchanged(&bed).is_ok() {
                assert!(call > 3);
                break;
            }
            for outcome in disk.outcomes(Profile::Strict).sample(call, 40) {
                let disk = disk.after(&outcome);
                let bed = Bed::new(&disk, Path::new("/"));
                if restored {
                    bed.restore(Check::Contents).unwrap();
                } else {
                    exchanged(&bed).unwrap();
                }
                assert_same(&before, &bed.dump(), &format!("call {call}"));
            }
        }
    }
}

trait Sync {
    fn sync(&self, bed: &Bed<'_>);
}

impl Sync for SimDisk {
    fn sync(&self, bed: &Bed<'_>) {
        bed.disk.sync_all(&bed.tree).unwrap();
    }
}
