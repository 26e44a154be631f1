//! What a path is taken for by how it is written.

use std::fs;
use std::io::ErrorKind;

use treewal::{Error, Transaction};

use crate::world::World;

#[test]
fn a_slash_behind_a_name_makes_it_that_of_a_directory() {
    let world = World::new();
    for name in ["f", "g"] {
        fs::write(world.at(name), "f").unwrap();
    }
    fs::create_dir(world.at("d")).unwrap();
    std::os::unix::fs::symlink("d", world.at("l")).unwrap();
    for path in ["f/", "f/.", "f//", "l/", "d/", "nothing/"] {
        let theirs = fs::remove_file(world.at(path)).unwrap_err().kind();
        let mut tx = world.tree.begin();
        let ours = tx.remove_file(path).unwrap_err().kind();
        assert_eq!(ours, theirs, "{path}");
        assert_eq!(tx.changes(), [], "{path}");
    }
    world.tree.transaction(|tx| tx.remove_file("./f")).unwrap();
    assert!(!world.at("f").exists());
    world.close();
}

/// A file system that folds case finds the same directory under them.
#[test]
fn names_that_fold_to_treewals_own_are_refused() {
    let world = World::new();
    fs::write(world.at("f"), "f").unwrap();
    for own in [".treewal", ".TREEWAL", ".Treewal", ".tree\u{200c}wal"] {
        type Operation = fn(&mut Transaction, &str) -> treewal::Result<()>;
        let operations: [Operation; 7] = [
            |tx, path| tx.write(path, "x"),
            |tx, path| tx.remove_file(path),
            |tx, path| tx.remove_dir_all(path),
            |tx, path| tx.rename("f", path),
            |tx, path| tx.rename(path, "g"),
            |tx, path| tx.create_dir_all(path),
            |tx, path| tx.read(path).map(drop),
        ];
        for path in [own.to_owned(), format!("{own}/tree"), format!("./{own}")] {
            for operation in operations {
                let refused = operation(&mut world.tree.begin(), &path);
                assert!(matches!(refused, Err(Error::Reserved { .. })), "{path:?}: {refused:?}");
            }
            let guarded = world.tree.guard([&path]).map(drop);
            assert!(matches!(guarded, Err(Error::Reserved { .. })), "{path:?}: {guarded:?}");
        }
    }
    // Beneath a directory it is a name like any other.
    world
        .tree
        .transaction(|tx| {
            tx.create_dir("d")?;
            tx.write("d/.TREEWAL", "x")
        })
        .unwrap();
    assert_eq!(world.tree.begin().write("f/x", "x").unwrap_err().kind(), ErrorKind::NotADirectory);
    world.close();
}
