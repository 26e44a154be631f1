//! `resolve`, and `status` while something is owed: the disk refuses to put back what a guard protects.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use treewal::Options;
use treewal_vfs::{Fault, FaultDisk, RealDisk, Verb, errno};

use crate::common::*;

/// A tree in which a guard on `a` is owed its undoing; gives its number.
fn owed(dir: &Path) -> String {
    let faulty = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None).only(Verb::Rename));
    let tree = Options::new().open_on(faulty.clone(), dir).unwrap();
    let guard = tree.guard(["a"]).unwrap();
    let id = guard.id().to_string();
    fs::write(dir.join("a"), "in place").unwrap();
    faulty.arm(Fault::Error { at: 1, errno: errno::ENOSPC });
    guard.rollback().unwrap_err();
    drop(tree);
    faulty.arm(Fault::Error { at: 1, errno: errno::ENOSPC });
    let tree = Options::new().open_on(faulty, dir).unwrap();
    assert_eq!(tree.recovery().pending().count(), 1, "{}", tree.recovery());
    id
}

#[test]
fn ro24_status_shows_what_is_owed_and_why_without_touching_it() {
    let dir = tree(&[("a", "old"), ("b", "b")]);
    let id = owed(dir.path());
    let said = treewal(dir.path(), ["status"]).exits(0).stdout;
    for words in [
        "undo-owed): not committed, still to be undone; its paths are refused to others, tried 1 times",
        "at last: passing: ",
        "No space left",
        "recovered   last at 20",
        &format!("resolve {id} --dry-run"),
    ] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    let json = treewal(dir.path(), ["status", "--json"]).exits(0).json();
    assert_eq!(json["transactions"][0]["label"], "undo-owed");
    assert!(json["transactions"][0]["failures"][0].as_str().unwrap().contains("No space left"), "{json}");
    assert_eq!(json["last_recovery"]["report"]["transactions"][0]["label"], "undo-owed", "{json}");
    let kept = fs::read_to_string(dir.path().join(".treewal/last-recovery.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept, json["last_recovery"]);
    // A report that is none is not shown, and keeps nobody from anything.
    fs::write(dir.path().join(".treewal/last-recovery.json"), "{\"at\":").unwrap();
    let json = treewal(dir.path(), ["status", "--json"]).exits(0).json();
    assert!(json["last_recovery"].is_null(), "{json}");
    treewal(dir.path(), ["recover"]).exits(0);
    assert_eq!(look(dir.path())["a"], "old");
}

#[test]
fn ro24_a_dry_run_shows_what_each_choice_would_do() {
    let dir = tree(&[("a", "old")]);
    let id = owed(dir.path());
    let said = treewal(dir.path(), ["resolve", &id, "--dry-run"]).exits(0).stdout;
    for words in ["--keep\n", "--restore\n", "brings back a\n", "--abandon\n", "leaves the tree as it is"] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    let json = treewal(dir.path(), ["resolve", &id, "--restore", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(json["outcome"], "unchanged");
    assert_eq!(json["choices"][0]["resolution"], "restore");
    assert_eq!(json["choices"][0]["changes"], serde_json::json!(["a"]));
    assert_eq!(json["choices"].as_array().unwrap().len(), 1);
    assert_eq!(look(dir.path())["a"], "in place");
    treewal(dir.path(), ["resolve", &id]).exits(2);
    treewal(dir.path(), ["resolve", &id, "--keep", "--restore"]).exits(2);
    treewal(dir.path(), ["resolve", "77", "--keep"]).exits(2).says(&["nothing is owed to transaction 77"]);
    // The snapshot is gone: that is told, and it cannot be done.
    let guards = dir.path().join(".treewal/guards");
    let snapshot = fs::read_dir(&guards).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(snapshot.join("manifest")).unwrap();
    treewal(dir.path(), ["resolve", &id, "--restore", "--dry-run"]).exits(1);
    treewal(dir.path(), ["resolve", &id, "--restore"]).exits(1);
    assert_eq!(look(dir.path())["a"], "in place");
    treewal(dir.path(), ["resolve", &id, "--abandon"]).exits(0);
}

#[test]
fn ro24_a_person_decides() {
    for (choice, left, kept) in
        [("--keep", "in place", false), ("--restore", "old", false), ("--abandon", "in place", true)]
    {
        let dir = tree(&[("a", "old")]);
        let id = owed(dir.path());
        let json = treewal(dir.path(), ["resolve", &id, choice, "--json"]).exits(0).json();
        assert_eq!((&json["outcome"], &json["command"]), (&"resolved".into(), &"resolve".into()), "{json}");
        assert_eq!(look(dir.path())["a"], left, "{choice}");
        let json = treewal(dir.path(), ["status", "--json"]).exits(0).json();
        assert_eq!(
            (&json["state"], json["quarantine"].as_array().unwrap().len()),
            (&"clean".into(), usize::from(kept))
        );
        let written = changes(dir.path(), r#"{"op": "write", "path": "a", "text": "later"}"#);
        written.exits(0);
        treewal(dir.path(), ["resolve", &id, choice]).exits(2);
        assert_eq!(look(dir.path())["a"], "later");
    }
}

#[test]
fn ro24_a_refused_path_is_told_with_what_to_do() {
    let dir = tree(&[("d/a", "old"), ("d/m/", "")]);
    let tree = Options::new().open(dir.path()).unwrap();
    let guard = tree.guard(["d"]).unwrap();
    let id = guard.id();
    fs::write(dir.path().join("d/a"), "in place").unwrap();
    let mount = dir.path().join("d/m");
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&mount).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: ro24_a_refused_path_is_told_with_what_to_do needs to mount");
        return;
    }
    guard.rollback().unwrap_err();
    drop(tree);
    let refused = changes(dir.path(), r#"{"op": "write", "path": "d/b", "text": "later"}"#);
    let beside = changes(dir.path(), r#"{"op": "write", "path": "b", "text": "later"}"#);
    assert!(std::process::Command::new("umount").arg(&mount).status().unwrap().success());
    refused.exits(4).says(&[&format!("transaction {id}"), "resolve"]);
    beside.exits(0);
    treewal(dir.path(), ["recover"]).exits(0);
    assert_eq!((look(dir.path())["d/a"].as_str(), look(dir.path())["b"].as_str()), ("old", "later"));
}
