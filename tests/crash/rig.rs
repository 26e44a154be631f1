//! The rig: cut the power at every call, take every outcome, recover, judge.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use treewal::{CheckpointSync, Durability, MountedFiles, Options, RecoveryReport, Tree};
use treewal_vfs::sim::{Outcome, Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk};

use crate::judge::{Dump, Expected, dump, judge, judge_unrecovered};
use crate::workloads::Workload;

/// What POSIX allows and no more; what ext4 and xfs do; what btrfs does.
pub(crate) const PROFILES: [Profile; 3] = [Profile::Strict, Profile::Ordered, Profile::Grouped];

/// How far an exploration goes.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) durability: Durability,
    /// All outcomes of a crash where there are at most this many ..
    exhaustive_max: usize,
    /// .. and this many random ones, beside the named ones, where there are more.
    samples: usize,
    /// Random outcomes of each crash inside recovery.
    samples_inside: usize,
    /// Of every how many outcomes one is recovered from with crashes inside recovery.
    nested_every: u64,
    pub(crate) renames: Renames,
    sync: CheckpointSync,
}

/// What the disk can do with names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renames {
    /// All that there is.
    All,
    /// It cannot exchange two names in one step.
    NoExchange,
    /// Neither that, nor give a file a second name.
    Plain,
    /// Something is mounted at the file `a`: it can be rewritten in place, and not be renamed.
    Mounted,
}

/// What was explored.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) cuts: u64,
    pub(crate) states: u64,
    /// Of these, so many were the same disk, with the same to hold, as one that had been judged.
    pub(crate) known: u64,
    pub(crate) nested_cuts: u64,
    pub(crate) nested_states: u64,
    pub(crate) nested_known: u64,
    /// Disks that were judged, with what had to hold of them, by hash. Each exploration has its own.
    judged: HashSet<(u64, u64)>,
}

impl Count {
    pub(crate) fn add(&mut self, other: &Self) {
        self.cuts += other.cuts;
        self.states += other.states;
        self.known += other.known;
        self.nested_cuts += other.nested_cuts;
        self.nested_states += other.nested_states;
        self.nested_known += other.nested_known;
    }

    /// Whether nobody has judged this disk by this measure yet; from now on somebody has.
    fn is_new(&mut self, disk: &SimDisk, measure: u64) -> bool {
        self.judged.insert((disk.digest(), measure))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cuts, states, known, nested_cuts, nested_states, nested_known, .. } = self;
        let (different, inside) = (states - known, nested_states - nested_known);
        write!(f, "{cuts} cuts, {states} crash states, {different} of them different; ")?;
        write!(f, "inside recovery {nested_cuts} cuts, {nested_states} crash states, {inside} different")
    }
}

