//! Each area of `.treewal`, with what can be wrong there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use treewal::{Finding, Options, Tree};

/// A tree with a commit, a snapshot, and nothing wrong.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    tree.transaction(|tx| tx.write("a", "one")).unwrap();
    tree.snapshot("first").unwrap();
    tree.transaction(|tx| tx.write("b", "needle-in-a-record")).unwrap();
    drop(tree);
    assert_eq!(treewal::verify(dir.path()).unwrap(), []);
    dir
}

fn codes(dir: &Path) -> BTreeSet<(&'static str, bool)> {
    let found = treewal::verify(dir).unwrap();
    for Finding { path, what, advice, .. } in &found {
        assert!(path.starts_with(".treewal") && !what.is_empty() && !advice.is_empty());
    }
    found.into_iter().map(|finding| (finding.code, finding.damage)).collect()
}

/// The files of the journal that are begun.
fn segment(dir: &Path) -> PathBuf {
    let entries = fs::read_dir(dir.join(".treewal/journal")).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found.remove(0)
}

#[test]
fn each_kind_of_thing_that_can_be_wrong_has_its_code() {
    type Spoil = fn(&Path);
    let cases: [(&str, bool, Spoil); 18] = [
        ("snapshot-odd", true, |own| symlink("/etc", own.join("snapshots/second")).unwrap()),
        ("identity-missing", true, |own| fs::remove_file(own.join("tree")).unwrap()),
        ("newer-format", true, |own| fs::write(own.join("tree"), "treewal format 9\n").unwrap()),
        ("open-to-others", false, |own| fs::set_permissions(own, fs::Permissions::from_mode(0o755)).unwrap()),
        ("open-to-others", false, |own| {
            fs::set_permissions(own.join("lock"), fs::Permissions::from_mode(0o644)).unwrap();
        }),
        ("stray", false, |own| fs::write(own.join("notes.txt"), "mine").unwrap()),
        ("part-missing", true, |own| fs::remove_dir(own.join("guards")).unwrap()),
        ("wrong-kind", true, |own| {
            fs::remove_dir(own.join("guards")).unwrap();
            symlink("/etc", own.join("guards")).unwrap();
        }),
        ("wrong-kind", true, |own| {
            fs::remove_file(own.join("lock")).unwrap();
            assert!(Command::new("mkfifo").arg(own.join("lock")).status().unwrap().success());
        }),
        ("journal-damaged", true, |own| {
            let path = segment(own.parent().unwrap());
            let mut bytes = fs::read(&path).unwrap();
            let text = b"needle-in-a-record";
            let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
        }),
        ("journal-odd", false, |own| fs::write(own.join("journal/what"), "x").unwrap()),
        ("stage-leftover", false, |own| fs::create_dir(own.join("stage/0123456789abcdef")).unwrap()),
        ("stage-odd", false, |own| fs::write(own.join("stage/what"), "x").unwrap()),
        ("guard-leftover", false, |own| fs::create_dir(own.join("guards/00")).unwrap()),
        ("snapshot-leftover", false, |own| fs::create_dir(own.join("snapshots/.0011")).unwrap()),
        ("snapshot-unreadable", true, |own| fs::write(own.join("snapshots/first/manifest"), "x").unwrap()),
        ("quarantined", true, |own| fs::create_dir(own.join("quarantine/txn-3")).unwrap()),
        ("quarantine-leftover", false, |own| fs::create_dir(own.join("quarantine/.purged-1")).unwrap()),
    ];
    for (n, (code, damage, spoil)) in cases.into_iter().enumerate() {
        let dir = tree();
        spoil(&dir.path().join(".treewal"));
        let mut found = codes(dir.path());
        assert!(found.remove(&(code, damage)), "case {n}: {:?}", treewal::verify(dir.path()));
        // What a test plants has the bits of a test.
        found.remove(&("open-to-others", false));
        assert!(found.is_empty(), "case {n}: {:?}", treewal::verify(dir.path()));
    }
}

#[test]
fn the_contents_of_snapshots_are_read() {
    let dir = tree();
    let contents = dir.path().join(".treewal/snapshots/first/contents/0");
    let path = fs::read_dir(contents).unwrap().next().unwrap().unwrap().path();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "two").unwrap();
    assert!(codes(dir.path()).contains(&("snapshot-lost", true)), "{:?}", treewal::verify(dir.path()));
}

#[test]
fn what_a_report_names_and_is_not_there_is_found_and_so_is_a_full_quarantine() {
    let dir = tree();
    let case = dir.path().join(".treewal/quarantine/txn-3");
    fs::create_dir(&case).unwrap();
    let item = r#"{"path": "a", "reason": "r", "goal": "file", "file": "0001", "found": "nothing"}"#;
    fs::write(case.join("report.json"), format!(r#"{{"format": 1, "kind": "staged", "items": [{item}]}}"#)).unwrap();
    assert!(codes(dir.path()).contains(&("quarantine-incomplete", true)));
    fs::write(case.join("0001"), "contents").unwrap();
    assert!(!codes(dir.path()).contains(&("quarantine-incomplete", true)));
    fs::write(case.join("report.json"), "[").unwrap();
    assert!(codes(dir.path()).contains(&("quarantine-incomplete", true)));
    let small = treewal::verify_with(&Options::new().quarantine_limit(1), dir.path()).unwrap();
    assert!(small.iter().any(|finding| finding.code == "quarantine-full" && !finding.damage));
}

#[test]
fn the_owner_of_a_part_is_looked_at() {
    let dir = tree();
    if std::os::unix::fs::chown(dir.path().join(".treewal/tree"), Some(12345), None).is_err() {
        eprintln!("the_owner_of_a_part_is_looked_at: skipped, giving a file away needs root");
        return;
    }
    assert_eq!(codes(dir.path()), BTreeSet::from([("foreign-owner", false)]));
}

#[test]
fn the_report_of_the_last_recovery_belongs_there() {
    let dir = tree();
    for name in ["last-recovery.json", "last-recovery.new"] {
        std::fs::write(dir.path().join(".treewal").join(name), "{}").unwrap();
    }
    assert_eq!(codes(dir.path()), BTreeSet::new());
}
