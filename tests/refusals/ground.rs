//! What is no tree, or none that can be written.

use std::fs;
use std::io;
use std::path::Path;

use treewal::{Options, Tree};

use crate::tools::{Mount, walk};

#[test]
fn a_file_and_a_missing_directory_are_no_trees() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "contents").unwrap();
    let before = walk(dir.path());
    for (path, kind) in [
        (file.clone(), io::ErrorKind::NotADirectory),
        (file.join("below"), io::ErrorKind::NotADirectory),
        (dir.path().join("missing"), io::ErrorKind::NotFound),
    ] {
        let error = Tree::open(&path).unwrap_err();
        assert_eq!((error.kind(), error.path()), (kind, Some(&*path)), "{error:?}");
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        assert_eq!(treewal::status(&path).unwrap_err().kind(), kind);
    }
    assert_eq!(walk(dir.path()), before);
}

#[test]
fn a_tree_on_a_read_only_mount_is_refused_and_can_be_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let name = "a_tree_on_a_read_only_mount_is_refused_and_can_be_looked_at";
    let Some(mount) = Mount::memory(dir.path(), "size=24m,mode=755", name) else { return };
    let (fresh, used) = (dir.path().join("fresh"), dir.path().join("used"));
    fs::create_dir(&fresh).unwrap();
    fs::create_dir(&used).unwrap();
    fs::write(fresh.join("a"), "a").unwrap();
    Options::new().segment_bytes(64 << 10).open(&used).unwrap().transaction(|tx| tx.write("a", "a")).unwrap();
    mount.again("remount,ro");
    let before = walk(dir.path());
    for (tree, named) in [(&fresh, ".treewal"), (&used, ".treewal/lock")] {
        let error = Tree::open(tree).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem, "{error:?}");
        assert_eq!(error.path(), Some(Path::new(named)), "{error:?}");
        assert_eq!(treewal::verify(tree).unwrap(), []);
    }
    assert_eq!(treewal::status(&fresh).unwrap().state, "unused");
    assert_eq!(treewal::status(&used).unwrap().state, "clean");
    assert_eq!(walk(dir.path()), before);
}
