//! Running the program, and looking at what it left.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program.
pub(crate) const TREEWAL: &str = env!("CARGO_BIN_EXE_treewal");

/// What one run of the program gave.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("killed: {self:?}"))
    }

    /// Checks the exit code, and gives the answer on.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        self
    }

    /// Checks that stderr has all these words.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:?}");
        }
        self
    }

    /// Stdout as the one object that it is.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert_eq!(value["schema"], 1, "{self:?}");
        assert_eq!(value["exit"], self.code(), "{self:?}");
        value
    }
}

/// The program for a tree, with nothing on standard input.
pub(crate) fn command<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(TREEWAL);
    command.arg("-C").arg(dir).args(args).stdin(Stdio::null()).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// Runs the program.
pub(crate) fn treewal<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> Answer {
    answer(command(dir, args))
}

pub(crate) fn answer(mut command: Command) -> Answer {
    let output = command.output().unwrap();
    Answer {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the program with something on standard input.
pub(crate) fn feed(mut command: Command, input: &[u8]) -> Answer {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that refuses its arguments does not read.
    drop(child.stdin.take().unwrap().write_all(input));
    let output = child.wait_with_output().unwrap();
    Answer {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Applies a change set given as JSON.
pub(crate) fn apply(dir: &Path, set: &str) -> Answer {
    feed(command(dir, ["apply"]), set.as_bytes())
}

/// Applies changes, each a JSON object.
pub(crate) fn changes(dir: &Path, changes: &str) -> Answer {
    apply(dir, &format!("{{\"changes\": [{changes}]}}"))
}

/// A directory with these files; names that end in `/` are directories.
pub(crate) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    dir
}

/// Everything in a tree but treewal's own directory: contents of files, targets of links, `/` for directories.
pub(crate) fn look(dir: &Path) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let mut stack = vec![dir.to_owned()];
    while let Some(next) = stack.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
            let meta = fs::symlink_metadata(&path).unwrap();
            if name == ".treewal" {
                continue;
            }
            if meta.is_symlink() {
                seen.insert(name, format!("-> {}", fs::read_link(&path).unwrap().display()));
            } else if meta.is_dir() {
                seen.insert(name, "/".into());
                stack.push(path);
            } else {
                seen.insert(name, String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned());
            }
        }
    }
    seen
}

/// Waits for something, at most half a minute.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal, by name.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
}

/// Starts the program with a shell script under a guard; it is ready once it has made the file `ready` beside the tree.
pub(crate) fn guarded(dir: &Path, ready: &Path, script: &str) -> Child {
    let script = format!("{script}\n");
    let mut command = command(dir, ["run", "--", "sh", "-c", &script]);
    command.env("READY", ready).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    until("the command is ready", || ready.exists());
    child
}
