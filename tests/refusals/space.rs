//! A full disk.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use treewal::{Outcome, Tree};

use crate::tools::{Mount, walk_tree};

/// From no room at all upwards: a commit either happens, or is refused before it promised anything.
#[test]
fn a_full_disk_stops_a_commit_before_it_promises_anything() {
    let dir = tempfile::tempdir().unwrap();
    let name = "a_full_disk_stops_a_commit_before_it_promises_anything";
    let Some(_mount) = Mount::memory(dir.path(), "size=24m,mode=755", name) else { return };
    let tree_dir = dir.path().join("tree");
    fs::create_dir_all(tree_dir.join("d")).unwrap();
    for path in ["a", "b", "d/c"] {
        fs::write(tree_dir.join(path), "old").unwrap();
    }
    let tree = Tree::open(&tree_dir).unwrap();
    let ballast = dir.path().join("ballast");
    let (mut refused, mut done) = (0, 0);
    for pages in 0..=70usize {
        fill_up_to(&ballast, pages * 4096);
        let before = walk_tree(&tree_dir);
        let text = format!("new, with {pages} pages free").repeat(200);
        let committed = tree.transaction(|tx| {
            for path in ["a", "b", "d/c", "d/new"] {
                tx.write(path, &text)?;
            }
            // Beyond the inline limit: written to the stage at once.
            tx.write("large", vec![b'L'; 100_000 + pages])
        });
        match committed {
            Ok(()) => {
                done += 1;
                assert_eq!(fs::read_to_string(tree_dir.join("d/new")).unwrap(), text);
                assert_eq!(fs::read(tree_dir.join("large")).unwrap().len(), 100_000 + pages);
                // Displaced versions take room until a checkpoint.
                tree.checkpoint().unwrap();
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{pages} pages: {error:?}");
                assert_eq!(error.outcome(), Outcome::Unchanged, "{pages} pages: {error:?}");
                assert_eq!(walk_tree(&tree_dir), before, "{pages} pages: {error:?}");
            }
        }
        fs::remove_file(&ballast).unwrap();
    }
    println!("full disk: {refused} commits refused, {done} done");
    assert!(refused > 10 && done > 10, "{refused} refused, {done} done");
    fill_up_to(&ballast, 0);
    let error = tree.guard(["."]).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (io::ErrorKind::StorageFull, Outcome::Unchanged), "{error:?}");
    fs::remove_file(&ballast).unwrap();
    tree.transaction(|tx| tx.write("a", "after all")).unwrap();
    drop(tree);
    assert_eq!(treewal::status(&tree_dir).unwrap().state, "clean");
    assert!(Tree::open(&tree_dir).unwrap().recovery().is_clean());
    assert_eq!(fs::read(tree_dir.join("a")).unwrap(), b"after all");
}

/// Makes a file that leaves so many bytes free.
fn fill_up_to(ballast: &Path, free: usize) {
    let mut file = fs::File::create(ballast).unwrap();
    let mut written = 0;
    while let Ok(bytes @ 1..) = file.write(&[0x55; 4096]) {
        written += bytes;
    }
    file.set_len(written.saturating_sub(free) as u64).unwrap();
}
