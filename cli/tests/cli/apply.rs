//! `apply`: every operation, all or nothing, dry runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::common::*;

/// What every operation of the test below is listed as.
const LINES: [&str; 14] = [
    "M old",
    "A deep",
    "A copied-in",
    "M log",
    "A a2",
    "A empty",
    "A x/y/z",
    "R draft -> empty/final",
    "R a -> b",
    "R b -> a",
    "D gone",
    "D full",
    "A link",
    "m script 0755",
];

#[test]
fn every_operation_does_what_it_says_and_is_listed_by_its_letter() {
    let dir = tree(&[
        ("log", "one\n"),
        ("old", "old"),
        ("draft", "draft"),
        ("a", "A"),
        ("b", "B"),
        ("gone", "x"),
        ("full/x", "x"),
        ("script", "#!"),
    ]);
    let outside = tree(&[("source", "from a file")]);
    let source = outside.path().join("source");
    let set = format!(
        r#"{{"changes": [
            {{"op": "write", "path": "old", "text": "new"}},
            {{"op": "write", "path": "deep/er/file", "base64": "AP8=", "parents": true}},
            {{"op": "write", "path": "copied-in", "source": {source:?}}},
            {{"op": "append", "path": "log", "text": "two\n"}},
            {{"op": "copy", "from": "a", "to": "a2"}},
            {{"op": "mkdir", "path": "empty"}},
            {{"op": "mkdir", "path": "x/y/z", "parents": true}},
            {{"op": "rename", "from": "draft", "to": "empty/final"}},
            {{"op": "exchange", "a": "a", "b": "b"}},
            {{"op": "remove", "path": "gone"}},
            {{"op": "remove", "path": "full", "recursive": true}},
            {{"op": "symlink", "target": "empty/final", "path": "link"}},
            {{"op": "chmod", "path": "script", "mode": "0755"}}
        ]}}"#
    );
    let answer = apply(dir.path(), &set).exits(0);
    for line in LINES {
        assert!(answer.stdout.lines().any(|said| said == line), "no {line:?} in {answer:?}");
    }
    assert!(!answer.stdout.contains("D draft"), "a rename is told once: {answer:?}");
    assert_eq!(answer.stderr, "", "not a terminal: no talk");

    let seen = look(dir.path());
    let expected = [
        ("a", "B"),
        ("a2", "A"),
        ("b", "A"),
        ("copied-in", "from a file"),
        ("deep", "/"),
        ("deep/er", "/"),
        ("deep/er/file", "\0\u{fffd}"),
        ("empty", "/"),
        ("empty/final", "draft"),
        ("link", "-> empty/final"),
        ("log", "one\ntwo\n"),
        ("old", "new"),
        ("script", "#!"),
        ("x", "/"),
        ("x/y", "/"),
        ("x/y/z", "/"),
    ];
    assert_eq!(seen, expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    assert_eq!(fs::metadata(dir.path().join("script")).unwrap().permissions().mode() & 0o7777, 0o755);
}

