//! Help, the manual page, completions, colors and the demonstration.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::*;

#[test]
fn help_has_the_table_of_exit_codes() {
    let dir = tree(&[]);
    let help = treewal(dir.path(), ["--help"]).exits(0).stdout;
    for line in ["  0          done", "  4          undecided: run `treewal recover`", "  130, 143   interrupted"] {
        assert!(help.contains(line), "{help}");
    }
    assert!(!help.contains("__"), "parts that the program plays for itself are no commands");
    let bare = answer(Command::new(TREEWAL)).exits(2);
    assert!(bare.stderr.contains("Usage: treewal"), "{bare:?}");
}

#[test]
fn wrong_usage_is_told_also_as_data() {
    let dir = tree(&[]);
    treewal(dir.path(), ["frob"]).exits(2).says(&["frob"]);
    treewal(dir.path(), ["status", "--wait", "soon"]).exits(2).says(&["soon"]);
    treewal(dir.path(), ["status", "-q", "-v"]).exits(2);
    let json = treewal(dir.path(), ["status", "--json", "--frob"]).exits(2).json();
    assert!(json["error"]["message"].as_str().unwrap().contains("--frob"), "{json}");
    assert_eq!(treewal(dir.path(), ["run", "--json", "--frob"]).exits(125).json()["command"], "run");
}

#[test]
fn the_manual_page_is_the_one_that_is_checked_in() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/treewal.1");
    let page = answer({
        let mut command = Command::new(TREEWAL);
        command.arg("man");
        command
    });
    assert_eq!(
        fs::read_to_string(&path).unwrap_or_default(),
        page.exits(0).stdout,
        "renew it: cargo run -p treewal-cli -- man > cli/man/treewal.1"
    );
}

#[test]
fn there_are_completions_for_every_shell() {
    let dir = tree(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = treewal(dir.path(), ["completions", shell]).exits(0).stdout;
        assert!(
            script.contains("recover")
                && script.contains("dry-run")
                && script.contains("follow")
                && !script.contains("__launch"),
            "{shell}"
        );
    }
    treewal(dir.path(), ["completions", "csh"]).exits(2);
}

#[test]
fn colors_are_for_those_who_see_them() {
    let dir = tree(&[]);
    let bad = |args: &[&str], no_color| {
        let mut command = command(dir.path(), args);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        answer(command).exits(2).stderr
    };
    let missing = ["apply", "missing"];
    assert!(!bad(&missing, false).contains('\x1b'), "a pipe");
    assert!(bad(&["--color", "always", "apply", "missing"], false).contains('\x1b'));
    assert!(bad(&["--color", "always", "apply", "missing"], true).contains('\x1b'), "asked for by name");
    assert!(!bad(&["--color", "never", "apply", "missing"], false).contains('\x1b'));
}

#[test]
fn talk_is_for_terminals_and_for_those_who_ask() {
    let dir = tree(&[]);
    let set = br#"{"changes": [{"op": "write", "path": "a", "text": "1"}]}"#;
    assert_eq!(feed(command(dir.path(), ["apply"]), set).exits(0).stderr, "");
    let set = br#"{"changes": [{"op": "write", "path": "a", "text": "2"}]}"#;
    assert!(feed(command(dir.path(), ["apply", "-v"]), set).exits(0).stderr.contains("applied 1 change"));
}

#[test]
fn a_full_disk_behind_standard_output_is_told() {
    let dir = tree(&[("a", "1")]);
    changes(dir.path(), r#"{"op": "write", "path": "b", "text": "2"}"#).exits(0);
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut log = command(dir.path(), ["log"]);
    log.stdout(full());
    answer(log).exits(3).says(&["standard output", "No space left"]);
    // What was done stays done, and the code says so.
    let mut apply = command(dir.path(), ["apply", "-"]);
    let files = tree(&[("set", r#"{"changes": [{"op": "remove", "path": "b"}]}"#)]);
    apply.stdin(fs::File::open(files.path().join("set")).unwrap()).stdout(full());
    answer(apply).exits(0).says(&["note: it is done"]);
    assert!(!look(dir.path()).contains_key("b"));
}

#[test]
fn the_demonstration_shows_before_crash_and_after_and_finds_nothing_in_between() {
    let dir = tree(&[]);
    let shown = treewal(dir.path(), ["demo"]).exits(0).stdout;
    assert!(shown.contains("file       before             at the crash       after recovery"), "{shown}");
    assert!(shown.contains("alice.txt  100 coins          70 coins           70 coins"), "{shown}");
    assert!(shown.contains("bob.txt    20 coins           20 coins           50 coins"), "{shown}");
    assert_eq!(shown.matches("0 times in between").count(), 2, "{shown}");
    assert!(look(dir.path()).is_empty() && !dir.path().join(".treewal").exists());

    let json = treewal(dir.path(), ["demo", "--json"]).exits(0).json();
    assert_eq!(json["scenes"].as_array().unwrap().len(), 3);
    for kills in json["kills"].as_array().unwrap() {
        let [all, before, after] = ["kills", "as_before", "as_after"].map(|field| kills[field].as_u64().unwrap());
        assert!(before > 3 && after > 3 && before + after == all, "{kills}");
    }
}
