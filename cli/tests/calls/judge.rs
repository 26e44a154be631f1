//! What must hold of a tree that a disturbed program leaves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::catalogue::{Before, Case, TREEWAL, prepare};
use crate::strace;

/// A tree, with the snapshots that it has: kind and bits, contents or target, names and the time of modification, where that
/// is one that a command sets.
pub(crate) type Walk = BTreeMap<PathBuf, (u32, Vec<u8>, (u64, i64))>;

/// A tree before and after a command.
pub(crate) struct Look {
    pub(crate) before: Walk,
    pub(crate) after: Walk,
}

/// What a command left, and what it said.
pub(crate) struct Run {
    pub(crate) dir: tempfile::TempDir,
    /// `None` where it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn looks(case: &Case) -> Look {
    let dir = prepare(case);
    if matches!(case.before, Before::Killed | Before::KilledRun) {
        // What is before a recovery, nobody knows; what is after it, this says.
        let (run, _) = strace::plain(case);
        let after = walk(run.dir.path());
        return Look { before: after.clone(), after };
    }
    let before = walk(dir.path());
    let (run, _) = strace::plain(case);
    Look { before, after: walk(run.dir.path()) }
}

/// What was said is true, and a recovery brings the tree to one of its two states, for good.
pub(crate) fn judge(case: &Case, look: &Look, run: &Run) -> Result<(), String> {
    let dir = run.dir.path();
    let said = || format!("exit {:?}, {}{}", run.code, run.stdout, run.stderr);
    recover(dir).map_err(|error| format!("{error}; {}", said()))?;
    let found = walk(dir);
    let is_done = found == look.after;
    if !is_done && found != look.before {
        return Err(format!("neither before nor after: {}; {}", differences(&found, look), said()));
    }
    let acknowledged = run.stdout.contains(r#""exit":0"#) || run.stdout.contains(r#""exit": 0"#);
    if (run.code == Some(0) || acknowledged) && !is_done {
        return Err(format!("acknowledged, and not done; {}", said()));
    }
    // Only code 4 leaves open what became of it.
    let denied = case.is_apply() && matches!(run.code, Some(code) if code != 0 && code != 4);
    if denied && is_done && look.before != look.after {
        return Err(format!("denied, and done; {}", said()));
    }
    left_in_order(dir).map_err(|error| format!("{error}; {}", said()))?;
    recover(dir)?;
    if walk(dir) != found {
        return Err("a second recovery changed something".to_owned());
    }
    let later = Command::new(TREEWAL).arg("-C").arg(dir).args(["verify"]).output().unwrap();
    if !later.status.success() {
        return Err(format!("verify: {later:?}; {}", said()));
    }
    let mut more = Command::new(TREEWAL);
    let one = Case { name: "", args: &["apply", "-"], changes: "", before: Before::Nothing };
    one.command(dir, &mut more);
    let more = strace::feed(more, r#"{"changes": [{"op": "write", "path": "later", "text": "works"}]}"#);
    if more.status.success() { Ok(()) } else { Err(format!("no commit after it: {more:?}; {}", said())) }
}

fn recover(dir: &Path) -> Result<(), String> {
    let output = Command::new(TREEWAL).arg("-C").arg(dir).arg("recover").output().unwrap();
    if output.status.success() { Ok(()) } else { Err(format!("recover: {output:?}")) }
}

fn left_in_order(dir: &Path) -> Result<(), String> {
    let own = dir.join(".treewal");
    let names = |sub: &str| -> Vec<String> {
        let Ok(entries) = fs::read_dir(own.join(sub)) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let left: Vec<String> = ["stage", "guards", "quarantine"].into_iter().flat_map(names).collect();
    let segments = names("journal").len();
    if left.is_empty() && segments <= 2 { Ok(()) } else { Err(format!("left over: {left:?}, {segments} segments")) }
}

pub(crate) fn walk(dir: &Path) -> Walk {
    let mut found = Walk::new();
    let mut open = vec![PathBuf::new()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(dir.join(&at)).unwrap() {
            let path = at.join(entry.unwrap().file_name());
            let full = dir.join(&path);
            let meta = fs::symlink_metadata(&full).unwrap();
            let contents = if path.starts_with(".treewal") {
                if path.starts_with(".treewal/snapshots") && path.components().count() == 3 {
                    found.insert(path, (0, Vec::new(), (0, 0)));
                } else if meta.is_dir() && path.components().count() < 3 {
                    open.push(path);
                }
                continue;
            } else if meta.is_dir() {
                open.push(path.clone());
                Vec::new()
            } else if meta.is_symlink() {
                fs::read_link(&full).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&full).unwrap()
            };
            let names = if meta.is_dir() { 1 } else { meta.nlink() };
            let set = if meta.mtime() < 1_000_000 { meta.mtime() } else { 0 };
            found.insert(path, (meta.mode(), contents, (names, set)));
        }
    }
    found
}

fn differences(found: &Walk, look: &Look) -> String {
    let differs =
        |path: &&PathBuf| found.get(*path) != look.after.get(*path) || found.get(*path) != look.before.get(*path);
    let paths: std::collections::BTreeSet<&PathBuf> =
        found.keys().chain(look.before.keys()).chain(look.after.keys()).filter(differs).collect();
    let state =
        |walk: &Walk, path: &PathBuf| walk.get(path).map(|(mode, contents, _)| (format!("{mode:o}"), contents.len()));
    let lines = paths.into_iter().map(|path| {
        format!(
            "{path:?}: {:?}, before {:?}, after {:?}",
            state(found, path),
            state(&look.before, path),
            state(&look.after, path)
        )
    });
    lines.collect::<Vec<_>>().join("; ")
}
