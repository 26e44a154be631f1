//! Journals that somebody else wrote, damaged, moved or brought from elsewhere: they change nothing that is not theirs.

use std::ffi::OsStr;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use treewal::{OnDamage, Options, Tree};
use treewal_journal::record::{Guard, PathBytes, Record};
use treewal_journal::{Log, LogOptions, Reader};
use treewal_recovery::append;
use treewal_recovery::home::Home;
use treewal_vfs::{Disk, RealDisk};

use crate::child::dies_of;
use crate::walk::{differences, leftovers, walk, work_dir};

/// A tree in `tree`, and something beside it that is nobody's business.
fn world() -> (tempfile::TempDir, PathBuf) {
    let dir = work_dir();
    let tree = dir.path().join("tree");
    fs::create_dir_all(dir.path().join("outside/d")).unwrap();
    fs::write(dir.path().join("outside/d/precious"), "precious").unwrap();
    fs::create_dir_all(tree.join("d")).unwrap();
    fs::write(tree.join("d/f"), "old").unwrap();
    drop(Tree::open(&tree).unwrap());
    (dir, tree)
}

/// Appends a guard that nobody took to the journal of a tree that nobody has open: the next opening is to undo it.
fn forge(tree: &Path, snapshot: &str, paths: &[&str]) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let home = Home::open(disk.clone(), disk.open_root(tree).unwrap()).unwrap().unwrap();
    let scan = Reader::scan(&*disk, &home.journal, None, &mut |_| ControlFlow::Continue(())).unwrap();
    let log = Log::resume(disk, home.journal, LogOptions::new(scan.tree.unwrap()), &scan).unwrap();
    let paths = paths.iter().map(|path| PathBytes(path.as_bytes().to_vec())).collect();
    append(&log, &[Record::Guard(Guard { txn: log.last().0 + 1, snapshot: snapshot.to_owned(), paths })]).unwrap();
    log.sync().unwrap();
}

/// Opens a tree with a forged journal: it opens, says so, works on, and nothing but its own directory has changed.
fn is_harmless(tree: &Path, outside: &Path, what: &str) {
    let (before, around) = (walk(tree), walk(outside));
    let opened = Tree::open(tree).unwrap();
    let report = opened.recovery().to_string();
    assert!(!opened.recovery().is_clean(), "{what}: {report}");
    assert_eq!(differences(&walk(tree), &before), Vec::<String>::new(), "{what}: {report}");
    assert_eq!(differences(&walk(outside), &around), Vec::<String>::new(), "{what}: {report}");
    opened.transaction(|tx| tx.write("works", "on")).unwrap();
    drop(opened);
    assert!(Tree::open(tree).unwrap().recovery().is_clean(), "{what}");
}

#[test]
fn w_o3_a_forged_journal_removes_nothing() {
    for path in ["../outside/d", "/etc/hostname", "d/../../outside", ".treewal/tree", "d/f", "."] {
        let (dir, tree) = world();
        forge(&tree, "0123456789abcdef", &[path]);
        is_harmless(&tree, &dir.path().join("outside"), path);
    }
}

#[test]
fn w_o3b_nor_does_the_snapshot_that_it_names() {
    for snapshot in ["../../../outside", "..", ".", "", "/", "../quarantine", "../../d"] {
        let (dir, tree) = world();
        forge(&tree, snapshot, &["d/f"]);
        is_harmless(&tree, &dir.path().join("outside"), snapshot);
    }
}

