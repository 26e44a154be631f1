//! Another file system inside the tree.

use std::fs;

use treewal::{Error, Outcome, Transaction, Tree};

use crate::tools::{Mount, bind, walk_tree};

#[test]
fn another_file_system_inside_the_tree_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("mnt");
    fs::create_dir(&inner).unwrap();
    fs::write(dir.path().join("a"), "old").unwrap();
    let name = "another_file_system_inside_the_tree_is_refused_by_name";
    let Some(_mount) = Mount::memory(&inner, "size=1m,mode=755", name) else { return };
    fs::create_dir(inner.join("deep")).unwrap();
    fs::write(inner.join("theirs"), "theirs").unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let before = walk_tree(dir.path());
    type Operation = fn(&mut Transaction) -> treewal::Result<()>;
    let operations: [(&str, Operation); 8] = [
        ("write", |tx| tx.write("mnt/x", "x")),
        ("write over", |tx| tx.write("mnt/theirs", "x")),
        ("write deep", |tx| tx.write("mnt/deep/x", "x")),
        ("make a directory", |tx| tx.create_dir("mnt/new")),
        ("remove", |tx| tx.remove_file("mnt/theirs")),
        ("move in", |tx| tx.rename("a", "mnt/a")),
        ("move out", |tx| tx.rename("mnt/theirs", "b")),
        ("exchange", |tx| tx.exchange("a", "mnt/theirs")),
    ];
    for (what, operation) in operations {
        let mut tx = tree.begin();
        tx.write("a", "new").unwrap();
        let error = operation(&mut tx).and_then(|()| tx.commit().map(drop)).unwrap_err();
        assert!(matches!(error, Error::OtherFileSystem { .. }), "{what}: {error:?}");
        assert!(error.path().is_some_and(|path| path.starts_with("mnt")), "{what}: {error:?}");
        assert_eq!(error.outcome(), Outcome::Unchanged, "{what}");
        assert_eq!(walk_tree(dir.path()), before, "{what}");
    }
    // The mount point itself cannot be removed or moved by anybody: whatever the error, nothing has changed.
    let on_itself: [Operation; 2] = [|tx| tx.remove_dir_all("mnt"), |tx| tx.rename("mnt", "elsewhere")];
    for operation in on_itself {
        let mut tx = tree.begin();
        tx.write("a", "new").unwrap();
        let error = operation(&mut tx).and_then(|()| tx.commit().map(drop)).unwrap_err();
        assert_ne!(error.outcome(), Outcome::Undecided, "{error:?}");
        assert_eq!(walk_tree(dir.path()), before, "{error:?}");
    }
    assert!(tree.guard(["mnt/theirs"]).is_err());
    tree.transaction(|tx| tx.write("a", "new")).unwrap();
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"new");
}

/// Such a file cannot be replaced by a rename, which shows only when the commit is being applied.
#[test]
fn a_file_that_is_a_mount_point_undoes_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    for path in ["a", "bound", "z"] {
        fs::write(dir.path().join(path), "old").unwrap();
    }
    let name = "a_file_that_is_a_mount_point_undoes_the_commit";
    let Some(_mount) = bind(&dir.path().join("bound"), name) else { return };
    let tree = Tree::open(dir.path()).unwrap();
    let before = walk_tree(dir.path());
    let replace = |tx: &mut Transaction| {
        tx.write("a", "new")?;
        tx.write("bound", "new")?;
        tx.write("z", "new")
    };
    let error = tree.transaction(replace).unwrap_err();
    assert!(matches!(error.outcome(), Outcome::Unchanged | Outcome::RolledBack), "{error:?}");
    assert!(error.path().is_some_and(|path| path.ends_with("bound")), "{error:?}");
    assert_eq!(walk_tree(dir.path()), before, "{error:?}");
    tree.transaction(|tx| tx.write("a", "new")).unwrap();
    drop(tree);
    assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
    assert_eq!(fs::read(dir.path().join("bound")).unwrap(), b"old");
}
