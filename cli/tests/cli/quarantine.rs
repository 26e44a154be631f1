//! `quarantine`: list, show, retry, export, purge.

use std::fs;
use std::path::Path;

use crate::common::*;

/// A tree whose command destroyed the room for its own undoing: its guard is given up.
fn given_up() -> (tempfile::TempDir, String) {
    let dir = tree(&[("a", "old\n"), ("b", "old b\n")]);
    let script = "echo new > a; echo x > c; rm -rf .treewal/guards/*/contents/0; exit 3";
    treewal(dir.path(), ["run", "--", "sh", "-c", script]).exits(125);
    treewal(dir.path(), ["recover"]).exits(6);
    let json = treewal(dir.path(), ["quarantine", "list", "--json"]).exits(0).json();
    let id = json["quarantine"][0]["id"].as_str().unwrap().to_owned();
    (dir, id)
}

/// A transaction whose path somebody changed before it was finished, as the report says.
fn staged(found: &str) -> tempfile::TempDir {
    let dir = tree(&[("page", "theirs\n")]);
    treewal(dir.path(), ["recover"]).exits(0);
    let case = dir.path().join(".treewal/quarantine/txn-9");
    fs::create_dir(&case).unwrap();
    fs::write(case.join("0001"), "ours\n").unwrap();
    fs::write(case.join("report.txt"), "for people \x1b[31m\n").unwrap();
    let items = format!(r#"[{{"path": "new/page", "reason": "r", "goal": "file", "file": "0001", "found": {found}}}]"#);
    let text = format!(
        r#"{{"format": 1, "kind": "staged", "transaction": 9, "label": "redo", "reason": "why", "items": {items}}}"#
    );
    fs::write(case.join("report.json"), text).unwrap();
    dir
}

fn run(dir: &Path, words: &str) -> Answer {
    treewal(dir, words.split(' ').collect::<Vec<_>>())
}

#[test]
fn nothing_is_in_the_quarantine_of_a_tree_that_nobody_used() {
    let dir = tree(&[]);
    assert_eq!(run(dir.path(), "quarantine list").exits(0).stdout, "");
    run(dir.path(), "quarantine show txn-1").exits(1).says(&["there is no \"txn-1\"", "quarantine list"]);
    assert!(!dir.path().join(".treewal").exists(), "to look changes nothing");
}

#[test]
fn an_entry_is_listed_shown_exported_and_purged() {
    let (dir, id) = given_up();
    let run = |words: &str| run(dir.path(), words);
    let line = run("quarantine list").exits(0).stdout;
    assert!(line.starts_with(&format!("{id}  guarded, 20")), "{line}");
    let shown = run(&format!("quarantine show {id}")).exits(0).stdout;
    assert!(shown.contains("undo-impossible") && shown.contains("file       a"), "{shown}");
    run("status").exits(0);
    let outside = tree(&[]);
    let out = outside.path().join("out");
    let answer = run(&format!("quarantine export {id} {} --json", out.display())).exits(6).json();
    assert!(!answer["left"].as_array().unwrap().is_empty(), "the contents are gone: {answer}");
    run(&format!("quarantine export {id} {}", out.display())).exits(1).says(&["something is there already"]);
    run(&format!("quarantine retry {id}")).exits(6);

    run(&format!("quarantine purge {id}")).exits(2).says(&["nobody can be asked", "--yes"]);
    run("quarantine purge").exits(2);
    run("quarantine purge --all --older-than 1d").exits(2);
    assert_eq!(run("quarantine purge --older-than 1d --json").exits(0).json()["purged"], serde_json::json!([]));
    let json = run("quarantine purge --all --yes --json").exits(0).json();
    assert_eq!((&json["outcome"], &json["purged"]), (&"purged".into(), &serde_json::json!([id])));
    assert_eq!(run("quarantine list").exits(0).stdout, "");
    assert_eq!(run("verify").exits(0).stdout, "ok\n");
}

#[test]
fn what_is_in_place_again_leaves_quarantine_and_conflicts_are_named() {
    let dir = staged("\"nothing\"");
    let run_in = |words: &str| run(dir.path(), words);
    let shown = run_in("quarantine show txn-9").exits(0).stdout;
    assert!(shown.contains("for people \\u{1b}[31m"), "nothing reaches the terminal: {shown}");
    let dry = run_in("quarantine retry txn-9 --dry-run --json").exits(0).json();
    assert_eq!((&dry["changes"][0]["path"], &dry["outcome"]), (&"new/page".into(), &"unchanged".into()));
    assert!(!dir.path().join("new").exists());
    run_in("quarantine export txn-9 /proc/self").exits(1);
    assert!(run_in("quarantine retry txn-9").exits(0).stdout.contains("gone from quarantine"));
    assert_eq!(look(dir.path())["new/page"], "ours\n");
    assert_eq!(run_in("quarantine list").exits(0).stdout, "");

    let dir = staged(
        r#"{"entry": {"dir": false, "ino": 1, "born": {"secs": 0, "nanos": 0}, "size": 1, "modified": {"secs": 0, "nanos": 0}}}"#,
    );
    let run_in = |words: &str| run(dir.path(), words);
    let json = run_in("quarantine retry txn-9 --json").exits(5).json();
    assert_eq!((&json["conflicts"][0]["path"], &json["purged"]), (&"new/page".into(), &false.into()));
    run_in("quarantine retry txn-9").exits(5).says(&["--force"]);
    assert_eq!(run_in("quarantine retry txn-9 --force --json").exits(0).json()["purged"], true);
    assert_eq!(look(dir.path())["new/page"], "ours\n");
}

#[test]
fn a_limit_is_told_by_status_and_verify_and_nothing_goes() {
    let dir = staged("\"nothing\"");
    assert!(!run(dir.path(), "status").exits(0).stdout.contains("more than its limit"));
    assert!(run(dir.path(), "status --quarantine-limit 1").exits(0).stdout.contains("more than its limit"));
    assert_eq!(run(dir.path(), "status --quarantine-limit 1 --json").exits(0).json()["quarantine_is_full"], true);
    assert!(dir.path().join(".treewal/quarantine/txn-9/0001").exists());
}
