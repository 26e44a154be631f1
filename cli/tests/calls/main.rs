//! The real program, and the kernel against it: it is killed right before and right after each of its calls that change
//! something, each of them fails once, or from some call on all of them, writes are cut short, syncs fail and succeed again.
//! Afterwards, what the program said must be true, and one `treewal recover` must find the tree as before or as after.
//!
//! `strace` does it, to the first thread of the program, which makes nearly all calls; what other threads do is not touched.
//! A run takes one call in so many; `TREEWAL_CALLS=all` takes each, a number one in so many; `TREEWAL_CALLS_PART=1/3` the
//! first of three parts of them, `TREEWAL_CALLS_COMMAND` those of one command. `TREEWAL_CALLS_DIR` names a directory to work
//! in; guards and snapshots are also tried on images of ext4, xfs and btrfs.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, counts out loud, and looks at the tree from outside"
)]

mod calls;
mod catalogue;
mod fault;
#[expect(dead_code, reason = "shared with tests that move images about")]
#[path = "../../../tests/images/image.rs"]
mod image;
mod images;
mod judge;
mod look;
#[expect(dead_code, reason = "shared with tests that look for leftovers by the disk")]
#[path = "../../../tests/shared/seen.rs"]
mod seen;
mod strace;
mod tally;
mod trust;

use calls::Call;
use catalogue::{CASES, Case};
use fault::{Fault, Point};
use look::Look;
use tally::Tally;

const ERRNOS: [&str; 5] = ["ENOSPC", "EIO", "EDQUOT", "EINTR", "EMFILE"];

/// Of how many points one is taken, `by_default` where nobody asks for another number.
fn every(by_default: usize) -> usize {
    match std::env::var("TREEWAL_CALLS").ok().as_deref() {
        Some("all") => 1,
        Some(number) => number.parse().unwrap(),
        None => by_default,
    }
}

/// Whether a point belongs to the part that `TREEWAL_CALLS_PART` asks for: `1/3` is the first of three, for runs side by side.
fn is_in_part(number: usize) -> bool {
    let Ok(part) = std::env::var("TREEWAL_CALLS_PART") else { return true };
    let (part, parts) = part.split_once('/').unwrap();
    number % parts.parse::<usize>().unwrap() + 1 == part.parse::<usize>().unwrap()
}

/// Runs a part of all points of all commands, spread evenly.
fn sweep(what: &str, every: usize, points: impl Fn(&Case, &[Call]) -> Vec<(String, Point)>) {
    sweep_of(what, every, |_| true, points);
}

/// The same of some commands.
fn sweep_of(
    what: &str,
    every: usize,
    about: impl Fn(&Case) -> bool,
    points: impl Fn(&Case, &[Call]) -> Vec<(String, Point)>,
) {
    if let Err(why) = strace::probe() {
        say(&format!("skipped: {what}: {why}"));
        return;
    }
    let begun = std::time::Instant::now();
    let mut tally = Tally::default();
    let mut number = 0;
    let asked = std::env::var("TREEWAL_CALLS_COMMAND").ok();
    let is_asked = |case: &Case| asked.as_ref().is_none_or(|name| case.name == name);
    for case in CASES.iter().filter(|case| about(case) && is_asked(case)) {
        let look = Look::of(case);
        let calls = strace::survey(case);
        assert!(calls.iter().any(|call| call.changes), "{}: no call changes anything", case.name);
        for (kind, point) in points(case, &calls) {
            number += 1;
            if number % every != 0 || !is_in_part(number / every) {
                continue;
            }
            tally.count(&kind, &point, |tally| {
                let (run, hit) = strace::run(case, &point);
                tally.judged(judge::judge(case, &look, &run), || format!("{}: {kind}: {point}", case.name));
                (run.code, hit)
            });
        }
    }
    println!("{what}: {number} points, one in {every}; {:.1} s", begun.elapsed().as_secs_f64());
    tally.end(what);
}

/// The calls that change something, and that the tracer knows.
fn changing(calls: &[Call]) -> impl Iterator<Item = (usize, &Call)> {
    calls.iter().enumerate().filter(|(_, call)| call.changes && call.is_known())
}

#[test]
fn killed_before_and_after_each_call() {
    sweep("kills", every(61), |_, calls| {
        let before = changing(calls).map(|(_, call)| ("before".to_owned(), call.killed()));
        let after = changing(calls).filter_map(|(at, _)| Some(("after".to_owned(), fault::killed_after(calls, at)?)));
        before.chain(after).collect()
    });
}

#[test]
fn each_call_fails_once() {
    sweep("one call fails", every(149), |_, calls| {
        let each = |errno: &'static str| changing(calls).map(move |(_, call)| (errno.to_owned(), call.fails(errno)));
        ERRNOS.into_iter().flat_map(each).collect()
    });
}

#[test]
fn from_some_call_on_all_fail() {
    sweep("all calls fail from one on", every(149), |_, calls| {
        let each = |errno: &'static str| {
            changing(calls).map(move |(at, _)| (errno.to_owned(), fault::all_fail_from(calls, at, errno)))
        };
        // A call that is interrupted is made again, and no kernel interrupts one for ever.
        ERRNOS.into_iter().filter(|errno| *errno != "EINTR").flat_map(each).collect()
    });
}

/// What cannot be opened, read, listed or examined is no reason to say what is not true.
#[test]
fn each_look_fails_once() {
    sweep("a look fails", every(211), |_, calls| {
        let each = |errno: &'static str| {
            let looks = calls.iter().filter(|call| call.looks && call.is_known());
            looks.map(move |call| (errno.to_owned(), call.fails(errno)))
        };
        ["EMFILE", "EIO"].into_iter().flat_map(each).collect()
    });
}

/// As the kernel says it once, and forgets: the next sync succeeds, and proves nothing of what came before.
#[test]
fn each_sync_fails_once_and_the_next_succeeds() {
    sweep("a sync fails", every(7), |_, calls| {
        let syncs = changing(calls).filter(|(_, call)| call.name.contains("sync"));
        syncs.map(|(_, call)| (call.name.clone(), call.fails("EIO"))).collect()
    });
}

/// What does not fit below a limit is written in part, and then not at all.
#[test]
fn writes_are_cut_short() {
    sweep("writes cut short", every(13), |_, _| {
        let limits = (0..12).chain((16..=400).step_by(16));
        limits.map(|blocks| ("short write".to_owned(), Fault::limit(blocks))).collect()
    });
}

/// To where nobody catches it: what is left out is told also where the test passes.
fn say(line: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
