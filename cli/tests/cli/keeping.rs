//! How `run` and `snapshot` keep files, what they tell of it, and how they show that they are at work.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::*;

#[test]
fn files_are_kept_as_asked_for_and_the_numbers_are_told() {
    let dir = tree(&[("d/a", "old"), ("d/b", "old"), ("m/c", "old")]);
    let run = |words: &str| treewal(dir.path(), words.split(' ').collect::<Vec<_>>());
    for (flags, field, count) in [
        ("--sharing copy", "copied", 3),
        ("--sharing hard-link", "hard_linked", 3),
        ("--sharing copy --digest --threads 1 --exchange --guard d", "copied", 2),
    ] {
        let json = run(&format!("run --json {flags} -- true")).exits(0).json();
        assert_eq!(json["snapshot"][field], count, "{flags}: {json}");
    }
    // One way or the other, but not by copies.
    let json = run("run --json --managed m -- true").exits(0).json();
    let shared = json["snapshot"]["reflinked"].as_u64().unwrap() + json["snapshot"]["hard_linked"].as_u64().unwrap();
    assert!(shared >= 1, "{json}");
    run("-v run --sharing copy -- true").exits(0).says(&["of 3 files 0 reflinked, 0 hard-linked, 3 copied (9 bytes)"]);
    run("run --exchange -- true").exits(125).says(&["cannot be exchanged"]);
    run("run --sharing quick -- true").exits(125).says(&["quick", "reflink, hard-link, copy"]);
    run("run --threads 0 -- true").exits(125);
}

#[test]
fn a_directory_comes_back_whole_by_exchange() {
    let dir = tree(&[("d/a", "old"), ("d/deep/b", "old")]);
    let (before, inode) = (look(dir.path()), fs::metadata(dir.path().join("d")).unwrap().ino());
    let script = "echo new > d/a; rm -r d/deep; echo x > d/x; exit 3";
    treewal(dir.path(), ["run", "--exchange", "--guard", "d", "--", "sh", "-c", script]).exits(3);
    assert_eq!(look(dir.path()), before);
    assert_ne!(fs::metadata(dir.path().join("d")).unwrap().ino(), inode);
}

#[test]
fn a_snapshot_tells_how_each_file_is_kept() {
    let dir = tree(&[("a", "text"), ("d/b", "b")]);
    let run = |words: &str| treewal(dir.path(), words.split(' ').collect::<Vec<_>>());
    run("snapshot create copies --sharing copy").exits(0);
    run("snapshot create links --hard-link").exits(0);
    run("snapshot create both --hard-link --sharing copy").exits(2);
    for (name, by, field) in [("copies", "copy", "copied"), ("links", "hard-link", "hard_linked")] {
        let json = run(&format!("snapshot show {name} --json")).exits(0).json();
        assert_eq!(json[field], 2, "{json}");
        let kept = &json["kept"];
        assert_eq!(kept[0], serde_json::json!({"path": "a", "kind": "file", "bytes": 4, "by": by}));
        assert_eq!(kept[1], serde_json::json!({"path": "d", "kind": "directory", "bytes": 0}));
    }
    run("-v snapshot create more --sharing copy").exits(0).says(&["0 reflinked, 0 hard-linked, 2 copied"]);
    // Where a file is kept by hard link the view would be the file itself.
    run("snapshot create managed --managed .").exits(0);
    let linked = run("snapshot show managed --json").exits(0).json()["hard_linked"] != 0;
    assert_eq!(dir.path().join(".treewal/snapshots/managed/files").exists(), !linked);
    fs::write(dir.path().join("a"), "written where it stands").unwrap();
}

#[test]
fn two_snapshots_are_compared() {
    let dir = tree(&[("a", "old"), ("gone", "old"), ("d/same", "same")]);
    let run = |words: &str| treewal(dir.path(), words.split(' ').collect::<Vec<_>>());
    run("snapshot create one").exits(0);
    fs::write(dir.path().join("a"), "newer").unwrap();
    fs::remove_file(dir.path().join("gone")).unwrap();
    fs::write(dir.path().join("new"), "new").unwrap();
    run("snapshot create two").exits(0);
    fs::write(dir.path().join("d/same"), "not in either").unwrap();
    assert_eq!(run("snapshot diff one two").exits(0).stdout, "M a\nD gone\nA new\n");
    assert_eq!(run("snapshot diff two one").exits(0).stdout, "M a\nA gone\nD new\n");
    assert_eq!(run("snapshot diff one one").exits(0).stdout, "");
    let json = run("snapshot diff one two --json").exits(0).json();
    assert_eq!((&json["changes"][0]["path"], &json["changes"][0]["change"]), (&"a".into(), &"modified".into()));
    run("snapshot diff one three").exits(1).says(&["no snapshot \"three\""]);
}

/// Runs the program on a terminal, and stops it for a while, a few times, as soon as it has begun a snapshot.
const STOPPED: &str = r#"
import os, pty, signal, sys, time
guards = sys.argv[1]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
begun = time.monotonic()
while not (os.path.isdir(guards) and os.listdir(guards)) and time.monotonic() < begun + 30:
    time.sleep(0.0005)
for _ in range(4):
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.4)
    os.kill(pid, signal.SIGCONT)
    time.sleep(0.004)
shown = b""
while True:
    try:
        block = os.read(terminal, 65536)
    except OSError:
        break
    if not block:
        break
    shown += block
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// What the program shows on a terminal; `None` where there is no python to make one.
fn on_a_terminal(dir: &Path, words: &[&str]) -> Option<String> {
    let mut command = Command::new("python3");
    command.args(["-c", STOPPED]).arg(dir.join(".treewal/guards")).arg(TREEWAL).arg("-C").arg(dir).args(words);
    let Ok(output) = command.stdin(Stdio::null()).output() else {
        eprintln!("skipped: what is shown on a terminal: python3 is not installed");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_long_snapshot_shows_how_far_it_is_on_a_terminal_and_nowhere_else() {
    // In memory, where there is some: what syncs cost is nothing to this.
    let memory = Path::new("/dev/shm");
    let dir = tempfile::tempdir_in(if memory.exists() { memory } else { Path::new("/tmp") }).unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    for n in 0..20_000 {
        fs::write(dir.path().join(format!("d/{n}")), "x").unwrap();
    }
    let words = ["run", "--sharing", "copy", "--threads", "1", "--", "true"];
    let Some(shown) = on_a_terminal(dir.path(), &words) else { return };
    // The line goes, under blanks, before anything else is said.
    assert!(shown.contains("\rsnapshot: ") && shown.contains(" \rguarded 20002 entries"), "{shown:?}");
    assert_eq!(on_a_terminal(dir.path(), &[&["-q"][..], &words].concat()).unwrap(), "");
    let elsewhere = treewal(dir.path(), [&["-v"][..], &words].concat()).exits(0);
    assert!(!elsewhere.stderr.contains("\rsnapshot"), "{elsewhere:?}");
}
