//! The real program, and the kernel against it: it is killed right before and right after each of its calls that change
//! something, each of them fails once, or from some call on all of them, writes are cut short, syncs fail and succeed again.
//! Afterwards, what the program said must be true, and one `treewal recover` must find the tree as before or as after.
//!
//! `strace` does it, to the first thread of the program, which makes nearly all calls; what other threads do is not touched.
//! A run takes one call in so many; `TREEWAL_CALLS=all` takes each, a number one in so many. `TREEWAL_CALLS_DIR` names a
//! directory to work in; guards and snapshots are also tried on images of ext4, xfs and btrfs.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, counts out loud, and looks at the tree from outside"
)]

mod catalogue;
#[expect(dead_code, reason = "shared with tests that move images about")]
#[path = "../../../tests/images/image.rs"]
mod image;
mod images;
mod judge;
mod strace;

use std::collections::BTreeMap;

use catalogue::{CASES, Case};
use judge::{Look, Run};
use strace::{Call, Fault};

const ERRNOS: [&str; 5] = ["ENOSPC", "EIO", "EDQUOT", "EINTR", "EMFILE"];

/// What was tried, and what of it had the effect that was meant.
#[derive(Default)]
struct Tally {
    tried: BTreeMap<String, (u64, u64)>,
    failed: Vec<String>,
}

impl Tally {
    fn count(&mut self, kind: &str, hit: bool, verdict: Result<(), String>, what: &str) {
        let (tried, hits) = self.tried.entry(kind.to_owned()).or_default();
        *tried += 1;
        *hits += u64::from(hit);
        if let Err(error) = verdict {
            self.failed.push(format!("{what}: {error}"));
        }
    }

    fn end(self, what: &str) {
        for (kind, (tried, hits)) in &self.tried {
            println!("{what}: {kind}: {tried} tried, {hits} took effect");
        }
        let failed: Vec<&str> = self.failed.iter().take(12).map(String::as_str).collect();
        assert!(failed.is_empty(), "{} failed, the first of them:\n{}", self.failed.len(), failed.join("\n\n"));
        assert!(self.tried.values().map(|(_, hits)| hits).sum::<u64>() > 15, "trying next to nothing proves nothing");
    }
}

/// Of how many points one is taken, `by_default` where nobody asks for another number.
fn every(by_default: usize) -> usize {
    match std::env::var("TREEWAL_CALLS").ok().as_deref() {
        Some("all") => 1,
        Some(number) => number.parse().unwrap(),
        None => by_default,
    }
}

/// Runs a part of all points of all commands, spread evenly.
fn sweep(what: &str, every: usize, points: impl Fn(&Case, &[Call]) -> Vec<(String, Fault)>) {
    sweep_of(what, every, |_| true, points);
}

/// The same of some commands.
fn sweep_of(
    what: &str,
    every: usize,
    about: impl Fn(&Case) -> bool,
    points: impl Fn(&Case, &[Call]) -> Vec<(String, Fault)>,
) {
    if let Err(why) = strace::probe() {
        say(&format!("skipped: {what}: {why}"));
        return;
    }
    let begun = std::time::Instant::now();
    let mut tally = Tally::default();
    let mut number = 0;
    for case in CASES.iter().filter(|case| about(case)) {
        let looks = judge::looks(case);
        let calls = strace::survey(case);
        assert!(calls.iter().any(|call| call.changes), "{}: no call changes anything", case.name);
        for (kind, fault) in points(case, &calls) {
            number += 1;
            if number % every != 0 {
                continue;
            }
            let (run, hit) = strace::run(case, Some(&fault));
            let verdict = judge::judge(case, &looks, &run);
            tally.count(&kind, hit, verdict, &format!("{}: {kind}: {fault}", case.name));
        }
    }
    println!("{what}: {number} points, one in {every}; {:.1} s", begun.elapsed().as_secs_f64());
    tally.end(what);
}

fn changing(calls: &[Call]) -> impl Iterator<Item = (usize, &Call)> {
    calls.iter().enumerate().filter(|(_, call)| call.changes)
}

#[test]
fn killed_before_and_after_each_call() {
    sweep("kills", every(61), |_, calls| {
        let before = changing(calls).map(|(_, call)| ("before".to_owned(), call.killed()));
        let after = changing(calls).filter_map(|(at, _)| Some(("after".to_owned(), calls.get(at + 1)?.killed())));
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
            changing(calls).map(move |(at, _)| (errno.to_owned(), strace::all_fail_from(calls, at, errno)))
        };
        // A call that is interrupted is made again, and no kernel interrupts one for ever.
        ERRNOS.into_iter().filter(|errno| *errno != "EINTR").flat_map(each).collect()
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
        limits.map(|blocks| ("short write".to_owned(), Fault::Limit { blocks })).collect()
    });
}

/// A run that nobody disturbs leads to the tree after; else nothing above would prove anything.
#[test]
fn the_judge_refuses_what_is_wrong() {
    let case = &CASES[0];
    let looks = judge::looks(case);
    let (run, _) = strace::plain(case);
    assert_eq!(judge::judge(case, &looks, &run), Ok(()));
    // Acknowledged, and not there.
    let Look { before, .. } = judge::looks(case);
    let wrong = Look { before: before.clone(), after: before };
    let (run, _) = strace::plain(case);
    judge::judge(case, &wrong, &run).unwrap_err();
    // Denied, and there.
    let (run, _) = strace::plain(case);
    judge::judge(case, &looks, &Run { code: Some(3), ..run }).unwrap_err();
}

/// To where nobody catches it: what is left out is told also where the test passes.
fn say(line: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
