//! The program: what `treewal` did when it ends with status 0.

use std::io::Write;
use std::process::{Command, Stdio};

use super::World;

pub(super) fn apply(world: &World<'_>) {
    change(
        world,
        r#"{"changes": [
            {"op": "write", "path": "a", "text": "by the program"},
            {"op": "write", "path": "far/away/b", "text": "new", "parents": true},
            {"op": "chmod", "path": "b", "mode": "0600"},
            {"op": "append", "path": "log", "text": "one line more\n"},
            {"op": "remove", "path": "d/y"}]}"#,
    );
}

pub(super) fn apply_moves(world: &World<'_>) {
    change(
        world,
        r#"{"changes": [
            {"op": "rename", "from": "d", "to": "far/d"},
            {"op": "exchange", "a": "a", "b": "b"},
            {"op": "remove", "path": "e", "recursive": true},
            {"op": "symlink", "target": "far", "path": "near"}]}"#,
    );
}

pub(super) fn run(world: &World<'_>) {
    let ended = command(world, &["run", "--", "sh", "-c", COMMAND]).status().unwrap();
    assert!(ended.success(), "treewal run: {ended}");
}

pub(super) fn run_that_fails(world: &World<'_>) {
    let ended = command(world, &["run", "--", "sh", "-c", &format!("{COMMAND}; exit 9")]).status().unwrap();
    assert_eq!(ended.code(), Some(9), "treewal run: {ended}");
}

const COMMAND: &str =
    "echo more >> log; mkdir -p made; echo new > made/new; mv log.1 made/log; echo x > d/x; rm -f e/aside";

fn change(world: &World<'_>, changes: &str) {
    let mut child = command(world, &["apply"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(changes.as_bytes()).unwrap();
    let ended = child.wait().unwrap();
    assert!(ended.success(), "treewal apply: {ended}");
}

fn command(world: &World<'_>, arguments: &[&str]) -> Command {
    let mut command = Command::new(world.treewal);
    command.arg("-q").arg("-C").arg(world.dir).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command
}
