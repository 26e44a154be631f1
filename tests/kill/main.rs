//! Kills: a real process, this test binary run once more, is ended by SIGKILL at every call that changes the disk, in
//! the middle of a commit, of a guard, and of the recovery after them. What must hold is said in `judge.rs`.
//!
//! * `disk`: at every mutating or syncing call of the disk trait, by a wrapper that kills just before the call;
//! * `nested`: the same inside the recovery that follows;
//! * `kernel`: at every mutating system call that the kernel sees, by the tracer `strace`, treewal's own and those of
//!   the code that a guard watches alike;
//! * `images`: a part of both for guards and snapshots, on ext4, xfs and btrfs behind loop devices.
//!
//! `TREEWAL_KILL_FULL=1` leaves no point of the nested ones out, and none of those on images. `TREEWAL_KILL_DIR` names a directory to work in, on
//! whatever file system is to be tried; without it, it is memory where there is some: a kill loses nothing that the
//! kernel was told, so the medium does not matter, and syncs cost nothing there.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, counts out loud, and looks at the tree from outside"
)]

mod child;
mod guarded;
#[expect(dead_code, reason = "shared with tests that move images about")]
#[path = "../images/image.rs"]
mod image;
mod images;
mod judge;
mod kernel;
mod rig;
mod trace;
mod walk;
mod workloads;

use rig::{Tally, Target, each, nested_every, traced_every};
use workloads::{WORKLOADS, Workload};

#[test]
fn disk_every_call_of_a_commit_and_of_a_guard() {
    run("disk calls", |workload, tally| {
        let target = Target::new(workload);
        let calls = target.calls();
        assert!(calls > 10, "{}: {calls} calls are too few to be true", workload.name);
        each(1..=calls, tally, workload, |n| target.kill_and_judge(n));
        format!("{calls} calls")
    });
}

#[test]
fn nested_every_call_of_the_recovery_after_a_kill() {
    let every = nested_every();
    run("disk calls of recovery", |workload, tally| {
        let target = Target::new(workload);
        let calls = target.calls();
        let chosen = (1..=calls).filter(|n| n % every == calls % every);
        each(chosen, tally, workload, |n| target.kill_in_recovery(n, tally));
        format!("after every {every}. of {calls} calls")
    });
}

#[test]
fn nested_several_recoveries_in_a_row() {
    let every = nested_every().min(2);
    run("several recoveries in a row", |workload, tally| {
        let target = Target::new(workload);
        let calls = target.calls();
        let chosen = (1..=calls).filter(|n| n % every == calls % every);
        each(chosen, tally, workload, |n| target.kill_in_a_row(n));
        format!("after every {every}. of {calls} calls")
    });
}

#[test]
fn kernel_every_mutating_system_call() {
    let Some(strace) = kernel::Strace::find() else {
        say("skipped: kernel_every_mutating_system_call: strace is not installed, or may not trace here");
        return;
    };
    run("system calls", |workload, tally| {
        let target = Target::new(workload);
        let points = strace.survey(&target, None);
        let calls = target.calls();
        // Every call of the disk is at least one of the kernel: a list of system calls with a hole would show here.
        assert!(points.len() as u64 >= calls, "{}: {} points for {calls} calls", workload.name, points.len());
        let chosen = points.iter().step_by(traced_every());
        each(chosen, tally, workload, |point| strace.kill_and_judge(&target, None, point));
        format!("every {}. of {} system calls", traced_every(), points.len())
    });
    run("system calls of recovery", |workload, tally| {
        let target = Target::new(workload);
        let calls = target.calls();
        let mut tried = 0;
        let crashes = if nested_every() == 1 { (1..=calls).collect() } else { vec![calls / 3, 2 * calls / 3] };
        for crash in &crashes {
            let crash = *crash;
            let points = strace.survey(&target, Some(crash));
            let chosen = points.iter().step_by(traced_every());
            tried += chosen.len();
            each(chosen, tally, workload, |point| strace.kill_and_judge(&target, Some(crash), point));
        }
        format!("{tried} system calls, after {} kills", crashes.len())
    });
}

/// Runs every workload, prints what was tried, and fails with everything that went wrong.
fn run(what: &str, body: impl Fn(&'static Workload, &Tally) -> String) {
    run_some(what, |_| true, None, body);
}

/// The same with some of them, in a directory of their own.
fn run_some(
    what: &str,
    about: impl Fn(&&'static Workload) -> bool,
    within: Option<&std::path::Path>,
    body: impl Fn(&'static Workload, &Tally) -> String,
) {
    let _one_at_a_time = rig::turn();
    rig::work_in(within.map(ToOwned::to_owned));
    let begun = std::time::Instant::now();
    let total = Tally::default();
    for workload in WORKLOADS.iter().filter(about) {
        let tally = Tally::default();
        let size = body(workload, &tally);
        println!("{what}: {}: {size}; {tally}", workload.name);
        total.add(&tally);
    }
    println!("{what}: all: {total}; {:.1} s", begun.elapsed().as_secs_f64());
    rig::work_in(None);
    total.assert_none_failed(if within.is_none() { 100 } else { 30 });
}

/// To where nobody catches it: what is left out is told also where the test passes.
fn say(line: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
