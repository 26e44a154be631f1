//! The manifest of a snapshot: never a panic, nothing outside of the guarded paths, and what is read, written and read
//! again is the same.
#![no_main]

use std::ffi::OsStr;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use treewal_snapshot::{Entry, Error, Manifest, Role, diff, fuzz};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Open, write_all};

fuzz_target!(|data: &[u8]| {
    check(data);
    let mut sealed = data.to_vec();
    if sealed.len() >= 12 {
        sealed[..12].copy_from_slice(b"TWALSNAP\x01\0\0\0");
    }
    fuzz::seal(&mut sealed);
    check(&sealed);
});

fn load(bytes: &[u8]) -> Result<(Manifest, Vec<Entry>), Error> {
    let disk = SimDisk::new();
    let root = disk.open_root(Path::new("/")).unwrap();
    let file = disk.open(&root, OsStr::new("manifest"), Open::CreateNew { mode: 0o600 }).unwrap();
    write_all(&disk, &file, bytes, 0).unwrap();
    let manifest = Manifest::load(&disk, &root)?;
    let entries = manifest.entries(&disk).collect::<Result<_, _>>()?;
    assert_eq!(diff(&disk, &manifest, &manifest).count(), 0);
    Ok((manifest, entries))
}

fn check(bytes: &[u8]) {
    let (manifest, entries) = match load(bytes) {
        Ok(loaded) => loaded,
        Err(Error::Incomplete { .. } | Error::Damaged { .. } | Error::Version { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(manifest.len(), entries.len() as u64);
    for (place, entry) in entries.iter().enumerate() {
        let covered = |path: &treewal_vfs::RelPath| entry.path.starts_with(path) || path.starts_with(&entry.path);
        assert!(manifest.guarded().iter().any(|guarded| covered(&guarded.path)), "{:?}", entry.path);
        assert!(!manifest.excluded().iter().any(|excluded| entry.path.starts_with(excluded)));
        assert!(entry.role == Role::Guarded || entry.is_dir());
        assert_eq!(entry.role == Role::Guarded, manifest.covers(&entry.path));
        let parent = entry.path.parent().filter(|parent| !parent.is_root());
        assert!(parent.is_none_or(|parent| entries[..place].iter().any(|dir| dir.path == parent)));
        assert!(!entries[..place].iter().any(|other| other.path == entry.path));
        assert!(entry.same_as.is_none_or(|first| first < place));
        let is_file = entry.meta.kind == treewal_vfs::Kind::File;
        assert_eq!(entry.backup.is_some() || entry.same_as.is_some(), is_file || entry.same_as.is_some());
    }
    let written = fuzz::written(&manifest, &entries).unwrap();
    assert!(written.len() <= bytes.len(), "the writer uses the shortest form");
    let (again, same) = load(&written).unwrap();
    assert_eq!((again.guarded(), again.excluded()), (manifest.guarded(), manifest.excluded()));
    assert_eq!((&same, again.taken()), (&entries, manifest.taken()));
    assert_eq!(fuzz::written(&again, &same).unwrap(), written);
}
