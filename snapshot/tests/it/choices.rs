//! What the options of a snapshot choose, and what they cannot choose away.

use std::path::Path;

use treewal_snapshot::{Check, Error, Mode, Sharing, TakeOptions, take};
use treewal_vfs::sim::{Profile, SimDisk};

use crate::bed::{Bed, PRIVATE, assert_same, rel};
use crate::furnished::on_real;

fn options(sharing: Sharing) -> TakeOptions {
    TakeOptions { sharing, exclude: vec![rel(PRIVATE)], ..TakeOptions::default() }
}

#[test]
fn without_reflinks_auto_links_what_is_managed_and_copies_everything_else() {
    on_real(|bed| {
        if bed.take(&["w"], Sharing::Reflink).is_ok() {
            return;
        }
        let options = TakeOptions { managed: vec![rel("w/sub"), rel("w/plain")], ..options(Sharing::Auto) };
        let before = bed.dump();
        let report = take(bed.disk, &bed.tree, &[rel("w")], &bed.private, &options).unwrap();
        // A file that has a name inside and one outside belongs to whoever came first.
        assert_eq!((report.hard_linked, report.copied), (2, 6), "{report:?}");
        for (path, mode) in [("w/plain", Mode::HardLink), ("w/sub/deep/file", Mode::HardLink), ("w/secret", Mode::Copy)]
        {
            assert_eq!(bed.entry(path).unwrap().mode(), mode, "{path}");
        }
        bed.replace("w/plain", b"replaced");
        bed.write("w/secret", b"in place");
        bed.remove("w/sub");
        bed.restore(Check::Attributes).unwrap();
        assert_same(&before, &bed.dump(), "both");
    });
}

#[test]
fn managed_paths_do_not_outrank_reflinks_and_mean_nothing_to_the_other_ways() {
    let disk = SimDisk::new();
    let bed = Bed::new(&disk, Path::new("/"));
    bed.dir("w");
    bed.write("w/a", b"contents");
    for (sharing, mode) in
        [(Sharing::Auto, Mode::Reflink), (Sharing::Copy, Mode::Copy), (Sharing::HardLink, Mode::HardLink)]
    {
        let options = TakeOptions { managed: vec![rel("")], ..options(sharing) };
        take(bed.disk, &bed.tree, &[rel("w")], &bed.private, &options).unwrap();
        assert_eq!(bed.entry("w/a").unwrap().mode(), mode, "{sharing:?}");
        for entry in bed.disk.list(&bed.private).unwrap() {
            treewal_vfs::remove_tree(bed.disk, &bed.private, &entry.name).unwrap();
        }
    }
}

#[test]
fn a_checksum_tells_a_changed_mode_from_a_write_through_a_hard_link() {
    for digest in [false, true] {
        on_real(|bed| {
            let before = bed.dump();
            let options = TakeOptions { digest, ..options(Sharing::HardLink) };
            take(bed.disk, &bed.tree, &[rel("w")], &bed.private, &options).unwrap();
            assert_eq!(bed.entry("w/plain").unwrap().backup.unwrap().checksum.is_some(), digest);
            bed.mode("w/plain", 0o640);
            bed.xattr("w/tagged", "user.tag", "other");
            // A write that hides itself: size and time are those of then.
            let then = bed.meta("w/secret").modified;
            bed.write("w/secret", b"SECRET");
            bed.times("w/secret", then.secs, then.nanos);
            let Error::InPlace { paths } = bed.restore(Check::Attributes).unwrap_err() else { panic!() };
            let named: &[&str] = if digest { &["w/secret"] } else { &["w/plain", "w/secret", "w/tagged"] };
            assert_eq!(paths, named.iter().map(|path| rel(path)).collect::<Vec<_>>());
            let mut after = bed.dump();
            assert_eq!(after[&rel("w/secret")].contents, b"SECRET");
            after.insert(rel("w/secret"), before[&rel("w/secret")].clone());
            assert_same(&before, &after, "attributes came back");
        });
    }
}

#[test]
fn attributes_are_believed_on_the_mount_of_the_snapshot_and_nowhere_else() {
    let disk = SimDisk::new();
    let bed = Bed::new(&disk, Path::new("/"));
    bed.write("a", b"contents");
    bed.take(&["a"], Sharing::Copy).unwrap();
    assert_eq!(bed.manifest().check(&disk, &bed.tree), Check::Attributes);
    let lost = disk.outcomes(Profile::Strict).sample(1, 1).next().unwrap();
    for other in [disk.remount(), disk.after(&lost)] {
        let bed = Bed::new(&other, Path::new("/"));
        assert_eq!(bed.manifest().check(&other, &bed.tree), Check::Contents);
    }
}
