//! Damage to the journal: found, told, put into quarantine.

use std::fs;
use std::path::Path;

use crate::common::*;

/// Changes one byte of what the journal says of a text.
fn damage(dir: &Path, text: &str) {
    let mut found = false;
    for entry in fs::read_dir(dir.join(".treewal/journal")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            found = true;
        }
    }
    assert!(found, "the journal holds small contents");
}

#[test]
fn damage_is_found_by_looking_and_put_into_quarantine_by_recovery() {
    let dir = tree(&[]);
    changes(dir.path(), r#"{"op": "write", "path": "a", "text": "needle-in-a-record"}"#).exits(0);
    changes(dir.path(), r#"{"op": "write", "path": "b", "text": "later"}"#).exits(0);
    damage(dir.path(), "needle-in-a-record");

    let said = treewal(dir.path(), ["verify"]).exits(6);
    assert!(said.stdout.starts_with("damage: "), "{said:?}");
    assert_eq!(treewal(dir.path(), ["verify", "--json"]).exits(6).json()["findings"][0]["damage"], true);
    assert_eq!(treewal(dir.path(), ["status", "--json"]).exits(0).json()["state"], "damaged");

    let json = treewal(dir.path(), ["recover", "--json"]).exits(6).json();
    assert_eq!(json["outcome"], "quarantined");
    assert!(json["recovery"]["damage"][0].as_str().unwrap().contains(".treewal/quarantine"), "{json}");
    treewal(dir.path(), ["recover"]).exits(0);
    let json = treewal(dir.path(), ["status", "--json"]).exits(0).json();
    assert_eq!((&json["state"], json["quarantine"].as_array().unwrap().is_empty()), (&"clean".into(), false));
    // The tree works on, and both files are as they were committed.
    changes(dir.path(), r#"{"op": "append", "path": "b", "text": "!"}"#).exits(0);
    assert_eq!(look(dir.path())["a"], "needle-in-a-record");
    assert_eq!(look(dir.path())["b"], "later!");
}

#[test]
fn a_command_that_meets_damage_says_so_and_goes_on() {
    let dir = tree(&[]);
    changes(dir.path(), r#"{"op": "write", "path": "a", "text": "needle-in-a-record"}"#).exits(0);
    changes(dir.path(), r#"{"op": "write", "path": "b", "text": "later"}"#).exits(0);
    damage(dir.path(), "needle-in-a-record");
    let set = br#"{"changes": [{"op": "write", "path": "c", "text": "new"}]}"#;
    feed(command(dir.path(), ["apply"]), set).exits(0).says(&["note: damage: "]);
    assert_eq!(look(dir.path())["c"], "new");
}

#[test]
fn a_command_that_destroys_its_own_snapshot_is_undecided_and_then_given_up() {
    for what in ["*", "*/contents"] {
        let dir = tree(&[("a", "old\n")]);
        let script = format!("echo new > a; rm -rf .treewal/guards/{what}; exit 3");
        let answer = treewal(dir.path(), ["run", "--json", "--diff", "--", "sh", "-c", &script]).exits(125);
        let json = answer.json();
        assert_eq!(json["outcome"], "undecided");
        assert!(json["error"]["help"].as_str().unwrap().contains(" recover`"), "{json}");
        assert_eq!(treewal(dir.path(), ["status", "--json"]).json()["state"], "unfinished");
        assert_eq!(treewal(dir.path(), ["recover", "--json"]).exits(6).json()["outcome"], "quarantined");
        assert_eq!(look(dir.path())["a"], "new\n", "nothing is left to restore it from");
        changes(dir.path(), r#"{"op": "write", "path": "b", "text": "the tree works on"}"#).exits(0);
    }
}
