//! The commands that are disturbed, each with a fresh tree.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

use treewal_vfs::{Disk, RealDisk, RelPath, Time};

pub(crate) const TREEWAL: &str = env!("CARGO_BIN_EXE_treewal");

/// One command, and what it finds.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) args: &'static [&'static str],
    /// Changes for standard input; the braces around them go without saying.
    pub(crate) changes: &'static str,
    /// What is run before it, on the tree that all cases have.
    pub(crate) before: Before,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    Nothing,
    /// A snapshot, and changes after it.
    Snapshot,
    /// A commit that is killed half way.
    Killed,
    /// A guard that is killed half way.
    KilledRun,
}

const fn apply(name: &'static str, changes: &'static str) -> Case {
    Case { name, args: &["apply", "-"], changes, before: Before::Nothing }
}

const fn other(name: &'static str, args: &'static [&'static str], before: Before) -> Case {
    Case { name, args, changes: "", before }
}

const SCRIPT: &str = "set -e; echo new > a; rm b; mkdir n; echo n > n/n; mv d/x d/z";

pub(crate) const CASES: [Case; 26] = [
    apply("write over", r#"{"op": "write", "path": "a", "text": "new"}"#),
    apply("write new", r#"{"op": "write", "path": "n/m/f", "text": "new", "parents": true}"#),
    apply("write large", r#"{"op": "write", "path": "b", "source": "large"}"#),
    apply("append", r#"{"op": "append", "path": "log", "text": "more"}"#),
    apply("patch", r#"{"op": "patch", "path": "large", "offset": 70000, "text": "a part"}"#),
    apply("truncate", r#"{"op": "truncate", "path": "log", "len": 2}"#),
    apply("copy", r#"{"op": "copy", "from": "large", "to": "d/copy"}"#),
    apply("rename", r#"{"op": "rename", "from": "a", "to": "d/x"}"#),
    apply("rename a directory", r#"{"op": "rename", "from": "d", "to": "moved"}"#),
    apply("hard link", r#"{"op": "hard_link", "from": "a", "to": "e/a too"}"#),
    apply("exchange", r#"{"op": "exchange", "a": "a", "b": "d"}"#),
    apply("mkdir", r#"{"op": "mkdir", "path": "n/m", "parents": true}"#),
    apply("remove", r#"{"op": "remove", "path": "b"}"#),
    apply("remove a directory", r#"{"op": "remove", "path": "d", "recursive": true}"#),
    apply("symlink", r#"{"op": "symlink", "target": "a", "path": "to a"}"#),
    apply("publish", r#"{"op": "publish", "from": "d", "to": "e"}"#),
    apply("chmod", r#"{"op": "chmod", "path": "a", "mode": "0600"}"#),
    apply("set_times", r#"{"op": "set_times", "path": "a", "modified": 1}"#),
    apply(
        "several",
        r#"{"op": "write", "path": "a", "text": "new"}, {"op": "remove", "path": "b"},
           {"op": "write", "path": "n/f", "text": "f", "parents": true}, {"op": "rename", "from": "d/x", "to": "x"},
           {"op": "chmod", "path": "e/z", "mode": "0600"}"#,
    ),
    other("run", &["run", "--", "sh", "-c", SCRIPT], Before::Nothing),
    other("run that fails", &["run", "--", "sh", "-c", "echo new > a; rm b; mkdir n; exit 7"], Before::Nothing),
    other("snapshot create", &["snapshot", "create", "s"], Before::Nothing),
    other("snapshot restore", &["snapshot", "restore", "s"], Before::Snapshot),
    other("snapshot remove", &["snapshot", "remove", "s"], Before::Snapshot),
    other("recover, redo", &["recover"], Before::Killed),
    other("recover, undo", &["recover"], Before::KilledRun),
];

impl Case {
    pub(crate) fn command(&self, dir: &Path, program: &mut Command) {
        program.args(["-C"]).arg(dir).args(["--color", "never", "--json"]).args(self.args);
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir(dir);
        program.env_remove("LD_LIBRARY_PATH");
    }

    pub(crate) fn input(&self) -> String {
        if self.changes.is_empty() { String::new() } else { format!(r#"{{"changes": [{}]}}"#, self.changes) }
    }

    /// Whether it takes, restores or removes a snapshot, a guard's or one with a name.
    pub(crate) fn is_about_kept(&self) -> bool {
        matches!(self.args[0], "run" | "snapshot") || self.before == Before::KilledRun
    }

    pub(crate) fn is_recovery(&self) -> bool {
        matches!(self.before, Before::Killed | Before::KilledRun)
    }
}

pub(crate) fn named(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name == name).unwrap()
}

/// Makes the tree that a case finds.
pub(crate) fn prepare(case: &Case) -> tempfile::TempDir {
    let dir = tempfile::tempdir_in(work_dir()).unwrap();
    let at = |path: &str| dir.path().join(path);
    for sub in ["d", "e"] {
        fs::create_dir(at(sub)).unwrap();
    }
    for (path, contents) in [("a", "old a"), ("b", "old b"), ("log", "today"), ("d/x", "x"), ("d/y", "y"), ("e/z", "z")]
    {
        fs::write(at(path), contents).unwrap();
    }
    fs::write(at("large"), vec![b'L'; 150_000]).unwrap();
    symlink("a", at("link")).unwrap();
    marked(dir.path());
    plainly(dir.path(), &["recover"], "");
    match case.before {
        Before::Nothing => {}
        Before::Snapshot => {
            plainly(dir.path(), &["snapshot", "create", "s"], "");
            let changes = r#"{"op": "write", "path": "a", "text": "since"}, {"op": "remove", "path": "d", "recursive": true},
                             {"op": "write", "path": "n", "text": "since"}"#;
            plainly(dir.path(), &["apply", "-"], &format!(r#"{{"changes": [{changes}]}}"#));
        }
        Before::Killed => crate::strace::kill_half_way(dir.path(), named("several")),
        Before::KilledRun => crate::strace::kill_half_way(dir.path(), named("run")),
    }
    dir
}

const MARKED: [&str; 11] = ["a", "b", "log", "large", "link", "d/x", "d/y", "e/z", "d", "e", "."];

/// Gives entries what only a look at it shows to be lost: a time that no clock says, owners where we may, attributes.
fn marked(dir: &Path) {
    let disk = RealDisk;
    let root = disk.open_root(dir).unwrap();
    let long_ago = |secs| Time { secs, nanos: 0 };
    for (number, path) in (1u8..).zip(MARKED) {
        let (sub, name) = path.rsplit_once('/').unwrap_or(("", path));
        let at = disk.open_dir(&root, &RelPath::new(sub).unwrap()).unwrap();
        if disk.user() == 0 {
            disk.set_owner(&at, name.as_ref(), 1000 + u32::from(number), 2000 + u32::from(number)).unwrap();
        }
        // The kernel lets nobody give a symlink attributes of this kind, and not each file system has them.
        if path != "link" && disk.set_xattr(&at, name.as_ref(), "user.mark".as_ref(), &[number]).is_err() {
            static ONCE: Once = Once::new();
            ONCE.call_once(|| crate::say("skipped: extended attributes, which this file system does not have"));
        }
        // The time of a directory is one of each change in it.
        if !["d", "e", "."].contains(&path) {
            disk.set_times(&at, name.as_ref(), long_ago(1000), long_ago(100 + i64::from(number))).unwrap();
        }
    }
}

/// Runs the program, and nobody disturbs it.
pub(crate) fn plainly(dir: &Path, args: &'static [&'static str], input: &str) {
    let case = Case { name: "", args, changes: "", before: Before::Nothing };
    let mut command = Command::new(TREEWAL);
    case.command(dir, &mut command);
    let output = crate::strace::feed(command, input);
    assert!(output.status.success(), "{args:?}: {output:?}");
}

thread_local! {
    static ELSEWHERE: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

/// Makes the trees of this thread's test there from now on; `None`: where they are made by default.
pub(crate) fn work_in(dir: Option<PathBuf>) {
    ELSEWHERE.set(dir);
}

/// Memory where there is some: a kill loses nothing that the kernel was told, and syncs cost nothing there.
pub(crate) fn work_dir() -> PathBuf {
    if let Some(dir) = ELSEWHERE.with_borrow(Clone::clone) {
        return dir;
    }
    let memory = PathBuf::from("/dev/shm");
    let named = std::env::var_os("TREEWAL_CALLS_DIR").map(Into::into);
    named.unwrap_or_else(|| if tempfile::tempdir_in(&memory).is_ok() { memory } else { std::env::temp_dir() })
}
