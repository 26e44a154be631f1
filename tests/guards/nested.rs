//! A guard inside a guard.

use std::fs;

use crate::end;
use treewal::{Error, Tree};

fn world() -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    for path in ["a", "d/x", "d/y"] {
        fs::write(dir.path().join(path), "0").unwrap();
    }
    let tree = Tree::open(dir.path()).unwrap();
    (dir, tree)
}

struct Files<'a>(&'a std::path::Path);

impl Files<'_> {
    fn write(&self, path: &str, text: &str) {
        fs::write(self.0.join(path), text).unwrap();
    }

    fn are(&self, wanted: [&str; 3]) {
        assert_eq!(["a", "d/x", "d/y"].map(|path| fs::read_to_string(self.0.join(path)).unwrap()), wanted);
    }
}

#[test]
fn an_inner_rollback_restores_what_was_when_it_began() {
    let (dir, tree) = world();
    let files = Files(dir.path());
    let outer = tree.guard(["a", "d"]).unwrap();
    files.write("d/x", "1");
    let inner = outer.guard(["d/x"]).unwrap();
    files.write("d/x", "2");
    files.write("d/y", "2");
    inner.rollback().unwrap();
    files.are(["0", "1", "2"]);
    let again = outer.guard(["d"]).unwrap();
    files.write("d/x", "3");
    drop(again);
    files.are(["0", "1", "2"]);
    outer.commit().unwrap();
    files.are(["0", "1", "2"]);
    drop(tree);
    assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
    files.are(["0", "1", "2"]);
}

#[test]
fn an_inner_commit_goes_with_the_outer_one() {
    for outer_commits in [true, false] {
        let (dir, tree) = world();
        let files = Files(dir.path());
        let outer = tree.guard(["."]).unwrap();
        for turn in ["1", "2"] {
            let inner = outer.guard(["a", "d/x"]).unwrap();
            files.write("a", turn);
            files.write("d/x", turn);
            inner.commit().unwrap();
        }
        files.are(["2", "2", "0"]);
        end(outer, outer_commits).unwrap();
        files.are(if outer_commits { ["2", "2", "0"] } else { ["0", "0", "0"] });
        drop(tree);
        assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
        files.are(if outer_commits { ["2", "2", "0"] } else { ["0", "0", "0"] });
        assert_eq!(fs::read_dir(dir.path().join(".treewal/guards")).unwrap().count(), 0);
    }
}

#[test]
fn an_open_inner_guard_ends_with_the_outer_one() {
    for outer_commits in [true, false] {
        let (dir, tree) = world();
        let files = Files(dir.path());
        let outer = tree.guard(["a", "d"]).unwrap();
        files.write("a", "1");
        files.write("d/x", "1");
        let inner = outer.guard(["d"]).unwrap();
        files.write("d/x", "2");
        let innermost = inner.guard(["d/x"]).unwrap();
        files.write("d/x", "3");
        files.write("d/y", "3");
        end(outer, outer_commits).unwrap();
        // The innermost went back first: what is around it is older.
        let kept = if outer_commits { "1" } else { "0" };
        files.are([kept, kept, "0"]);
        files.write("d/x", "later");
        assert!(matches!(innermost.commit(), Err(Error::Input(_))));
        drop(inner);
        files.are([kept, "later", "0"]);
        tree.transaction(|tx| tx.write("d/x", "0")).unwrap();
        assert_eq!(fs::read_dir(dir.path().join(".treewal/guards")).unwrap().count(), 0);
    }
}

#[test]
fn an_inner_guard_has_no_paths_of_its_own_and_one_place() {
    let (dir, tree) = world();
    let outer = tree.guard(["d"]).unwrap();
    for paths in [["a"], ["."], ["dd"]] {
        assert!(matches!(outer.guard(paths), Err(Error::Input(_))), "{paths:?}");
    }
    let inner = outer.guard(["d/x", "d/not there/yet"]).unwrap();
    assert!(matches!(outer.guard(["d/y"]), Err(Error::Input(_))));
    fs::create_dir_all(dir.path().join("d/not there/yet")).unwrap();
    inner.rollback().unwrap();
    assert!(!dir.path().join("d/not there").exists());
    outer.guard(["d/y"]).unwrap().commit().unwrap();
    outer.commit().unwrap();
}