impl Plan {
    /// A slice that is fit for every run; the environment variable `TREEWAL_CRASH_DEPTH` multiplies it.
    pub(crate) fn new(durability: Durability) -> Self {
        let depth = std::env::var("TREEWAL_CRASH_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1usize);
        Self {
            durability,
            exhaustive_max: 24 * depth,
            samples: 12 * depth,
            samples_inside: 2 * depth,
            nested_every: 29 / (depth as u64).min(29),
            renames: Renames::All,
            sync: CheckpointSync::Entries,
        }
    }

    /// On a disk that can do less.
    pub(crate) fn on(self, renames: Renames) -> Self {
        Self { renames, ..self }
    }

    /// For explorations that are many: fewer outcomes of each crash.
    pub(crate) fn shallow(self) -> Self {
        Self { exhaustive_max: self.exhaustive_max / 4, samples: self.samples / 4, ..self }
    }

    /// For explorations whose recoveries others explore.
    pub(crate) fn without_crashes_inside(self) -> Self {
        Self { nested_every: u64::MAX, ..self }
    }

    /// Where checkpoints sync the file system as a whole.
    pub(crate) fn synced_whole(self) -> Self {
        Self { sync: CheckpointSync::FileSystem, ..self }
    }

    fn options(self) -> Options {
        Options::new()
            .durability(self.durability)
            .segment_bytes(64 << 10)
            .inline_max(4 << 10)
            .lock_wait(Duration::ZERO)
            .checkpoint_sync(self.sync)
            .mounted_files(MountedFiles::RewriteInPlace)
    }

    pub(crate) fn open(self, disk: &SimDisk) -> treewal::Result<Tree> {
        let disk = Arc::new(disk.clone());
        let less = || FaultDisk::new(disk.clone(), Fault::None).without_exchange();
        match self.renames {
            Renames::All => self.options().open_on(disk, "/"),
            Renames::NoExchange => self.options().open_on(Arc::new(less()), "/"),
            Renames::Mounted => {
                let mounted = FaultDisk::new(disk, Fault::None).with_busy("a");
                self.options().open_on(Arc::new(mounted), "/")
            }
            Renames::Plain => self.options().open_on(Arc::new(less().without_links()), "/"),
        }
    }
}

/// Explores every crash of a workload.
pub(crate) fn explore(workload: &Workload, plan: Plan) -> Count {
    let base = prepare(workload.prepare, plan);
    let states = run_whole(workload, plan, &base);
    let mut count = Count::default();
    for cut in 1.. {
        let disk = base.remount();
        disk.cut_at(Some(cut));
        let acknowledged = plan.open(&disk).map_or(0, |tree| workload.run(&tree, &disk, &mut |_| {}));
        if !disk.is_off() {
            break;
        }
        count.cuts += 1;
        let expected = Expected::after(&states, acknowledged);
        let name = format!("{}: cut before call {cut}", workload.name);
        judge_all(&disk, plan, &expected, workload.staged, &mut count, cut, &name);
    }
    count
}

/// Recovers from the outcomes of a crash, and judges each.
pub(crate) fn judge_all(
    disk: &SimDisk,
    plan: Plan,
    expected: &Expected<'_>,
    staged: bool,
    count: &mut Count,
    mut seed: u64,
    name: &str,
) {
    let measure = expected.measure();
    for profile in PROFILES {
        for (n, outcome) in outcomes(disk, profile, plan, seed).into_iter().enumerate() {
            seed += 1;
            count.states += 1;
            let at = || format!("{name}, {profile:?} outcome {n}: {}", disk.describe(&outcome));
            let crashed = disk.after(&outcome);
            if !count.is_new(&crashed, measure) {
                count.known += 1;
                continue;
            }
            if staged {
                judge_unrecovered(&crashed, expected, plan, &at);
            }
            let verdict = |disk: &SimDisk, report: &RecoveryReport, at: &dyn Fn() -> String| {
                judge(disk, expected, report, at);
            };
            recover_twice(&crashed.remount(), plan, &verdict, &at);
            if (count.states - count.known) % plan.nested_every == 0 {
                crash_inside(&crashed, plan, (&verdict, measure), count, &at);
            }
        }
    }
}

/// The tree before the workload, opened once by treewal, everything durable.
pub(crate) fn prepare(contents: fn(&SimDisk), plan: Plan) -> SimDisk {
    let disk = SimDisk::new();
    contents(&disk);
    drop(plan.open(&disk).unwrap());
    let root = disk.open_root("/".as_ref()).unwrap();
    disk.sync_all(&root).unwrap();
    disk.remount()
}

/// The tree before the workload, and after each of its steps.
fn run_whole(workload: &Workload, plan: Plan, base: &SimDisk) -> Vec<Dump> {
    let disk = base.remount();
    let mut states = vec![dump(&disk)];
    let tree = plan.open(&disk).unwrap();
    let done = workload.run(&tree, &disk, &mut |disk| states.push(dump(disk)));
    assert_eq!(done, workload.steps.len(), "{} must succeed on a whole disk", workload.name);
    drop(tree);
    assert_eq!(states.last(), Some(&dump(&disk)), "{}: closing the tree changes nothing in it", workload.name);
    states
}

pub(crate) fn outcomes(disk: &SimDisk, profile: Profile, plan: Plan, seed: u64) -> Vec<Outcome> {
    let all = disk.outcomes(profile);
    if let Some(few) = all.exhaustive(plan.exhaustive_max) {
        return few.collect();
    }
    let named = [
        all.nothing(),
        all.everything(),
        all.names_without_contents(),
        all.names_and_lengths(),
        all.contents_without_names(),
    ];
    named.into_iter().chain(all.sample(seed, plan.samples)).collect()
}

/// What must hold of a recovered disk, given what recovery says of itself.
pub(crate) type Verdict<'a> = &'a dyn Fn(&SimDisk, &RecoveryReport, &dyn Fn() -> String);

pub(crate) fn recover_twice(disk: &SimDisk, plan: Plan, verdict: Verdict<'_>, at: &dyn Fn() -> String) {
    let first = plan.open(disk).unwrap_or_else(|error| panic!("{}: cannot open: {}", at(), chain(&error)));
    verdict(disk, first.recovery(), at);
    drop(first);
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
}

/// Cuts the power at every call of the recovery, and recovers from some outcomes of that.
pub(crate) fn crash_inside(
    crashed: &SimDisk,
    plan: Plan,
    (verdict, measure): (Verdict<'_>, u64),
    count: &mut Count,
    at: &dyn Fn() -> String,
) {
    // What is said of a tree before it is recovered is not asked of these.
    let measure = !measure;
    for cut in 1.. {
        let disk = crashed.remount();
        disk.cut_at(Some(cut));
        drop(plan.open(&disk));
        if !disk.is_off() {
            return;
        }
        count.nested_cuts += 1;
        let profile = PROFILES[usize::try_from(cut).unwrap() % PROFILES.len()];
        let all = disk.outcomes(profile);
        let named = [all.nothing(), all.everything(), all.names_without_contents()];
        for outcome in named.into_iter().chain(all.sample(cut, plan.samples_inside)) {
            count.nested_states += 1;
            let again = disk.after(&outcome);
            if !count.is_new(&again, measure) {
                count.nested_known += 1;
                continue;
            }
            let at = || format!("{}; then cut before call {cut} of recovery: {}", at(), disk.describe(&outcome));
            recover_twice(&again, plan, verdict, &at);
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