fn segment(tree: &Path) -> PathBuf {
    let mut found: Vec<_> =
        fs::read_dir(tree.join(".treewal/journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found.pop().unwrap()
}

#[test]
fn ro12_a_journal_that_is_none_does_not_keep_the_tree_shut() {
    type Damage = (&'static str, fn(Vec<u8>) -> Vec<u8>);
    let damages: [Damage; 5] = [
        ("empty", |_| Vec::new()),
        ("something else", |_| b"{not json".to_vec()),
        ("a header cut short", |bytes| bytes[..100].to_vec()),
        ("zeros", |bytes| vec![0; bytes.len()]),
        ("noise", |bytes| {
            bytes.into_iter().enumerate().map(|(n, byte)| byte ^ u8::try_from(n % 251).unwrap()).collect()
        }),
    ];
    for (name, damage) in damages {
        let (dir, tree) = world();
        let opened = Tree::open(&tree).unwrap();
        opened.transaction(|tx| tx.write("d/f", "committed")).unwrap();
        std::mem::forget(opened);
        let file = segment(&tree);
        fs::write(&file, damage(fs::read(&file).unwrap())).unwrap();
        let refused = Options::new().on_damage(OnDamage::Refuse).open(&tree);
        let opened = Tree::open(&tree).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let report = opened.recovery().clone();
        assert_eq!(opened.begin().read("d/f").unwrap(), b"committed", "{name}: {report}");
        opened.transaction(|tx| tx.write("d/f", "goes on")).unwrap();
        drop(opened);
        assert!(Tree::open(&tree).unwrap().recovery().is_clean(), "{name}");
        // What is left is in quarantine and in the report, or nowhere.
        let mut left = leftovers(&tree);
        // The handle that was not closed lives as long as this process, and so does its stage.
        left.retain(|path| !path.starts_with(tree.join(".treewal/stage")));
        // Who asked for a refusal and got none, as nothing was lost, may have been told already.
        let first = refused.as_ref().map(|tree| tree.recovery().to_string()).unwrap_or_default();
        let untold = left.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
        let untold: Vec<String> =
            untold.filter(|name| !report.to_string().contains(name) && !first.contains(name)).collect();
        assert!(untold.is_empty(), "{name}: {untold:?} in quarantine, and not in the report: {first}; {report}");
        assert!(left.iter().all(|path| path.starts_with(tree.join(".treewal/quarantine"))), "{name}: {left:?}");
        assert!(refused.is_err() || report.damage.is_empty(), "{name}: damage was to be refused");
        drop(dir);
    }
}

#[test]
fn w_o13_what_a_newer_version_wrote_is_refused_and_not_touched() {
    let (_dir, tree) = world();
    dies_of("w_o17", &tree_with_story(&tree));
    let (identity, file) = (tree.join(".treewal/tree"), segment(&tree));
    let (text, bytes) = (fs::read_to_string(&identity).unwrap(), fs::read(&file).unwrap());
    let before = walk(&tree);
    fs::write(&identity, text.replace("format 1", "format 2")).unwrap();
    let refused = Tree::open(&tree).unwrap_err();
    assert!(refused.to_string().contains("version 2"), "{refused}");
    assert_eq!(differences(&walk(&tree), &before), Vec::<String>::new());
    assert_eq!(fs::read(&file).unwrap(), bytes, "the journal is as it was");
    fs::write(&identity, text).unwrap();
    let opened = Tree::open(&tree).unwrap();
    assert_eq!(opened.recovery().transactions[0].label, "undo");
}

/// What the story of that name needs.
fn tree_with_story(tree: &Path) -> PathBuf {
    fs::create_dir_all(tree.join("d/deep")).unwrap();
    for path in ["d/same", "d/deep/same", "d/changed"] {
        fs::write(tree.join(path), "old").unwrap();
    }
    tree.to_owned()
}

#[test]
fn w_o14_a_tree_that_was_moved_is_recovered_where_it_is() {
    let (dir, tree) = world();
    dies_of("w_o17", &tree_with_story(&tree));
    let moved = dir.path().join("elsewhere/under/another name");
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(&tree, &moved).unwrap();
    // Somebody else stands in the old place.
    fs::create_dir_all(tree.join("d")).unwrap();
    fs::write(tree.join("d/changed"), "not ours").unwrap();
    let opened = Tree::open(&moved).unwrap();
    assert_eq!(opened.recovery().transactions[0].label, "undo");
    assert_eq!(fs::read(moved.join("d/changed")).unwrap(), b"old");
    assert_eq!(fs::read(tree.join("d/changed")).unwrap(), b"not ours");
}

#[test]
fn ro25_a_journal_of_another_tree_is_not_believed() {
    let (dir, ours) = world();
    let theirs = dir.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    drop(Tree::open(tree_with_story(&theirs)).unwrap());
    dies_of("w_o17", &theirs);
    fs::write(ours.join("d/changed"), "ours, and none of theirs").unwrap();
    fs::copy(segment(&theirs), segment(&ours)).unwrap();
    for entry in fs::read_dir(theirs.join(".treewal/guards")).unwrap() {
        fs::rename(entry.as_ref().unwrap().path(), ours.join(".treewal/guards").join(entry.unwrap().file_name()))
            .unwrap();
    }
    is_harmless(&ours, &dir.path().join("outside"), "the journal of another tree");
    assert_eq!(fs::read(ours.join("d/changed")).unwrap(), b"ours, and none of theirs");
    assert!(!ours.join(OsStr::new("d/deep")).exists());
}
