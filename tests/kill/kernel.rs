//! Kills at system calls, by `strace`.
//!
//! The tracer sends the signal when the process enters the call, and a process with a deadly signal does not execute
//! it: a kill at call n is one after call n - 1 and before call n. It counts the calls of each name and of each thread;
//! after each kill the trace itself is asked whether the process died where it should.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::child::Ended;
use crate::rig::{Target, work_dir};
use crate::trace::{CALLS, Point, Trace, read};

/// A tracer that works here.
pub(crate) struct Strace {
    program: PathBuf,
}

impl Strace {
    /// The tracer; `None` where there is none or the machine lets nobody trace.
    ///
    /// # Panics
    /// Where it traces, but does not kill at the entry of the call that it was told: then nothing here proves anything.
    pub(crate) fn find() -> Option<Self> {
        let dir = tempfile::tempdir_in(work_dir()).unwrap();
        let made = |name: &str| dir.path().join(name).exists();
        let probe = |inject: &[&str]| {
            let calls = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=mkdir,mkdirat,unlink,unlinkat"];
            let script = "mkdir a; rm -f b; mkdir b; mkdir c";
            let mut command = Command::new("strace");
            command.args(calls).args(inject).args(["sh", "-c", script]).current_dir(dir.path());
            command.output()
        };
        let plain = probe(&[]).ok()?;
        if !plain.status.success() {
            println!("strace: {}", String::from_utf8_lossy(&plain.stderr).trim());
            return None;
        }
        assert!(made("a") && made("b") && made("c"));
        for name in ["a", "b", "c"] {
            fs::remove_dir(dir.path().join(name)).unwrap();
        }
        // Each `mkdir` is a process of its own, and each is killed at its first call, before it has made anything.
        probe(&["-e", "inject=mkdir,mkdirat:signal=SIGKILL:when=1"]).unwrap();
        assert!(!made("a") && !made("b") && !made("c"), "a call was executed although the tracer killed at its entry");
        Some(Self { program: "strace".into() })
    }

    /// The system calls of the whole workload; or, after a kill at call `crash` of the disk, of the recovery.
    pub(crate) fn survey(&self, target: &Target, crash: Option<u64>) -> Vec<Point> {
        let dir = target.tree();
        if let Some(crash) = crash {
            target.killed_at(dir.path(), crash).unwrap();
        }
        let (ended, trace) = self.run(target, dir.path(), crash, None);
        assert!(!ended.killed, "{}: killed without being told to", target.workload.name);
        assert!(!trace.points.is_empty(), "{}: no system calls", target.workload.name);
        assert!(trace.unknown.is_empty(), "is any of these a change? {:?}", trace.unknown);
        for Point { name, nth } in &trace.points {
            let others = trace.others.get(name).copied().unwrap_or(0);
            assert!(
                others < *nth,
                "another thread makes {others} calls of {name}, {nth} among them: the tracer would kill it in its stead"
            );
        }
        trace.points
    }

    /// Kills the process when it enters `point`, and judges what is left.
    pub(crate) fn kill_and_judge(&self, target: &Target, crash: Option<u64>, point: &Point) -> Result<(), String> {
        let dir = target.tree();
        let before = crash.map(|crash| target.killed_at(dir.path(), crash)).transpose()?;
        let (ended, trace) = self.run(target, dir.path(), crash, Some(point));
        let at = || format!("killed at {} number {}, after a kill at call {crash:?}", point.name, point.nth);
        if !ended.killed || trace.last.as_ref() != Some(point) {
            return Err(format!("{}: the process died elsewhere, or not at all: {:?}", at(), trace.last));
        }
        let acknowledged = before.map_or(ended.acknowledged, |before| before.acknowledged);
        target.judge(dir.path(), acknowledged).map_err(|error| format!("{}: {error}", at()))
    }

    fn run(&self, target: &Target, tree: &Path, crash: Option<u64>, point: Option<&Point>) -> (Ended, Trace) {
        let log = tempfile::NamedTempFile::new_in(work_dir()).unwrap();
        let mut command = Command::new(&self.program);
        let traced = if point.is_some() { CALLS } else { "all" };
        command.args(["-f", "-qq", "-e", "signal=none", "-e", &format!("trace={traced}"), "-o"]).arg(log.path());
        if let Some(Point { name, nth }) = point {
            command.args(["-e", &format!("inject={name}:signal=SIGKILL:when={nth}")]);
        }
        command.arg(std::env::current_exe().unwrap());
        let job = if crash.is_some() { target.recovery(tree, 0) } else { target.whole(tree, 0) };
        let ended = Ended::of(&job.order(&mut command).output().unwrap());
        (ended, read(&String::from_utf8_lossy(&fs::read(log.path()).unwrap())))
    }
}
