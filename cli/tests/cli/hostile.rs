//! Bad paths and hostile trees: a clear error that names the path, and nothing changed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::*;

/// A change that is refused, in a tree that is the same afterwards.
#[track_caller]
fn refused(dir: &Path, change: &str, code: i32, words: &[&str]) {
    let before = look(dir);
    changes(dir, change).exits(code).says(&["error: change 0 failed: "]).says(words);
    assert_eq!(look(dir), before);
    feed(command(dir, ["apply", "--dry-run"]), format!("{{\"changes\": [{change}]}}").as_bytes())
        .exits(code)
        .says(words);
    assert_eq!(treewal(dir, ["recover"]).exits(0).stdout, "nothing to recover\n");
}

#[test]
fn paths_that_leave_the_tree_are_bad_input() {
    let dir = tree(&[("a", "1"), ("d/", "")]);
    refused(dir.path(), r#"{"op": "write", "path": "../x", "text": ""}"#, 2, &["\"../x\"", "`..`"]);
    refused(dir.path(), r#"{"op": "write", "path": "d/../../x", "text": ""}"#, 2, &["\"d/../../x\"", "`..`"]);
    refused(dir.path(), r#"{"op": "write", "path": "/etc/x", "text": ""}"#, 2, &["\"/etc/x\"", "absolute"]);
    refused(dir.path(), r#"{"op": "rename", "from": "a", "to": "/tmp/a"}"#, 2, &["\"/tmp/a\"", "absolute"]);
    refused(dir.path(), r#"{"op": "copy", "from": "/etc/passwd", "to": "b"}"#, 2, &["\"/etc/passwd\""]);
    let long = "n".repeat(256);
    refused(dir.path(), &format!(r#"{{"op": "write", "path": "{long}", "text": ""}}"#), 2, &[&long, "longer"]);
    refused(dir.path(), "{\"op\": \"write\", \"path\": \"a\\u0000b\", \"text\": \"\"}", 2, &["NUL"]);
}

#[test]
fn the_directory_of_treewal_is_no_part_of_the_tree() {
    let dir = tree(&[("a", "1")]);
    refused(
        dir.path(),
        r#"{"op": "write", "path": ".treewal/tree", "text": ""}"#,
        2,
        &["\".treewal/tree\"", "treewal itself"],
    );
    refused(dir.path(), r#"{"op": "remove", "path": ".treewal", "recursive": true}"#, 2, &["\".treewal\""]);
    refused(dir.path(), r#"{"op": "rename", "from": "a", "to": "./.treewal/a"}"#, 2, &[".treewal/a"]);
    assert_eq!(treewal(dir.path(), ["verify"]).exits(0).stdout, "ok\n");
}

#[test]
fn links_are_not_followed_wherever_they_lead() {
    let outside = tree(&[("secret", "theirs")]);
    let dir = tree(&[("d/a", "1")]);
    symlink(outside.path(), dir.path().join("out")).unwrap();
    symlink("d", dir.path().join("in")).unwrap();
    symlink(outside.path().join("secret"), dir.path().join("file")).unwrap();
    refused(dir.path(), r#"{"op": "write", "path": "out/secret", "text": "ours"}"#, 1, &["\"out", "symlink"]);
    refused(dir.path(), r#"{"op": "remove", "path": "out/secret"}"#, 1, &["\"out", "symlink"]);
    refused(dir.path(), r#"{"op": "write", "path": "in/a", "text": "ours"}"#, 1, &["\"in", "symlink"]);
    refused(dir.path(), r#"{"op": "append", "path": "file", "text": "ours"}"#, 1, &["\"file\"", "symlink"]);
    refused(dir.path(), r#"{"op": "mkdir", "path": "out/x/y", "parents": true}"#, 1, &["\"out", "symlink"]);
    treewal(dir.path(), ["run", "--guard", "out/secret", "--", "touch", "ran"]).exits(125).says(&["out"]);
    assert!(!dir.path().join("ran").exists());
    assert_eq!(look(outside.path()), [("secret".to_owned(), "theirs".to_owned())].into());
}

#[test]
fn what_stands_in_the_way_is_named() {
    let dir = tree(&[("file", "1"), ("dir/x", "1")]);
    refused(
        dir.path(),
        r#"{"op": "write", "path": "no/file", "text": ""}"#,
        1,
        &["write no/file", "\"no\"", "parents"],
    );
    refused(dir.path(), r#"{"op": "rename", "from": "file", "to": "no/file"}"#, 1, &["no/file"]);
    refused(
        dir.path(),
        r#"{"op": "write", "path": "file/x", "text": ""}"#,
        1,
        &["write file/x", "\"file\"", "ot a directory"],
    );
    refused(dir.path(), r#"{"op": "mkdir", "path": "file/x/y", "parents": true}"#, 1, &["\"file", "ot a directory"]);
    refused(dir.path(), r#"{"op": "write", "path": "dir", "text": ""}"#, 1, &["\"dir\"", "directory"]);
    refused(dir.path(), r#"{"op": "mkdir", "path": "file"}"#, 1, &["\"file\"", "exists"]);
    refused(dir.path(), r#"{"op": "remove", "path": "dir"}"#, 1, &["\"dir\"", "not empty"]);
    refused(dir.path(), r#"{"op": "rename", "from": "dir", "to": "dir/inside"}"#, 1, &["dir"]);
    refused(dir.path(), r#"{"op": "remove", "path": ".", "recursive": true}"#, 1, &["\".\""]);
}

#[test]
fn names_that_are_no_text_live_beside_the_changes() {
    let dir = tree(&[("d/a", "1")]);
    let odd = dir.path().join("d").join(OsStr::from_bytes(b"\xff\xfe"));
    fs::write(&odd, "odd").unwrap();
    changes(dir.path(), r#"{"op": "rename", "from": "d", "to": "e"}"#).exits(0);
    let moved = dir.path().join("e").join(OsStr::from_bytes(b"\xff\xfe"));
    assert_eq!(fs::read(&moved).unwrap(), b"odd");
    changes(dir.path(), r#"{"op": "remove", "path": "e", "recursive": true}"#).exits(0);
    assert!(look(dir.path()).is_empty());
    // A tree may have such a name itself, and an error says it so that it can be told from others.
    let tree = dir.path().join(OsStr::from_bytes(b"t\xff"));
    fs::create_dir(&tree).unwrap();
    changes(&tree, r#"{"op": "write", "path": "x", "text": "1"}"#).exits(0);
    assert_eq!(look(&tree)["x"], "1");
    treewal(&dir.path().join(OsStr::from_bytes(b"no\xff")), ["status"]).exits(1).says(&["no\\xFF"]);
}

#[test]
fn a_directory_that_only_looks_like_ours_is_refused() {
    for make in [|path: &Path| symlink("/", path).unwrap(), |path: &Path| fs::write(path, "").unwrap()] {
        let dir = tree(&[("a", "1")]);
        make(&dir.path().join(".treewal"));
        changes(dir.path(), r#"{"op": "remove", "path": "a"}"#).exits(1).says(&[".treewal", "not a directory"]);
        assert_eq!(look(dir.path())["a"], "1");
    }
}

/// Runs a shell script with a mount namespace of its own, in which it may mount; `None` where that is not permitted.
fn with_mounts(dir: &Path, script: &str) -> Option<Answer> {
    let probe = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none"]).arg(dir).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no mount namespace here");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", script]).arg(TREEWAL).arg(dir);
    Some(answer(command))
}

#[test]
fn a_tree_that_is_mounted_read_only_refuses_and_can_be_looked_at() {
    let dir = tree(&[]);
    let script = r#"
        mount -t tmpfs none "$1"; echo old > "$1/a"; mount -o remount,ro "$1"
        echo '{"changes": [{"op": "write", "path": "a", "text": "new"}]}' | "$0" -C "$1" apply || echo "apply $?"
        echo '{"changes": [{"op": "write", "path": "a", "text": "new"}]}' | "$0" -C "$1" apply --dry-run
        "$0" -C "$1" run -- sh -c 'echo ran' || echo "run $?"
        "$0" -C "$1" status; "$0" -C "$1" verify; cat "$1/a""#;
    if let Some(said) = with_mounts(dir.path(), script) {
        let said =
            said.exits(0).says(&[".treewal", "Read-only file system", "help: mount the file system for writing"]);
        assert_eq!(
            said.stdout,
            "apply 1\nM a\nrun 125\nstate       unused: treewal was never used on this tree\nok\nold\n"
        );
    }
}

#[test]
fn another_file_system_within_the_tree_is_named() {
    let dir = tree(&[("other/", ""), ("a", "1")]);
    let script = r#"
        mount -t tmpfs none "$1/other"; echo theirs > "$1/other/b"
        echo '{"changes": [{"op": "remove", "path": "a"}, {"op": "write", "path": "other/b", "text": "ours"}]}' |
            "$0" -C "$1" apply || echo "apply $?"
        "$0" -C "$1" run -- sh -c 'echo ran' || echo "run $?"
        cat "$1/other/b" "$1/a""#;
    if let Some(said) = with_mounts(dir.path(), script) {
        let said = said.exits(0).says(&["error: change 1 failed", "\"other", "another file system"]);
        assert_eq!(said.stdout, "apply 1\nrun 125\ntheirs\n1");
    }
}

/// A copy of the program that everybody may run, and the words that run it as nobody; `None` where that is not
/// permitted.
fn as_nobody(dir: &Path) -> Option<(PathBuf, [&'static str; 4])> {
    let words = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
    let program = dir.join("treewal");
    fs::copy(TREEWAL, &program).unwrap();
    if !Command::new("setpriv").args(words).arg(&program).arg("-V").output().is_ok_and(|output| output.status.success())
    {
        eprintln!("skipped: cannot become somebody else here");
        return None;
    }
    Some((program, words))
}

#[test]
fn files_that_may_not_be_read_are_named() {
    let programs = tree(&[]);
    let Some((program, words)) = as_nobody(programs.path()) else { return };
    let nobody = |dir: &Path, args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(words).arg(&program).arg("-C").arg(dir).args(args);
        command
    };
    let dir = tree(&[("open", "1"), ("closed", "secret")]);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(dir.path().join("closed"), fs::Permissions::from_mode(0o600)).unwrap();
    let before = look(dir.path());

    let set = br#"{"changes": [{"op": "write", "path": "open", "text": "2"}, {"op": "append", "path": "closed", "text": "x"}]}"#;
    let said = feed(nobody(dir.path(), &["apply"]), set).exits(1);
    said.says(&["error: change 1 failed", "\"closed\"", "Permission denied"]);
    let set = br#"{"expect": [{"path": "closed", "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}]}"#;
    feed(nobody(dir.path(), &["apply"]), set).exits(1).says(&["\"closed\"", "Permission denied"]);
    let said = answer(nobody(dir.path(), &["run", "--", "touch", "ran"])).exits(125);
    said.says(&["\"closed\"", "Permission denied"]);
    assert_eq!(look(dir.path()), before);

    // A tree in which nothing may be made, and one in which somebody else works.
    let closed = tree(&[("a", "1")]);
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let set = br#"{"changes": [{"op": "remove", "path": "a"}]}"#;
    feed(nobody(closed.path(), &["apply"]), set).exits(1).says(&[".treewal", "Permission denied"]);
    changes(dir.path(), r#"{"op": "write", "path": "x", "text": ""}"#).exits(1).says(&[".treewal", "another user"]);
}
