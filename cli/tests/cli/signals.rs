//! Signals, kills and other processes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::*;

/// Whether a signal is ignored here: then the program is right to ignore it, too, and there is nothing to test.
fn is_ignored(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (number - 1)) != 0
}

#[test]
fn a_signal_reaches_the_command_restores_the_tree_and_is_in_the_status() {
    for (name, number, code) in [("TERM", 15, 143), ("INT", 2, 130), ("HUP", 1, 129)] {
        if is_ignored(number) {
            eprintln!("skipped: SIG{name} is ignored here");
            continue;
        }
        let (dir, beside) = (tree(&[("a", "old")]), tree(&[]));
        let got = beside.path().join("got");
        let script = format!(
            "trap 'echo trapped > {got:?}; kill $!; exit 0' {name}; echo new > a; touch \"$READY\"; sleep 60 & wait"
        );
        let mut child = guarded(dir.path(), &beside.path().join("ready"), &script);
        assert_eq!(look(dir.path())["a"], "new\n");
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(code), "SIG{name}");
        assert!(got.exists(), "the command was not told of SIG{name}");
        assert_eq!(look(dir.path())["a"], "old");
        assert_eq!(treewal(dir.path(), ["recover"]).exits(0).stdout, "nothing to recover\n");
    }
}

#[test]
fn a_signal_that_we_were_started_to_ignore_stays_ignored() {
    let (dir, beside) = (tree(&[("a", "old")]), tree(&[]));
    let ready = beside.path().join("ready");
    let script =
        format!("trap '' HUP; exec {TREEWAL} -C \"$0\" run -- sh -c 'echo new > a; touch \"$READY\"; read line'");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(dir.path()).env("READY", &ready).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    until("the command is ready", || ready.exists());
    signal(&child, "HUP");
    drop(std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"go\n"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(look(dir.path())["a"], "new\n");
}

#[test]
fn a_second_signal_leaves_the_tree_to_recovery_and_the_command_dies() {
    let (dir, beside) = (tree(&[("a", "old")]), tree(&[]));
    let pid = beside.path().join("pid");
    let script =
        format!("trap '' TERM; echo new > a; echo $$ > {pid:?}; touch \"$READY\"; while :; do sleep 0.05; done");
    let mut child = guarded(dir.path(), &beside.path().join("ready"), &script);
    signal(&child, "TERM");
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "it waits for its command");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_gone(&pid);
    assert_unfinished_then_restored(dir.path());
}

#[test]
fn a_killed_run_takes_its_command_along_and_the_next_opening_restores() {
    let (dir, beside) = (tree(&[("a", "old"), ("b", "b")]), tree(&[]));
    let pid = beside.path().join("pid");
    let script = format!("echo new > a; rm b; echo $$ > {pid:?}; touch \"$READY\"; while :; do sleep 0.05; done");
    let mut child = guarded(dir.path(), &beside.path().join("ready"), &script);
    signal(&child, "KILL");
    child.wait().unwrap();
    assert_gone(&pid);
    assert_unfinished_then_restored(dir.path());
    assert_eq!(look(dir.path())["b"], "b");
}

/// The process whose number a file holds is gone, or a zombie that nobody has buried yet.
fn assert_gone(pid: &Path) {
    let stat = format!("/proc/{}/stat", fs::read_to_string(pid).unwrap().trim());
    until("the command is gone", || match fs::read_to_string(&stat) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    });
}

fn assert_unfinished_then_restored(dir: &Path) {
    assert_eq!(look(dir)["a"], "new\n", "nobody has restored it yet");
    let status = treewal(dir, ["status"]).exits(0);
    assert!(status.stdout.starts_with("state       unfinished: "), "{status:?}");
    assert!(status.stdout.contains(&format!("next        treewal -C {} recover", dir.display())), "{status:?}");
    assert_eq!(treewal(dir, ["status", "--json"]).json()["state"], "unfinished");
    assert_eq!(look(dir)["a"], "new\n", "looking changes nothing");
    let json = treewal(dir, ["recover", "--json"]).exits(0).json();
    assert_eq!(
        (&json["outcome"], &json["recovery"]["transactions"][0]["label"]),
        (&"recovered".into(), &"undo".into())
    );
    assert_eq!(look(dir)["a"], "old");
    assert_eq!(treewal(dir, ["status", "--json"]).json()["state"], "clean");
    assert_eq!(treewal(dir, ["recover"]).exits(0).stdout, "nothing to recover\n");
}

#[test]
fn a_tree_that_somebody_holds_is_busy() {
    let (dir, beside) = (tree(&[("a", "old")]), tree(&[]));
    let mut child = guarded(dir.path(), &beside.path().join("ready"), "touch \"$READY\"; exec sleep 60");
    let holder = format!("process {}", child.id());
    let set = br#"{"changes": [{"op": "write", "path": "a", "text": "mine"}]}"#;
    let answer = feed(command(dir.path(), ["apply", "--wait", "0"]), set).exits(75);
    answer.says(&[&holder, "status` to see who holds it"]);
    let json = feed(command(dir.path(), ["apply", "--wait", "0.1", "--json"]), set).exits(75).json();
    assert_eq!(json["outcome"], "unchanged");
    treewal(dir.path(), ["run", "--wait", "0", "--", "true"]).exits(125).says(&[&holder]);
    treewal(dir.path(), ["recover", "--wait", "0"]).exits(75);
    let status = treewal(dir.path(), ["status"]).exits(0);
    assert!(status.stdout.contains("state       busy") && status.stdout.contains(&holder), "{status:?}");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    feed(command(dir.path(), ["apply", "--wait", "0"]), set).exits(0);
    assert_eq!(look(dir.path())["a"], "mine");
}

#[test]
fn who_waits_gets_the_tree_when_it_is_free() {
    let (dir, beside) = (tree(&[("a", "old")]), tree(&[]));
    let mut child = guarded(dir.path(), &beside.path().join("ready"), "touch \"$READY\"; exec sleep 0.5");
    let set = br#"{"changes": [{"op": "write", "path": "a", "text": "mine"}]}"#;
    feed(command(dir.path(), ["apply", "--wait", "30"]), set).exits(0);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(look(dir.path())["a"], "mine");
}
