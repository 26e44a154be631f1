//! Disturbing a program by `strace`: signals and errors at the calls of its first thread, each known by its name and by how
//! many calls of that name came before it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use crate::catalogue::{CASES, Case, TREEWAL, prepare, work_dir};
use crate::judge::Run;

/// Calls that change names, contents or metadata, make them durable, or lock.
const CHANGING: &[&str] = &[
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "mknodat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "utimensat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "ftruncate",
    "fallocate",
    "copy_file_range",
    "sendfile",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "syncfs",
    "sync",
    "flock",
];

/// A call of the program.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// The number of calls of this name so far, itself among them.
    nth: u64,
    /// Whether it changes anything on the disk, or could.
    pub(crate) changes: bool,
}

/// What is done to a program.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    Kill {
        name: String,
        nth: u64,
    },
    Fail {
        name: String,
        nth: u64,
        errno: &'static str,
    },
    /// Of each name, all calls from a number on.
    FailFrom {
        from: BTreeMap<String, u64>,
        errno: &'static str,
    },
    /// No file grows beyond so many blocks of 512 bytes.
    Limit {
        blocks: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { name, nth } => write!(f, "killed as it enters {name} number {nth}"),
            Self::Fail { name, nth, errno } => write!(f, "{name} number {nth} fails with {errno}"),
            Self::FailFrom { from, errno } => write!(f, "from these on {errno}: {from:?}"),
            Self::Limit { blocks } => write!(f, "files end at {blocks} blocks"),
        }
    }
}

impl Call {
    pub(crate) fn killed(&self) -> Fault {
        Fault::Kill { name: self.name.clone(), nth: self.nth }
    }

    pub(crate) fn fails(&self, errno: &'static str) -> Fault {
        Fault::Fail { name: self.name.clone(), nth: self.nth, errno }
    }
}

/// From the call of this place on, every call that changes something fails.
pub(crate) fn all_fail_from(calls: &[Call], at: usize, errno: &'static str) -> Fault {
    let mut from = BTreeMap::new();
    for name in calls.iter().filter(|call| call.changes).map(|call| &call.name) {
        let before = calls[..at].iter().filter(|call| call.name == *name).count() as u64;
        from.insert(name.clone(), before + 1);
    }
    Fault::FailFrom { from, errno }
}

/// Whether there is a tracer here that kills and fails calls; else why not.
pub(crate) fn probe() -> Result<(), String> {
    let dir = tempfile::tempdir_in(work_dir()).unwrap();
    let mkdir = |inject: &[&str]| {
        let mut command = Command::new("strace");
        command.args(["-qq", "-o", "/dev/null"]).args(inject).args(["mkdir", "a"]).current_dir(dir.path()).output()
    };
    let plain = mkdir(&[]).map_err(|error| format!("strace cannot be run: {error}"))?;
    if !plain.status.success() || !dir.path().join("a").exists() {
        return Err(format!("strace may not trace here: {}", String::from_utf8_lossy(&plain.stderr).trim()));
    }
    fs::remove_dir(dir.path().join("a")).unwrap();
    for inject in ["inject=mkdir,mkdirat:signal=SIGKILL:when=1", "inject=mkdir,mkdirat:error=EIO:when=1"] {
        let killed = mkdir(&["-e", inject]).unwrap();
        assert!(!killed.status.success() && !dir.path().join("a").exists(), "{inject} does nothing");
    }
    Ok(())
}

/// All calls of a command that nobody disturbs, from the first that has to do with the tree.
pub(crate) fn survey(case: &Case) -> Vec<Call> {
    let dir = prepare(case);
    let (output, log) = traced(case, dir.path(), &[], "all");
    assert!(output.status.code().is_some(), "{}: {output:?}", case.name);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut calls = Vec::new();
    let at = dir.path().to_str().unwrap();
    let mut begun = false;
    for line in log.lines() {
        let Some((name, rest)) = line.split_once('(') else { continue };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let nth = counts.entry(name.to_owned()).or_default();
        *nth += 1;
        begun |= name != "execve" && name != "chdir" && rest.contains(at);
        if begun {
            calls.push(Call { name: name.to_owned(), nth: *nth, changes: changes(name, rest) });
        }
    }
    calls
}