#[test]
fn one_bad_change_keeps_all_from_happening_and_is_named_by_its_index() {
    let dir = tree(&[("keep", "1"), ("also", "2")]);
    let before = look(dir.path());
    let good = r#"{"op": "write", "path": "keep", "text": "changed"}, {"op": "remove", "path": "also"}"#;
    let answer = changes(dir.path(), &format!(r#"{good}, {{"op": "remove", "path": "missing"}}"#)).exits(1);
    assert!(answer.stderr.starts_with("error: change 2 failed: remove missing\n  cause: "), "{answer:?}");
    answer.says(&["missing"]);
    assert_eq!(look(dir.path()), before);

    // Found when it is parsed, before anything is opened.
    let fresh = tree(&[("keep", "1")]);
    changes(fresh.path(), &format!(r#"{good}, {{"op": "remove", "path": "keep", "recursiv": true}}"#))
        .exits(2)
        .says(&["error: change 2 ", "`recursiv`"]);
    assert!(!fresh.path().join(".treewal").exists());
}

#[test]
fn an_empty_change_set_is_done_at_once() {
    let dir = tree(&[("a", "1")]);
    let answer = feed(command(dir.path(), ["apply", "--json"]), b"{}").exits(0);
    let json = answer.json();
    assert_eq!((json["outcome"].as_str(), json["changes"].as_array().map(Vec::len)), (Some("unchanged"), Some(0)));
}

#[test]
fn json_tells_the_transaction_and_every_change() {
    let dir = tree(&[("old", "1")]);
    let set =
        br#"{"changes": [{"op": "rename", "from": "old", "to": "new"}, {"op": "write", "path": "x", "text": ""}]}"#;
    let json = feed(command(dir.path(), ["apply", "-", "--json"]), set).exits(0).json();
    assert_eq!((&json["command"], &json["outcome"]), (&"apply".into(), &"committed".into()));
    assert!(json["transaction"].as_u64() > Some(0) && json["lsn"].as_u64() > json["transaction"].as_u64());
    let expected = serde_json::json!([
        { "letter": "R", "change": "renamed", "path": "new", "from": "old" },
        { "letter": "A", "change": "added", "path": "x" },
    ]);
    assert_eq!(json["changes"], expected);
}

#[test]
fn a_json_error_has_the_code_the_outcome_and_the_index() {
    let dir = tree(&[]);
    let set = br#"{"changes": [{"op": "mkdir", "path": "d"}, {"op": "write", "path": "no/where", "text": ""}]}"#;
    let json = feed(command(dir.path(), ["--json", "apply"]), set).exits(1).json();
    assert_eq!((&json["outcome"], &json["error"]["change"]), (&"unchanged".into(), &1.into()));
    assert_eq!(json["error"]["message"], "change 1 failed: write no/where");
    assert_eq!(json["error"]["path"], "no", "what is missing");
    assert!(json["error"]["help"].as_str().unwrap().contains("parents"), "{json}");
    let json = feed(command(dir.path(), ["--json", "apply"]), br#"{"changes": [{"op": "fly"}]}"#).exits(2).json();
    assert_eq!(json["error"]["change"], 0);
}

#[test]
fn a_dry_run_shows_the_changes_and_leaves_no_trace() {
    let dir = tree(&[("old", "1"), ("sub/.treewal/x", "not ours"), ("sub/y", "y")]);
    let before = look(dir.path());
    let big = "x".repeat(200_000);
    let set = format!(
        r#"{{"changes": [{{"op": "write", "path": "old", "text": "2"}}, {{"op": "write", "path": "big", "text": "{big}"}},
            {{"op": "copy", "from": "old", "to": "new"}}, {{"op": "remove", "path": "sub/y"}}]}}"#
    );
    let answer = feed(command(dir.path(), ["apply", "--dry-run"]), set.as_bytes()).exits(0);
    assert_eq!(answer.stdout, "A big\nA new\nM old\nD sub/y\n");
    assert_eq!(look(dir.path()), before);
    assert!(!dir.path().join(".treewal").exists());

    // Nor where treewal was used before, and not even while somebody holds the tree.
    let ready = tree(&[]);
    let mut child = guarded(dir.path(), &ready.path().join("r"), "touch \"$READY\"; exec sleep 60");
    feed(command(dir.path(), ["apply", "--dry-run", "--wait", "0"]), set.as_bytes()).exits(0);
    let bad = br#"{"changes": [{"op": "remove", "path": "missing"}]}"#;
    feed(command(dir.path(), ["apply", "--dry-run", "--wait", "0"]), bad).exits(1).says(&["missing"]);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(look(dir.path()), before);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = tree(&[]);
    let set = r#"{"changes": [{"op": "write", "path": "a", "text": "1"}]}"#;
    let mut child = command(dir.path(), ["apply"]);
    child.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = child.spawn().unwrap();
    drop(child.stdout.take());
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), set.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(look(dir.path())["a"], "1");
}

/// A dry run lists what publishing would change, and takes nothing from where it is prepared.
#[test]
fn what_is_published_and_set_is_listed_and_a_dry_run_leaves_it_where_it_is() {
    let dir = tree(&[("site/index", "old"), ("site/same", "same"), ("site/mine", "mine"), ("a", "a")]);
    let prepared = tree(&[("next/index", "new"), ("next/same", "same"), ("whole/index", "whole")]);
    let path = |name: &str| prepared.path().join(name);
    let set = format!(
        r#"{{"changes": [
            {{"op": "publish", "from": {:?}, "to": "site", "merge": true, "keep_unmanaged": true}},
            {{"op": "publish", "from": {:?}, "to": "whole"}},
            {{"op": "hard_link", "from": "a", "to": "b"}},
            {{"op": "set_times", "path": "a", "modified": 1}},
            {{"op": "patch", "path": "site/index", "offset": 1, "text": "o"}}
        ]}}"#,
        path("next"),
        path("whole")
    );
    let lines = |answer: &Answer| -> Vec<(String, String)> {
        let value = answer.json();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        value["changes"].as_array().unwrap().iter().map(|line| (text(&line["change"]), text(&line["path"]))).collect()
    };
    let dry = feed(command(dir.path(), ["apply", "--dry-run", "--json", "-"]), set.as_bytes()).exits(0);
    assert!(path("whole/index").exists() && !dir.path().join("whole").exists());
    let applied = feed(command(dir.path(), ["apply", "--json", "-"]), set.as_bytes()).exits(0);
    assert_eq!(lines(&dry), lines(&applied));
    let wanted = [("attributes", "a"), ("linked", "b"), ("modified", "site/index"), ("added", "whole")];
    for (change, path) in wanted {
        assert!(lines(&dry).contains(&(change.into(), path.into())), "no {change} {path} in {dry:?}");
    }
    assert_eq!(fs::read(dir.path().join("site/index")).unwrap(), b"now");
    assert!(!path("whole").exists() && path("next/index").exists());
    assert_eq!(fs::read(dir.path().join("whole/index")).unwrap(), b"whole");
}
