//! `run`: committed or restored, and the command's status.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::common::*;

const MESS: &str = "echo new > a; rm b; mkdir d; echo x > d/c; chmod 600 keep";

#[test]
fn what_a_command_did_stays_where_it_succeeds() {
    let dir = tree(&[("a", "old\n"), ("b", "b"), ("keep", "k")]);
    let answer = treewal(dir.path(), ["run", "--", "sh", "-c", MESS]).exits(0);
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("", ""));
    let seen = look(dir.path());
    assert_eq!((seen["a"].as_str(), seen.contains_key("b"), seen["d/c"].as_str()), ("new\n", false, "x\n"));
    assert_eq!(fs::metadata(dir.path().join("keep")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(treewal(dir.path(), ["recover"]).exits(0).stdout, "nothing to recover\n");
}

#[test]
fn what_a_command_did_goes_where_it_fails_and_its_status_is_passed_on() {
    let dir = tree(&[("a", "old\n"), ("b", "b"), ("keep", "k")]);
    let mode = || fs::metadata(dir.path().join("keep")).unwrap().permissions().mode();
    let before = (look(dir.path()), mode());
    treewal(dir.path(), ["run", "--", "sh", "-c", &format!("{MESS}; exit 7")]).exits(7);
    assert_eq!((look(dir.path()), mode()), before);
    treewal(dir.path(), ["run", "--", "sh", "-c", &format!("{MESS}; kill -9 $$")]).exits(137);
    assert_eq!((look(dir.path()), mode()), before);
    assert_eq!(treewal(dir.path(), ["recover"]).exits(0).stdout, "nothing to recover\n");
}

#[test]
fn a_command_that_cannot_be_run_changes_nothing_and_says_why() {
    let dir = tree(&[("text", "no program"), ("b", "b")]);
    let before = look(dir.path());
    let said = treewal(dir.path(), ["run", "--", "no-such-command-here"]).exits(127);
    assert!(said.stderr.starts_with("error: cannot run \"no-such-command-here\"\n  cause: No such file"), "{said:?}");
    treewal(dir.path(), ["run", "--", "./text"]).exits(126).says(&["./text", "Permission denied"]);
    treewal(dir.path(), ["run", "--", "/"]).exits(126);
    assert_eq!(look(dir.path()), before);
}

#[test]
fn the_command_runs_in_the_tree_with_our_input_output_and_arguments() {
    let dir = tree(&[("here.sh", "#!/bin/sh\ncat > in.txt; echo \"out $1\"; echo err >&2\n")]);
    fs::set_permissions(dir.path().join("here.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let answer = feed(command(dir.path(), ["run", "--", "./here.sh", "-v --json"]), b"typed").exits(0);
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("out -v --json\n", "err\n"));
    assert_eq!(look(dir.path())["in.txt"], "typed");
}

#[test]
fn only_guarded_paths_are_restored_and_they_need_not_exist() {
    let dir = tree(&[("in/a", "1"), ("out", "1")]);
    let script = "echo 2 > in/a; echo 2 > out; echo 2 > fresh; false";
    treewal(dir.path(), ["run", "--guard", "in", "--guard", "fresh", "--", "sh", "-c", script]).exits(1);
    let seen = look(dir.path());
    assert_eq!((seen["in/a"].as_str(), seen["out"].as_str(), seen.contains_key("fresh")), ("1", "2\n", false));
}

#[test]
fn the_difference_is_listed_before_it_is_kept_or_undone() {
    let dir = tree(&[("a", "old"), ("b", "b"), ("keep", "k")]);
    let lines = "M a\nD b\nA d\nA d/c\nm keep\n";
    let answer = treewal(dir.path(), ["run", "--diff", "--", "sh", "-c", &format!("{MESS}; false")]).exits(1);
    assert_eq!(answer.stdout, lines);
    let answer = treewal(dir.path(), ["run", "--diff", "--", "sh", "-c", MESS]).exits(0);
    assert_eq!(answer.stdout, lines);
    assert_eq!(treewal(dir.path(), ["run", "--diff", "--", "true"]).exits(0).stdout, "");
}

#[test]
fn a_pattern_and_what_is_left_out_say_what_is_guarded() {
    let dir = tree(&[("i.db", "1"), ("other", "1"), ("cache/c", "1")]);
    let script = "echo -n 2 > i.db; echo -n 2 > i.db-wal; echo -n 2 > other; false";
    treewal(dir.path(), ["run", "--match", "i.db*", "--", "sh", "-c", script]).exits(1);
    let seen = look(dir.path());
    assert_eq!((seen["i.db"].as_str(), seen.contains_key("i.db-wal"), seen["other"].as_str()), ("1", false, "2"));
    let script = "echo -n 3 > other; echo -n 3 > cache/c; false";
    treewal(dir.path(), ["run", "--exclude", "cache", "--", "sh", "-c", script]).exits(1);
    let seen = look(dir.path());
    assert_eq!((seen["other"].as_str(), seen["cache/c"].as_str()), ("2", "3"));
}

#[test]
fn a_dry_run_shows_what_would_change_and_restores_it() {
    let dir = tree(&[("a", "old"), ("b", "b"), ("keep", "k")]);
    let before = look(dir.path());
    let lines = "M a\nD b\nA d\nA d/c\nm keep\n";
    assert_eq!(treewal(dir.path(), ["run", "--dry-run", "--", "sh", "-c", MESS]).exits(0).stdout, lines);
    assert_eq!(look(dir.path()), before);
    let answer = treewal(dir.path(), ["run", "--dry-run", "--json", "--", "sh", "-c", &format!("{MESS}; exit 3")]);
    let json = answer.exits(3).json();
    assert_eq!((&json["outcome"], json["changes"].as_array().unwrap().len()), (&"restored".into(), 5));
    assert_eq!(look(dir.path()), before);
}

#[test]
fn who_listens_is_told_how_much_changed() {
    let dir = tree(&[("a", "old"), ("b", "b"), ("keep", "k")]);
    let answer = treewal(dir.path(), ["-v", "run", "--", "sh", "-c", MESS]).exits(0);
    assert_eq!(answer.stdout, "");
    answer.says(&["taking a snapshot", "2 added, 1 modified, 1 of other attributes, 1 removed", "committed"]);
}

#[test]
fn json_keeps_the_output_of_the_command_apart() {
    let dir = tree(&[("a", "old")]);
    let answer = treewal(dir.path(), ["run", "--json", "--diff", "--", "sh", "-c", "echo loud; echo 1 > a; exit 3"]);
    let json = answer.exits(3);
    assert!(json.stderr.contains("loud"));
    let json = json.json();
    assert_eq!((&json["outcome"], &json["status"]), (&"restored".into(), &3.into()));
    assert_eq!(json["changes"][0]["path"], "a");
    let json = treewal(dir.path(), ["run", "--json", "--", "true"]).exits(0).json();
    assert_eq!((&json["outcome"], &json["status"]), (&"committed".into(), &0.into()));
}

#[test]
fn the_program_has_codes_of_its_own_for_its_own_failures() {
    let dir = tree(&[]);
    treewal(&dir.path().join("missing"), ["run", "--", "true"]).exits(125).says(&["missing"]);
    treewal(dir.path(), ["run"]).exits(125);
    treewal(dir.path(), ["run", "--frob", "--", "true"]).exits(125);
    treewal(dir.path(), ["run", "--guard", "../x", "--", "touch", "ran"]).exits(125).says(&["../x"]);
    treewal(dir.path(), ["run", "--guard", ".treewal", "--", "touch", "ran"]).exits(125).says(&[".treewal"]);
    assert!(look(dir.path()).is_empty(), "the command never ran");
}

#[test]
fn names_that_are_no_text_are_restored_and_listed() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tree(&[]);
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(dir.path().join(name), "1").unwrap();
    let script = "for f in caf*; do echo 2 > \"$f\"; done; exit 4";
    let answer = treewal(dir.path(), ["run", "--diff", "--", "sh", "-c", script]).exits(4);
    assert_eq!(answer.stdout, "M \"caf\\xE9\"\n");
    assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"1");
    let json = treewal(dir.path(), ["run", "--json", "--diff", "--", "sh", "-c", script]).exits(4).json();
    assert_eq!(json["changes"][0]["path"]["base64"], "Y2Fm6Q==");
}