/// What the program says to people is no change; opening is one where it makes or cuts a file.
fn changes(name: &str, rest: &str) -> bool {
    match name {
        "open" | "openat" | "openat2" => {
            rest.contains("O_CREAT") || rest.contains("O_TRUNC") || rest.contains("O_RDWR")
        }
        "ioctl" => rest.contains("FICLONE"),
        "write" | "writev" => !rest.starts_with("1,") && !rest.starts_with("2,"),
        _ => CHANGING.contains(&name),
    }
}

/// Runs a command on a fresh tree; says whether the fault took effect.
pub(crate) fn run(case: &Case, fault: Option<&Fault>) -> (Run, bool) {
    let dir = prepare(case);
    let (output, hit) = match fault {
        None => (traced(case, dir.path(), &[], "none").0, true),
        Some(Fault::Limit { blocks }) => limited(case, dir.path(), *blocks),
        Some(fault) => {
            let injections = injections(fault);
            let names: Vec<&str> = injections.iter().map(|inject| &inject[7..inject.find(':').unwrap()]).collect();
            let (output, log) = traced(case, dir.path(), &injections, &names.join(","));
            let hit = log.contains("(INJECTED)") || output.status.code().is_none();
            (output, hit)
        }
    };
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (Run { dir, code: output.status.code(), stdout, stderr }, hit)
}

pub(crate) fn plain(case: &Case) -> (Run, bool) {
    run(case, None)
}

fn injections(fault: &Fault) -> Vec<String> {
    match fault {
        Fault::Kill { name, nth } => vec![format!("inject={name}:signal=SIGKILL:when={nth}")],
        Fault::Fail { name, nth, errno } => vec![format!("inject={name}:error={errno}:when={nth}")],
        Fault::FailFrom { from, errno } => {
            let each = from.iter().map(|(name, nth)| format!("inject={name}:error={errno}:when={nth}+"));
            each.collect()
        }
        Fault::Limit { .. } => Vec::new(),
    }
}

fn traced(case: &Case, dir: &Path, injections: &[String], trace: &str) -> (Output, String) {
    let log = tempfile::NamedTempFile::new_in(work_dir()).unwrap();
    let mut command = Command::new("strace");
    command.args(["-qq", "-e", "signal=none", "-e", &format!("trace={trace}"), "-o"]).arg(log.path());
    for inject in injections {
        command.args(["-e", inject]);
    }
    command.arg(TREEWAL);
    case.command(dir, &mut command);
    let output = feed(command, &case.input());
    (output, String::from_utf8_lossy(&fs::read(log.path()).unwrap()).into_owned())
}

/// With a limit on the length of files: the write that crosses it is cut short, the next one is refused.
fn limited(case: &Case, dir: &Path, blocks: u64) -> (Output, bool) {
    let log = tempfile::NamedTempFile::new_in(work_dir()).unwrap();
    let mut command = Command::new("strace");
    command.args(["-qq", "-e", "signal=none", "-e", "trace=write,pwrite64,writev,pwritev,ftruncate,fallocate", "-o"]);
    command.arg(log.path()).args([
        "sh",
        "-c",
        r#"trap "" XFSZ; ulimit -f "$0"; exec "$@""#,
        &blocks.to_string(),
        TREEWAL,
    ]);
    case.command(dir, &mut command);
    let output = feed(command, &case.input());
    let hit = String::from_utf8_lossy(&fs::read(log.path()).unwrap()).contains("EFBIG");
    (output, hit)
}

/// Kills a command after half of its renames: something is to be finished or undone then.
pub(crate) fn kill_half_way(dir: &Path, name: &str) {
    let case = CASES.iter().find(|case| case.name == name).unwrap();
    // A command under a guard is killed with what guards it: when the guard is about to commit.
    let (call, nth) = if case.is_apply() { ("renameat2", 4) } else { ("wait4", 1) };
    let alternatives = if case.is_apply() { call.to_owned() } else { format!("{call},waitid,ppoll,poll") };
    let (output, _) = traced(case, dir, &[format!("inject={alternatives}:signal=SIGKILL:when={nth}")], &alternatives);
    assert!(output.status.code().is_none(), "{name} was not killed: {output:?}");
}

pub(crate) fn feed(mut command: Command, input: &str) -> Output {
    let mut child = command.spawn().unwrap();
    // Who is killed does not read.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}
