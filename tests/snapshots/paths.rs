//! Restores of some paths: what they reach, and what they leave as it is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use treewal::SnapshotOptions;

use crate::basics::{is, world};
use crate::walk::walk;

/// How many names a file has is no difference, where a restore can do nothing about them.
#[test]
fn what_was_restored_does_not_differ_for_names_elsewhere() {
    let (dir, tree) = world();
    let at = |path: &str| dir.path().join(path);
    // One name of two lies outside of what was taken, and both were written to in place.
    let deep = tree.snapshot_with(SnapshotOptions::new().path("notes/deep"), "deep").unwrap();
    let whole = tree.snapshot("whole").unwrap();
    fs::write(at("notes/a"), "in place").unwrap();
    assert!(!deep.diff().unwrap().is_empty());
    tree.restore(&deep).unwrap();
    assert_eq!(deep.diff().unwrap(), []);
    assert_eq!(fs::read_to_string(at("notes/deep/a too")).unwrap(), "old a");
    assert_eq!(fs::read_to_string(at("notes/a")).unwrap(), "in place");
    tree.restore(&whole).unwrap();
    assert_eq!(whole.diff().unwrap(), []);
    // A third name is displaced, and a name of the file until the next checkpoint.
    tree.transaction(|tx| tx.hard_link("notes/a", "third")).unwrap();
    tree.restore(&whole).unwrap();
    assert_eq!(whole.diff().unwrap(), []);
}

#[test]
fn a_path_comes_back_with_the_directories_above_it() {
    let (dir, tree) = world();
    let at = |path: &str| dir.path().join(path);
    let before = walk(dir.path());
    let snapshot = tree.snapshot("one").unwrap();
    tree.transaction(|tx| tx.remove_dir_all("notes")).unwrap();
    tree.restore_paths(&snapshot, ["notes/deep/b"]).unwrap();
    assert_eq!(fs::read_to_string(at("notes/deep/b")).unwrap(), "old b");
    // Nothing else that was in them.
    let left: Vec<_> = walk(&at("notes")).into_keys().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    tree.restore(&snapshot).unwrap();
    is(dir.path(), &before);
}

#[test]
fn a_path_comes_back_and_the_directory_above_it_stays_as_it_is() {
    let (dir, tree) = world();
    let snapshot = tree.snapshot("one").unwrap();
    tree.transaction(|tx| {
        tx.write("notes/deep/b", "new")?;
        tx.set_permissions("notes/deep", fs::Permissions::from_mode(0o711))
    })
    .unwrap();
    tree.restore_paths(&snapshot, ["notes/deep/b"]).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("notes/deep/b")).unwrap(), "old b");
    assert_eq!(fs::metadata(dir.path().join("notes/deep")).unwrap().mode() & 0o777, 0o711);
}

/// Where a name of some other file stood, there is a symlink above now.
#[test]
fn a_path_comes_back_whatever_other_paths_have_become() {
    let (dir, tree) = world();
    let snapshot = tree.snapshot("one").unwrap();
    tree.transaction(|tx| {
        tx.remove_dir_all("notes")?;
        tx.symlink("elsewhere", "notes")?;
        tx.write("top", "new")
    })
    .unwrap();
    tree.restore_paths(&snapshot, ["top"]).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("top")).unwrap(), "old top");
    assert!(dir.path().join("notes").is_symlink());
}
