//! `snapshot`: create, list, show, diff, restore, remove.

use std::fs;

use crate::common::*;

#[test]
fn a_snapshot_is_taken_listed_shown_restored_and_removed() {
    let dir = tree(&[("a", "old a\n"), ("d/b", "old b\n"), ("empty/", "")]);
    let before = look(dir.path());
    let run = |words: &str| treewal(dir.path(), words.split(' ').collect::<Vec<_>>());
    assert_eq!(run("snapshot list").exits(0).stdout, "");
    assert!(!dir.path().join(".treewal").exists(), "to look changes nothing");
    let answer = run("snapshot create one").exits(0);
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("", ""));
    assert!(run("snapshot list").exits(0).stdout.starts_with("one  20"));
    assert_eq!(run("snapshot diff one").exits(0).stdout, "");
    let show = run("snapshot show one").exits(0).stdout;
    assert!(show.ends_with("entries, 12 bytes\na\nd\nd/b\nempty\n"), "{show}");
    fs::write(dir.path().join("a"), "new").unwrap();
    fs::remove_file(dir.path().join("d/b")).unwrap();
    fs::write(dir.path().join("c"), "new").unwrap();
    assert_eq!(run("snapshot diff one").exits(0).stdout, "M a\nA c\nm d\nD d/b\n");
    assert_eq!(run("snapshot show one d/b").exits(0).stdout, "old b\n");
    assert_eq!(fs::read(dir.path().join(".treewal/snapshots/one/files/d/b")).unwrap(), b"old b\n");
    assert_eq!(run("snapshot restore one --keep undo").exits(0).stdout, "4 paths restored\n");
    assert_eq!(look(dir.path()), before);
    run("snapshot restore undo").exits(0);
    assert_eq!(look(dir.path())["a"], "new");
    run("snapshot restore one d").exits(0);
    assert_eq!((look(dir.path())["a"].as_str(), look(dir.path())["d/b"].as_str()), ("new", "old b\n"));
    assert!(run("status").exits(0).stdout.contains("snapshot    one\nsnapshot    undo\n"));
    assert_eq!(run("verify").exits(0).stdout, "ok\n");
    run("snapshot remove one undo").exits(0);
    assert_eq!(run("snapshot list").exits(0).stdout, "");
    assert_eq!(run("recover").exits(0).stdout, "nothing to recover\n");
}

#[test]
fn what_cannot_be_is_refused_and_says_what_to_do() {
    let dir = tree(&[("a", "a")]);
    let run = |words: &str| treewal(dir.path(), words.split(' ').collect::<Vec<_>>());
    run("snapshot create .hidden").exits(2).says(&["cannot name a snapshot"]);
    run("snapshot create one --path /etc").exits(2);
    run("snapshot create one").exits(0);
    run("snapshot create one").exits(1).says(&["create snapshot", "one"]);
    for words in ["show", "diff", "restore", "remove"] {
        run(&format!("snapshot {words} two")).exits(1).says(&["no snapshot \"two\"", "snapshot list"]);
    }
    run("snapshot show one missing").exits(1).says(&["missing"]);
    run("snapshot").exits(2);
    run("snapshot frob").exits(2);
    let json = run("snapshot restore two --json").exits(1).json();
    assert_eq!((&json["command"], &json["outcome"]), (&"snapshot".into(), &"unchanged".into()));
}

#[test]
fn programs_get_all_of_it_as_data() {
    let dir = tree(&[("a", "text"), ("d/b", "b")]);
    fs::write(dir.path().join("bytes"), [0xff, 0]).unwrap();
    let run = |words: &str| treewal(dir.path(), words.split(' ').collect::<Vec<_>>());
    let json = run("snapshot create one --exclude d --json").exits(0).json();
    assert_eq!((&json["outcome"], &json["name"], &json["files"]), (&"created".into(), &"one".into(), &2.into()));
    assert_eq!(json["lies"], ".treewal/snapshots/one/files");
    let json = run("snapshot list --json").exits(0).json();
    assert_eq!((&json["snapshots"][0]["bytes"], &json["snapshots"][0]["paths"][0]), (&6.into(), &".".into()));
    assert_eq!(run("snapshot show one --json").exits(0).json()["contents"], serde_json::json!(["a", "bytes"]));
    assert_eq!(run("snapshot show one a --json").exits(0).json()["text"], "text");
    assert_eq!(run("snapshot show one bytes --json").exits(0).json()["base64"], "/wA=");
    fs::write(dir.path().join("a"), "new").unwrap();
    fs::write(dir.path().join("d/b"), "new").unwrap();
    let json = run("snapshot diff one --json").exits(0).json();
    assert_eq!((&json["changes"][0]["path"], &json["changes"][0]["letter"]), (&"a".into(), &"M".into()));
    let json = run("snapshot restore one --json").exits(0).json();
    assert_eq!((&json["outcome"], &json["changed"]), (&"committed".into(), &1.into()));
    assert_eq!(look(dir.path())["d/b"], "new");
    assert_eq!(run("snapshot restore one --json").exits(0).json()["outcome"], "unchanged");
    fs::write(dir.path().join(".treewal/snapshots/one/manifest"), "x").unwrap();
    let json = run("snapshot list --json").exits(6).json();
    assert!(json["snapshots"][0]["error"].as_str().unwrap().contains("manifest"), "{json}");
    run("snapshot restore one").exits(6).says(&["manifest"]);
    run("verify").exits(6);
    assert_eq!(run("snapshot remove one --json").exits(0).json()["removed"], serde_json::json!(["one"]));
    run("verify").exits(0);
}
