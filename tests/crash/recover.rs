//! Recovering, twice and more often, and with the power gone in between.

use treewal::RecoveryReport;
use treewal_vfs::sim::{Profile, SimDisk, seed_random};

use crate::count::{Count, hash, is_new, is_to_recover};
use crate::judge::dump;
use crate::rig::{PROFILES, Plan, drawn, with_both_names};

/// What must hold of a recovered disk, given what recovery says of itself.
pub(crate) type Verdict<'a> = &'a dyn Fn(&SimDisk, &RecoveryReport, &dyn Fn() -> String);

/// Where the names and identities of a recovery come from, by how many crashes came before it: the same in each run, so that
/// the same disk is recovered in the same way, and never those of the process before.
fn seed(crashes: u64) {
    seed_random(Some(1 + crashes));
}

/// What recovery had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    None,
    /// To clean up.
    Little,
    /// To redo or to undo.
    Transactions,
}

impl Work {
    fn of(report: &RecoveryReport) -> Self {
        match (report.is_clean(), report.transactions.is_empty()) {
            (true, _) => Self::None,
            (false, true) => Self::Little,
            (false, false) => Self::Transactions,
        }
    }
}

/// Recovers a disk after so many crashes, and again, and after another loss of power. Gives what the first had to do.
pub(crate) fn recover_twice(
    disk: &SimDisk,
    plan: Plan,
    crashes: u64,
    verdict: Verdict<'_>,
    at: &dyn Fn() -> String,
) -> Work {
    seed(crashes);
    let first = plan.open(disk).unwrap_or_else(|error| panic!("{}: cannot open: {}", at(), chain(&error)));
    verdict(disk, first.recovery(), at);
    let work = Work::of(first.recovery());
    // Whoever judges may have drawn some as well.
    seed(100 + crashes);
    drop(first);
    // Many crashes end in the same disk.
    if !is_new(disk.digest(), hash(&("rests", plan.measure()))) {
        return work;
    }
    let found = dump(disk);
    let again = plan.open(disk).unwrap_or_else(|error| panic!("{}: cannot open again: {}", at(), chain(&error)));
    assert!(again.recovery().is_clean(), "{}: recovery left work: {}", at(), again.recovery());
    drop(again);
    assert_eq!(dump(disk), found, "{}: a second recovery changed something", at());
    // What recovery reached must itself survive the next loss of power.
    let lost = disk.after(&disk.outcomes(Profile::Strict).nothing());
    let tree =
        plan.open(&lost).unwrap_or_else(|error| panic!("{}: cannot open after a second loss: {}", at(), chain(&error)));
    assert_eq!(dump(&lost), found, "{}: what was recovered was not durable", at());
    drop(tree);
    work
}

/// Cuts the power at every call of the recovery, and recovers from some outcomes of that; inside some of those
/// recoveries again, as deep as the plan goes.
pub(crate) fn crash_inside(
    crashed: &SimDisk,
    plan: Plan,
    verdict: (Verdict<'_>, u64),
    count: &mut Count,
    at: &dyn Fn() -> String,
) {
    Inside { plan, verdict: verdict.0, measure: verdict.1 }.crash(crashed, 1, count, at);
}

struct Inside<'a> {
    plan: Plan,
    verdict: Verdict<'a>,
    measure: u64,
}

impl Inside<'_> {
    fn crash(&self, crashed: &SimDisk, crashes: u64, count: &mut Count, at: &dyn Fn() -> String) {
        for cut in 1.. {
            let disk = crashed.remount();
            disk.cut_at(Some(cut));
            seed(crashes);
            drop(self.plan.open(&disk));
            if !disk.is_off() {
                return;
            }
            count.nested_cuts += 1;
            // Recoveries of different crashes come to the same disk, and so go on alike: not only what was seen is the same,
            // but what each outcome leaves of it.
            if !is_new(disk.digest(), hash(&("inside", self.measure, crashes))) {
                continue;
            }
            let inside = self.plan.inside;
            let one = usize::try_from(cut).unwrap() % PROFILES.len();
            let profiles = if inside.every_profile { &PROFILES[..] } else { &PROFILES[one..=one] };
            for profile in profiles {
                let all = disk.outcomes(*profile);
                let some = drawn(&all, inside.samples, inside.singles_max, cut);
                for outcome in if self.plan.splits { with_both_names(&all, some) } else { some } {
                    count.nested_states += 1;
                    let again = disk.after(&outcome);
                    if !is_to_recover(again.digest(), self.measure) {
                        continue;
                    }
                    count.nested_distinct += 1;
                    let at =
                        || format!("{}; then cut before call {cut} of recovery: {}", at(), disk.describe(&outcome));
                    recover_twice(&again.remount(), self.plan, crashes + 1, self.verdict, &at);
                    let is_drawn = inside.every.is_some_and(|every| count.nested_distinct % every == 0);
                    if crashes < inside.crashes_max && is_drawn {
                        self.crash(&again, crashes + 1, count, &at);
                    }
                }
            }
        }
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
