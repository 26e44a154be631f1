//! Expectations: checked, and a conflict where they do not hold.

use crate::common::*;

/// SHA-256 of `abc`, from FIPS 180-2.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn with(dir: &std::path::Path, expect: &str) -> Answer {
    apply(dir, &format!(r#"{{"changes": [{{"op": "write", "path": "out", "text": "x"}}], "expect": [{expect}]}}"#))
}

#[test]
fn what_holds_lets_the_changes_happen() {
    let dir = tree(&[("abc", "abc")]);
    with(dir.path(), &format!(r#"{{"path": "abc", "sha256": "{ABC}"}}, {{"path": "new", "absent": true}}"#)).exits(0);
    assert_eq!(look(dir.path())["out"], "x");
}

#[test]
fn what_does_not_hold_is_a_conflict_that_names_the_path() {
    let dir = tree(&[("abc", "abd"), ("there", "")]);
    let before = look(dir.path());
    with(dir.path(), &format!(r#"{{"path": "abc", "sha256": "{ABC}"}}"#)).exits(5).says(&["abc"]);
    with(dir.path(), &format!(r#"{{"path": "gone", "sha256": "{ABC}"}}"#)).exits(5).says(&["gone"]);
    let answer = with(dir.path(), r#"{"path": "there", "absent": true}"#).exits(5).says(&["there", "help: look"]);
    assert_eq!(answer.stdout, "");
    let set = br#"{"expect": [{"path": "there", "absent": true}]}"#;
    let json = feed(command(dir.path(), ["apply", "--json"]), set).exits(5).json();
    assert_eq!((&json["outcome"], &json["error"]["path"]), (&"unchanged".into(), &"there".into()));
    feed(command(dir.path(), ["apply", "--dry-run"]), set).exits(5);
    assert_eq!(look(dir.path()), before);
}

#[test]
fn an_expectation_that_makes_no_sense_is_bad_input() {
    let dir = tree(&[]);
    with(dir.path(), r#"{"path": "a"}"#).exits(2).says(&["expectation 0"]);
    with(dir.path(), r#"{"path": "a", "absent": false}"#).exits(2).says(&["expectation 0"]);
    with(dir.path(), r#"{"path": "a", "sha256": "abc"}"#).exits(2).says(&["expectation 0", "64"]);
    with(dir.path(), r#"{"path": "a", "absent": true}, {"path": "b", "present": true}"#)
        .exits(2)
        .says(&["expectation 1", "`present`"]);
}
