//! Disturbing a program by `strace`: signals and errors at the calls of its first thread, each known by its name and by how
//! many calls of that name came before it.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::calls::{self, Call};
use crate::catalogue::{Case, TREEWAL, prepare, work_dir};
use crate::fault::{Fault, Point};
use crate::judge::Run;

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
    let (output, log) = traced(case, dir.path(), &[]);
    assert!(output.status.code().is_some(), "{}: {output:?}", case.name);
    calls::read(&log, dir.path()).into_iter().filter(|call| call.begun).collect()
}

/// Runs a command on a fresh tree; says whether the fault struck the call that was meant, before any other.
///
/// A tracer that fails itself, as strace does once in some ten thousand runs on a busy machine, is none, and is started again.
pub(crate) fn run(case: &Case, point: &Point) -> (Run, bool) {
    let mut runs = (0..9).map(|_| try_run(case, point));
    runs.find(|(run, _)| !run.stderr.lines().any(|line| line.starts_with("strace: "))).unwrap()
}

fn try_run(case: &Case, point: &Point) -> (Run, bool) {
    let dir = prepare(case);
    let (output, hit) = match &point.fault {
        Fault::Limit { blocks } => limited(case, dir.path(), *blocks),
        fault => {
            let (output, log) = traced(case, dir.path(), &fault.injections());
            let made = calls::read(&log, dir.path());
            let struck = match fault {
                Fault::Kill { .. } => made.last().filter(|_| output.status.signal() == Some(9)),
                _ => made.iter().find(|call| call.injected),
            };
            let hit = point.meant.as_ref().zip(struck).is_some_and(|(meant, struck)| struck.is(meant));
            (output, hit)
        }
    };
    (ended(dir, &output), hit)
}

/// Runs a command on a fresh tree, and nobody disturbs it.
pub(crate) fn plain(case: &Case) -> Run {
    let dir = prepare(case);
    let mut command = Command::new(TREEWAL);
    case.command(dir.path(), &mut command);
    let output = feed(command, &case.input());
    ended(dir, &output)
}

fn ended(dir: tempfile::TempDir, output: &Output) -> Run {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { dir, code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn traced(case: &Case, dir: &Path, injections: &[String]) -> (Output, String) {
    let log = tempfile::NamedTempFile::new_in(work_dir()).unwrap();
    let mut command = Command::new("strace");
    command.args(["-qq", "-e", "signal=none", "-e", "trace=all", "-o"]).arg(log.path());
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

/// Kills a command in the middle: a commit before the fourth of its renames, which are all after its promise; what runs under a
/// guard when its command has ended, and the guard is open. The tracer sees `wait4` only then: the command is waited for, and
/// reaped after that.
pub(crate) fn kill_half_way(dir: &Path, case: &Case) {
    let at = if case.args[0] == "apply" {
        "inject=renameat2:signal=SIGKILL:when=4"
    } else {
        "inject=wait4:signal=SIGKILL:when=1"
    };
    let (output, log) = traced(case, dir, &[at.to_owned()]);
    assert_eq!(output.status.signal(), Some(9), "{} was not killed: {output:?}", case.name);
    if case.args[0] == "run" {
        assert!(log.contains("waitid("), "nobody waited for the command yet");
    }
}

pub(crate) fn feed(mut command: Command, input: &str) -> Output {
    let mut child = command.spawn().unwrap();
    // Who is killed does not read.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}
