//! Where a change set comes from, and what is wrong with it.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::*;

const SET: &str = r#"{"changes": [{"op": "write", "path": "a", "text": "1"}]}"#;

#[test]
fn a_change_set_comes_from_a_file_a_link_or_standard_input() {
    let files = tree(&[("set.json", SET)]);
    symlink("set.json", files.path().join("link")).unwrap();
    for name in ["set.json", "link"] {
        let dir = tree(&[]);
        treewal(dir.path(), ["apply".into(), files.path().join(name).into_os_string()]).exits(0);
        assert_eq!(look(dir.path())["a"], "1");
    }
    for name in ["-", "/dev/stdin"] {
        let dir = tree(&[]);
        feed(command(dir.path(), ["apply", name]), SET.as_bytes()).exits(0);
        assert_eq!(look(dir.path())["a"], "1");
    }
}

#[test]
fn a_file_and_its_sources_are_relative_to_the_working_directory_and_paths_to_the_tree() {
    let here = tree(&[("set.json", r#"{"changes": [{"op": "write", "path": "a", "source": "text"}]}"#), ("text", "T")]);
    let dir = tree(&[]);
    let mut command = command(dir.path(), ["apply", "set.json"]);
    command.current_dir(here.path());
    answer(command).exits(0);
    assert_eq!(look(dir.path())["a"], "T");
}

#[test]
fn what_cannot_be_read_as_a_change_set_is_bad_input_and_makes_nothing() {
    let dir = tree(&[]);
    apply(dir.path(), "").exits(2).says(&["the change set cannot be read as one", "EOF"]);
    apply(dir.path(), "[]").exits(2);
    apply(dir.path(), r#"{"chnages": []}"#).exits(2).says(&["`chnages`", "`changes`"]);
    apply(dir.path(), "{\"changes\": [],,}").exits(2).says(&["line 1 column"]);
    changes(dir.path(), r#"{"op": "write", "text": "x"}"#).exits(2).says(&["change 0", "`path`"]);
    changes(dir.path(), r#"{"op": "explode", "path": "x"}"#).exits(2).says(&["change 0", "`explode`"]);
    changes(dir.path(), r#"{"path": "x"}"#).exits(2).says(&["change 0", "`op`"]);
    treewal(dir.path(), ["apply", "no/such/file"]).exits(2).says(&["no/such/file", "No such file"]);
    treewal(dir.path(), ["apply", "/"]).exits(2).says(&["\"/\""]);
    let fifo = dir.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    treewal(dir.path(), ["apply".into(), fifo.into_os_string()]).exits(2).says(&["not a regular file", "apply -"]);
    assert!(!dir.path().join(".treewal").exists());
}

#[test]
fn contents_are_given_in_exactly_one_way_and_must_be_readable() {
    let dir = tree(&[("a", "old")]);
    let before = look(dir.path());
    let refused = |change: &str, code| changes(dir.path(), change).exits(code).says(&["change 0 failed"]);
    refused(r#"{"op": "write", "path": "a"}"#, 2).says(&["exactly one"]);
    refused(r#"{"op": "write", "path": "a", "text": "1", "base64": "MQ=="}"#, 2).says(&["exactly one"]);
    refused(r#"{"op": "write", "path": "a", "base64": "?"}"#, 2).says(&["base64"]);
    refused(r#"{"op": "chmod", "path": "a", "mode": "rwx"}"#, 2).says(&["rwx", "octal"]);
    refused(r#"{"op": "write", "path": "a", "source": "/no/such/source"}"#, 1).says(&["/no/such/source"]);
    refused(r#"{"op": "write", "path": "a", "source": "/"}"#, 1);
    assert_eq!(look(dir.path()), before);
}

#[test]
fn a_large_source_is_written_whole() {
    let files = tree(&[]);
    let bytes: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    let source = files.path().join("big");
    fs::write(&source, &bytes).unwrap();
    let dir = tree(&[("log", "head")]);
    let set = format!(
        r#"{{"op": "write", "path": "big", "source": {source:?}}}, {{"op": "append", "path": "log", "source": {source:?}}}"#
    );
    changes(dir.path(), &set).exits(0);
    assert!(fs::read(dir.path().join("big")).unwrap() == bytes);
    let log = fs::read(dir.path().join("log")).unwrap();
    assert!(log.starts_with(b"head") && log[4..] == bytes);
}
