//! A `.treewal` that is not ours.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use treewal::{Error, Options, Tree};

use crate::tools::{skipped, walk, walk_tree};

#[test]
fn a_store_that_is_not_ours_is_refused_by_name() {
    type Plant = fn(&Path, &Path);
    let plants: [(&str, Plant); 5] = [
        ("a file", |store, _| fs::write(store, "mine").unwrap()),
        ("a symlink to a directory elsewhere", |store, outside| symlink(outside, store).unwrap()),
        ("a symlink to nothing", |store, outside| symlink(outside.join("nothing"), store).unwrap()),
        ("a symlink to a file", |store, outside| symlink(outside.join("kept"), store).unwrap()),
        ("a fifo", |store, _| {
            assert!(Command::new("mkfifo").arg(store).status().unwrap().success());
        }),
    ];
    for (what, plant) in plants {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(outside.path().join("kept"), "kept").unwrap();
        plant(&dir.path().join(".treewal"), outside.path());
        let at = |dir: &Path| fs::symlink_metadata(dir).unwrap().mode();
        let before = (walk_names(dir.path()), walk(outside.path()), at(outside.path()));
        let error = Tree::open(dir.path()).unwrap_err();
        assert!(
            matches!(&error, Error::Store { path, .. } if path == Path::new(".treewal")),
            "{what}: not refused by name: {error:?}"
        );
        assert!(treewal::status(dir.path()).is_err(), "{what}");
        assert_eq!((walk_names(dir.path()), walk(outside.path()), at(outside.path())), before, "{what}");
    }
}

/// Names and kinds alone: a fifo is not to be read.
fn walk_names(dir: &Path) -> Vec<(PathBuf, u32)> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| (entry.as_ref().unwrap().path(), entry.unwrap().metadata().unwrap().mode()))
        .collect()
}

#[test]
fn a_store_of_another_user_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join(".treewal");
    drop(Options::new().segment_bytes(64 << 10).open(dir.path()).unwrap());
    if let Err(error) = chown(&store, Some(12_345), None) {
        return skipped("a_store_of_another_user_is_refused_by_name", &error.to_string());
    }
    let before = walk(dir.path());
    let error = Tree::open(dir.path()).unwrap_err();
    assert!(
        matches!(&error, Error::Store { path, reason } if path == Path::new(".treewal") && reason.contains("user"))
    );
    assert_eq!(walk(dir.path()), before);
    assert_eq!(fs::metadata(&store).unwrap().uid(), 12_345);
}

#[test]
fn links_planted_inside_the_store_lead_nowhere() {
    for name in ["journal", "stage", "guards", "quarantine", "lock", "queue", "tree", "tree.new"] {
        for inner in ["", "kept"] {
            let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let options = Options::new().segment_bytes(64 << 10);
            options.open(dir.path()).unwrap().transaction(|tx| tx.write("a", "a")).unwrap();
            fs::write(outside.path().join("kept"), "kept").unwrap();
            let planted = dir.path().join(".treewal").join(name);
            if planted.is_dir() {
                fs::remove_dir_all(&planted).unwrap();
            } else {
                drop(fs::remove_file(&planted));
            }
            symlink(outside.path().join(inner), &planted).unwrap();
            let before = (walk_tree(dir.path()), walk(outside.path()));
            // Whether it opens is not the point here; an error must name where the link is.
            match options.open(dir.path()) {
                Ok(tree) => drop(tree),
                Err(error) => {
                    let path = error.path().unwrap_or(Path::new("?")).to_owned();
                    assert!(path.starts_with(".treewal") && path.ends_with(name), "{name}: {error:?}");
                }
            }
            assert_eq!((walk_tree(dir.path()), walk(outside.path())), before, "{name} -> {inner}");
        }
    }
}
