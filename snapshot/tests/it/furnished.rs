//! One of everything, and everything done to it, on the file system of the machine.

use treewal_snapshot::Sharing;
use treewal_vfs::{Open, RealDisk, RelPath};

use crate::bed::Bed;

/// One of everything.
pub(crate) fn furnish(bed: &Bed<'_>) {
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

pub(crate) fn on_real(mut test: impl FnMut(&Bed<'_>)) {
    let home = tempfile::tempdir().unwrap();
    let disk = RealDisk;
    let bed = Bed::new(&disk, home.path());
    furnish(&bed);
    test(&bed);
}

pub(crate) const ALL: [Sharing; 3] = [Sharing::Auto, Sharing::Copy, Sharing::HardLink];

/// Everything that somebody can do who replaces files by renaming.
pub(crate) fn mutate(bed: &Bed<'_>) {
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
