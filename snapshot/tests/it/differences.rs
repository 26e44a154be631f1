//! What differs between two snapshots, against what two dumps of the tree say.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use treewal_snapshot::{Change, ChangeKind, Manifest, Sharing, TakeOptions, changes, diff, take};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Kind, RelPath};

use crate::bed::{Bed, Dump, PRIVATE, rel};
use crate::furnished::{mutate, on_real};
use crate::model::{Case, case, guarded, run_all};

fn beside(bed: &Bed<'_>, name: &str) -> Dir {
    bed.disk.create_dir(&bed.private, name.as_ref(), 0o700).unwrap();
    bed.disk.open_dir(&bed.private, &rel(name)).unwrap()
}

fn taken(bed: &Bed<'_>, name: &str, paths: &[&str], sharing: Sharing) -> Option<Manifest> {
    let into = beside(bed, name);
    let paths: Vec<RelPath> = paths.iter().map(|path| rel(path)).collect();
    let options = TakeOptions { sharing, exclude: vec![rel(PRIVATE)], ..TakeOptions::default() };
    take(bed.disk, &bed.tree, &paths, &into, &options).ok()?;
    Some(Manifest::load(bed.disk, &into).unwrap())
}

fn told(changes: impl Iterator<Item = treewal_snapshot::Result<Change>>) -> BTreeMap<RelPath, ChangeKind> {
    let changes: Vec<_> = changes.map(Result::unwrap).map(|change| (change.path, change.kind)).collect();
    assert!(changes.is_sorted_by(|a, b| a.0 < b.0), "{changes:?}");
    changes.into_iter().collect()
}

/// What must be said of two states, and what may be said where there is nothing to be seen.
fn judge(before: &Dump, after: &Dump, said: &BTreeMap<RelPath, ChangeKind>) {
    let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).chain(said.keys()).collect();
    for path in paths {
        let kind = said.get(path).copied();
        let right = match (before.get(path), after.get(path)) {
            (None, Some(_)) => kind == Some(ChangeKind::Added),
            (Some(_), None) => kind == Some(ChangeKind::Removed),
            (Some(then), Some(now)) if then.kind != now.kind => kind == Some(ChangeKind::TypeChanged),
            (Some(then), Some(now)) if (&then.contents, &then.target) != (&now.contents, &now.target) => {
                kind == Some(ChangeKind::Modified)
            }
            (Some(then), Some(now)) => {
                let attributes = |node: &crate::bed::Node| (node.mode, node.owner, node.modified, node.xattrs.clone());
                // A file that was replaced by one that is just the same is another file all the same.
                let replaced = then.kind == Kind::File && kind == Some(ChangeKind::Modified);
                let wanted = (attributes(then) != attributes(now)).then_some(ChangeKind::Metadata);
                kind == wanted || replaced
            }
            // The root is in no dump.
            (None, None) => path.is_root(),
        };
        assert!(right, "{path:?} is {kind:?}\n  was {:?}\n   is {:?}", before.get(path), after.get(path));
    }
}

fn differs(bed: &Bed<'_>, case: &Case) {
    run_all(bed, &case.setup, Sharing::Auto);
    let before = guarded(bed, &case.guarded);
    let Some(old) = taken(bed, "old", &case.guarded, case.sharing) else { return };
    run_all(bed, &case.ops, case.sharing);
    let after = guarded(bed, &case.guarded);
    let Some(new) = taken(bed, "new", &case.guarded, case.sharing) else { return };
    judge(&before, &after, &told(diff(bed.disk, &old, &new)));
    judge(&after, &before, &told(diff(bed.disk, &new, &old)));
    assert_eq!(told(diff(bed.disk, &new, &new)), BTreeMap::new());
    assert_eq!(told(changes(bed.disk, &bed.tree, &new)).into_values().find(|kind| *kind != ChangeKind::Metadata), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 700, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_snapshots_differ_as_the_tree_did(case in case()) {
        let disk = SimDisk::new();
        differs(&Bed::new(&disk, Path::new("/")), &case);
    }
}

#[test]
fn only_what_both_cover_is_compared() {
    on_real(|bed| {
        let all = taken(bed, "all", &["w"], Sharing::Copy).unwrap();
        mutate(bed);
        let some = taken(bed, "some", &["w/new", "w/plain", "x"], Sharing::Copy).unwrap();
        let said = told(diff(bed.disk, &all, &some));
        let wanted = [
            ("w/new", ChangeKind::Added),
            ("w/new/images", ChangeKind::Added),
            ("w/new/images/one", ChangeKind::Added),
            ("w/plain", ChangeKind::Modified),
        ];
        assert_eq!(said, wanted.map(|(path, kind)| (rel(path), kind)).into());
        let back = told(diff(bed.disk, &some, &all));
        assert_eq!(back[&rel("w/new")], ChangeKind::Removed);
        assert_eq!(back.len(), said.len());
    });
}

#[test]
fn copies_with_the_same_bytes_are_the_same_whatever_became_of_the_inode() {
    on_real(|bed| {
        let old = taken(bed, "old", &["w"], Sharing::Copy).unwrap();
        let then = bed.meta("w/plain").modified;
        bed.replace("w/plain", b"plain");
        bed.times("w/plain", then.secs, then.nanos);
        bed.write("w/secret", b"SECRET");
        bed.times("w/secret", 1_000_000_000, 123_456_789);
        let new = taken(bed, "new", &["w"], Sharing::Copy).unwrap();
        let wanted = [(rel("w"), ChangeKind::Metadata), (rel("w/secret"), ChangeKind::Modified)];
        let is_copy = bed.entry_of(&new, "w/plain").backup.unwrap().checksum.is_some();
        assert!(is_copy);
        assert_eq!(told(diff(bed.disk, &old, &new)), wanted.into());
    });
}
