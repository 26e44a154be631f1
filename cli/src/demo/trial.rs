//! Trials: the same work on a fresh tree, killed at one disk call after the other, and recovered.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::part::{ACKNOWLEDGED, PART, options};
use super::picture::{Picture, draw, look};
use super::story::{Work, after, before};
use crate::exit::Exit;
use crate::failure::Failure;

/// `SIGKILL`
const KILLED: Option<i32> = Some(9);

/// More disk calls than any of the works has.
const CALLS_MAX: u64 = 1000;

/// How many trials run at the same time.
const TOGETHER: usize = 16;

/// One kill.
#[derive(Debug)]
pub(crate) struct Trial {
    /// The disk call that the process did not live to make, the first being 1.
    pub(super) at: u64,
    /// The tree at the crash.
    pub(super) crash: Picture,
    /// Whether it is as after the work once it is recovered; else it is as before.
    pub(super) done: bool,
    /// What recovery says.
    pub(super) report: String,
}

/// Kills the work at each of its disk calls in turn, and checks what recovery makes of it.
///
/// # Errors
/// That a recovered tree is neither as before nor as after, that acknowledged work is lost, or that a trial cannot be
/// made.
pub(crate) fn trials(work: Work) -> Result<Vec<Trial>, Failure> {
    let mut trials = Vec::new();
    for first in (1..CALLS_MAX).step_by(TOGETHER) {
        // Nearly all the time is spent waiting for the disk, so several wait together.
        let batch: Vec<_> = thread::scope(|scope| {
            let calls = (first..).take(TOGETHER);
            let started: Vec<_> = calls.map(|at| scope.spawn(move || trial(work, at))).collect();
            started.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        for result in batch {
            let result = result.map_err(|_| Failure::new(Exit::REFUSED, "a trial panicked"))?;
            match result? {
                Some(trial) => trials.push(trial),
                None => return Ok(trials),
            }
        }
    }
    Err(Failure::new(Exit::REFUSED, format!("the {} does not end", work.name())))
}

/// `None` where the work was done before it came to that call.
fn trial(work: Work, at: u64) -> Result<Option<Trial>, Failure> {
    let dir = tempfile::tempdir().map_err(failed("make a temporary directory"))?;
    draw(dir.path(), &before()).map_err(failed("make the files"))?;
    let (killed, acknowledged) = perform(work, dir.path(), at)?;
    let crash = look(dir.path()).map_err(failed("look at the files"))?;
    let tree = options().open(dir.path())?;
    let found = look(dir.path()).map_err(failed("look at the files"))?;
    let done = found == after();
    if !done && (found != before() || acknowledged) {
        let what = if acknowledged { "lacks work that was acknowledged" } else { "is neither as before nor as after" };
        let mut failure =
            Failure::new(Exit::REFUSED, format!("killed at call {at} of the {}, the tree {what}", work.name()));
        failure.causes.push(format!("{found:?}"));
        return Err(failure);
    }
    Ok(killed.then(|| Trial { at, crash, done, report: tree.recovery().to_string() }))
}

/// Lets another process do the work: whether it was killed, and whether it got an answer before.
fn perform(work: Work, dir: &Path, at: u64) -> Result<(bool, bool), Failure> {
    let myself = std::env::current_exe().map_err(failed("find this program"))?;
    let output = Command::new(myself)
        .args([PART, work.name()])
        .arg(dir)
        .arg(at.to_string())
        .stdin(Stdio::null())
        .output()
        .map_err(failed("start a process"))?;
    let killed = output.status.signal() == KILLED;
    if !killed && !output.status.success() {
        let mut failure = Failure::new(Exit::REFUSED, format!("the {} failed by itself", work.name()));
        failure.causes = String::from_utf8_lossy(&output.stderr).lines().map(ToOwned::to_owned).collect();
        return Err(failure);
    }
    Ok((killed, output.stdout == ACKNOWLEDGED.as_bytes()))
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::new(Exit::IO, format!("cannot {what}")).because(&error)
}
