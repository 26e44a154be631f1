//! `status`, `log`, `verify`: read only.

use std::fs;
use std::path::Path;

use crate::common::*;

/// Everything below a directory with lengths and times of change, treewal's own among it.
fn fingerprint(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut stack = vec![dir.to_owned()];
    while let Some(next) = stack.pop() {
        let meta = fs::symlink_metadata(&next).unwrap();
        lines.push(format!("{} {} {:?}", next.display(), meta.len(), meta.modified().unwrap()));
        if meta.is_dir() {
            stack.extend(fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    lines.sort();
    lines
}

#[test]
fn looking_at_a_tree_that_never_saw_treewal_makes_nothing() {
    let dir = tree(&[("a", "1")]);
    let before = fingerprint(dir.path());
    let said = treewal(dir.path(), ["status"]).exits(0);
    assert_eq!(said.stdout, "state       unused: treewal was never used on this tree\n");
    assert_eq!(treewal(dir.path(), ["log"]).exits(0).stdout, "");
    assert_eq!(treewal(dir.path(), ["verify"]).exits(0).stdout, "ok\n");
    for command in ["status", "log", "verify"] {
        treewal(dir.path(), [command, "--json"]).exits(0).json();
    }
    assert_eq!(fingerprint(dir.path()), before);
}

#[test]
fn looking_at_a_tree_in_use_changes_nothing() {
    let dir = tree(&[("a", "1")]);
    changes(dir.path(), r#"{"op": "write", "path": "b", "text": "2"}"#).exits(0);
    treewal(dir.path(), ["run", "--", "false"]).exits(1);
    let before = fingerprint(dir.path());
    let json = treewal(dir.path(), ["status", "--json"]).exits(0).json();
    assert_eq!((&json["state"], &json["command"]), (&"clean".into(), &"status".into()));
    let log = treewal(dir.path(), ["log"]).exits(0).stdout;
    assert!(log.contains("commit") && log.contains("\"b\"") && log.contains("guard"), "{log}");
    let json = treewal(dir.path(), ["log", "--json"]).exits(0).json();
    assert!(json["records"].as_array().unwrap().iter().any(|record| record["kind"] == "commit"), "{json}");
    assert_eq!(treewal(dir.path(), ["verify", "--json"]).exits(0).json()["findings"], serde_json::json!([]));
    assert_eq!(fingerprint(dir.path()), before);
}

#[test]
fn a_tree_that_is_not_there_is_named() {
    let dir = tree(&[("file", "")]);
    for command in ["status", "log", "verify", "recover"] {
        treewal(&dir.path().join("nowhere"), [command]).exits(1).says(&["error: ", "nowhere"]);
        let said = treewal(&dir.path().join("file"), [command, "--json"]).exits(1).says(&["file"]);
        assert_eq!(said.json()["outcome"], "unchanged");
    }
}
