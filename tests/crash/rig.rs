//! The rig: cut the power at every call, take every outcome, recover, judge.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use treewal::{CheckpointSync, Durability, MountedFiles, Options, RecoveryReport, Tree};
use treewal_vfs::sim::{Outcome, Outcomes, Profile, SimDisk, seed_random};
use treewal_vfs::{Disk, Fault, FaultDisk};

pub(crate) use crate::count::Count;
use crate::count::{hash, is_new, is_to_recover};
use crate::judge::{Dump, Expected, dump, judge, judge_unrecovered};
use crate::recover::{crash_inside, recover_twice};
use crate::workloads::Workload;

/// What POSIX allows and no more; what ext4 and xfs do; what btrfs does.
pub(crate) const PROFILES: [Profile; 3] = [Profile::Strict, Profile::Ordered, Profile::Grouped];

/// How far an exploration goes.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) durability: Durability,
    /// All outcomes of a crash where there are at most this many ..
    exhaustive_max: usize,
    /// .. and this many random ones, beside the named ones, where there are more ..
    samples: usize,
    /// .. and at most this many of those that differ from nothing or from everything in one thing.
    singles_max: usize,
    /// Random outcomes of each crash inside recovery.
    pub(crate) samples_inside: usize,
    pub(crate) every_profile_inside: bool,
    /// Of every how many outcomes one is recovered from with crashes inside recovery.
    pub(crate) nested_every: u64,
    /// How many crashes follow each other at most, but for the last.
    pub(crate) crashes_inside_max: u64,
    pub(crate) renames: Renames,
    sync: CheckpointSync,
    /// What makes a checkpoint due: so many bytes of the journal.
    checkpoint_bytes: Option<u64>,
    /// Or that there has been none for so long.
    checkpoint_age: Option<Duration>,
    max_attempts: Option<u32>,
}

/// What the disk can do with names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

impl Plan {
    /// A slice that is fit for every run; the environment variable `TREEWAL_CRASH_DEPTH` multiplies it.
    pub(crate) fn new(durability: Durability) -> Self {
        let depth = variable("TREEWAL_CRASH_DEPTH").unwrap_or(1);
        let is_deep = depth >= 4;
        Self {
            durability,
            exhaustive_max: 24 * depth,
            samples: 10 * depth,
            singles_max: if is_deep { usize::MAX } else { 4 * depth },
            samples_inside: 2 * depth,
            every_profile_inside: is_deep,
            nested_every: 29 / (depth as u64).min(29),
            crashes_inside_max: if is_deep { 2 } else { 1 },
            renames: Renames::All,
            sync: CheckpointSync::Entries,
            checkpoint_bytes: None,
            checkpoint_age: None,
            max_attempts: None,
        }
    }

    /// On a disk that can do less.
    pub(crate) fn on(self, renames: Renames) -> Self {
        Self { renames, ..self }
    }

    /// For explorations that are many: fewer outcomes of each crash.
    pub(crate) fn shallow(self) -> Self {
        let (exhaustive_max, samples) = (self.exhaustive_max / 4, self.samples / 4);
        if self.singles_max == usize::MAX {
            return Self { exhaustive_max, samples, ..self };
        }
        let (singles_max, nested_every) = (self.singles_max / 4, self.nested_every * 3);
        Self { exhaustive_max, samples, singles_max, nested_every, ..self }
    }

    /// For explorations whose recoveries others explore.
    pub(crate) fn without_crashes_inside(self) -> Self {
        Self { nested_every: u64::MAX, ..self }
    }

    /// Where checkpoints sync the file system as a whole.
    pub(crate) fn synced_whole(self) -> Self {
        Self { sync: CheckpointSync::FileSystem, ..self }
    }

    /// With a checkpoint after so many bytes of the journal.
    pub(crate) fn due_after_bytes(self, bytes: u64) -> Self {
        Self { checkpoint_bytes: Some(bytes), ..self }
    }

    /// With a checkpoint once the last is so old.
    pub(crate) fn due_after(self, age: Duration) -> Self {
        Self { checkpoint_age: Some(age), ..self }
    }

    /// Where what fails so often is given up.
    pub(crate) fn giving_up_after(self, attempts: u32) -> Self {
        Self { max_attempts: Some(attempts), ..self }
    }

    pub(crate) fn options(self) -> Options {
        let mut options = Options::new()
            .durability(self.durability)
            .segment_bytes(64 << 10)
            .inline_max(4 << 10)
            .lock_wait(Duration::ZERO)
            .checkpoint_sync(self.sync)
            .mounted_files(MountedFiles::RewriteInPlace);
        if let Some(bytes) = self.checkpoint_bytes {
            options = options.checkpoint_bytes(bytes);
        }
        if let Some(age) = self.checkpoint_age {
            options = options.checkpoint_age(age);
        }
        if let Some(attempts) = self.max_attempts {
            options = options.max_attempts(attempts);
        }
        options
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

    /// What of it decides how a disk is recovered.
    pub(crate) fn measure(self) -> u64 {
        let Self { durability, renames, sync, checkpoint_bytes, checkpoint_age, max_attempts, .. } = self;
        hash(&(format!("{durability:?} {sync:?}"), renames, checkpoint_bytes, checkpoint_age, max_attempts))
    }
}

pub(crate) fn variable(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Asked of a recovered disk beside the rest, with the number of steps that were acknowledged.
pub(crate) type Also = fn(&SimDisk, Plan, usize, &dyn Fn() -> String);

/// Something that is cut at every call.
pub(crate) struct Case<'a> {
    pub(crate) name: &'a str,
    pub(crate) plan: Plan,
    pub(crate) base: &'a SimDisk,
    /// Does it, on a disk that is cut before this call from where it says so; gives what was acknowledged.
    pub(crate) run: &'a (dyn Fn(&SimDisk, u64) -> usize + Sync),
    /// What a crash may lead to, after that.
    pub(crate) expected: &'a (dyn Fn(usize) -> Expected<'a> + Sync),
    /// Made of staged transactions: paths that last are never missing. A guard lets anybody do anything.
    pub(crate) staged: bool,
    pub(crate) also: Option<Also>,
}

impl Case<'_> {
    /// Explores every crash of it, in as many threads as `TREEWAL_CRASH_THREADS` says, one by default.
    pub(crate) fn explore(&self) -> Count {
        let next = AtomicU64::new(1);
        let work = || {
            let mut count = Count::default();
            while self.cut(next.fetch_add(1, Ordering::Relaxed), &mut count) {}
            count
        };
        let helpers = variable("TREEWAL_CRASH_THREADS").unwrap_or(1).saturating_sub(1);
        thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let mut count = work();
            for helper in helpers {
                count.add(&helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            count
        })
    }

    /// Cuts it before one call, and judges all that this may leave; false where it ends before that.
    fn cut(&self, cut: u64, count: &mut Count) -> bool {
        let disk = self.base.remount();
        seed_random(Some(1));
        let acknowledged = (self.run)(&disk, cut);
        if !disk.is_off() {
            return false;
        }
        count.cuts += 1;
        let expected = (self.expected)(acknowledged);
        self.judge(&disk, (cut, acknowledged), &expected, count);
        true
    }

    /// Recovers from the outcomes of a crash, and judges each.
    fn judge(&self, disk: &SimDisk, (cut, acknowledged): (u64, usize), expected: &Expected<'_>, count: &mut Count) {
        let plan = self.plan;
        let also = self.also.map(|_| (self.name, acknowledged));
        let measure = hash(&(&expected.allowed, plan.measure(), also));
        let unrecovered = hash(&(expected.states, plan.measure(), "unrecovered"));
        let mut seed = cut;
        for profile in PROFILES {
            for (n, outcome) in chosen(disk, profile, plan, seed, count).into_iter().enumerate() {
                seed += 1;
                count.states += 1;
                let name = self.name;
                let at =
                    || format!("{name}: cut before call {cut}, {profile:?} outcome {n}: {}", disk.describe(&outcome));
                let crashed = disk.after(&outcome);
                let digest = crashed.digest();
                if self.staged && is_new(digest, unrecovered) {
                    judge_unrecovered(&crashed, expected, plan, &at);
                }
                if !is_to_recover(digest, measure) {
                    continue;
                }
                count.distinct += 1;
                let verdict = |disk: &SimDisk, report: &RecoveryReport, at: &dyn Fn() -> String| {
                    judge(disk, expected, report, at);
                    if let Some(also) = self.also {
                        also(disk, plan, acknowledged, at);
                    }
                };
                recover_twice(&crashed.remount(), plan, 1, &verdict, &at);
                if count.distinct % plan.nested_every == 0 {
                    crash_inside(&crashed, plan, (&verdict, measure), count, &at);
                }
            }
        }
    }
}

/// Explores every crash of a workload.
pub(crate) fn explore(workload: &Workload, plan: Plan) -> Count {
    let base = prepare(workload.prepare, plan);
    let states = run_whole(workload, plan, &base);
    let run = |disk: &SimDisk, cut: u64| {
        disk.cut_at(Some(cut));
        plan.open(disk).map_or(0, |tree| workload.run(&tree, disk, &mut |_| {}))
    };
    let expected = |acknowledged| Expected::after(&states, acknowledged);
    let Workload { name, staged, also, .. } = *workload;
    Case { name, plan, base: &base, run: &run, expected: &expected, staged, also }.explore()
}

/// The tree before the workload, opened once by treewal, everything durable.
pub(crate) fn prepare(contents: fn(&SimDisk), plan: Plan) -> SimDisk {
    seed_random(Some(0));
    let disk = SimDisk::new();
    contents(&disk);
    drop(plan.open(&disk).unwrap());
    let root = disk.open_root("/".as_ref()).unwrap();
    disk.sync_all(&root).unwrap();
    disk.remount()
}

/// The tree before the workload, and after each of its steps.
fn run_whole(workload: &Workload, plan: Plan, base: &SimDisk) -> Vec<Dump> {
    seed_random(Some(1));
    let disk = base.remount();
    let mut states = vec![dump(&disk)];
    let tree = plan.open(&disk).unwrap();
    let done = workload.run(&tree, &disk, &mut |disk| states.push(dump(disk)));
    assert_eq!(done, workload.steps.len(), "{} must succeed on a whole disk", workload.name);
    drop(tree);
    assert_eq!(states.last(), Some(&dump(&disk)), "{}: closing the tree changes nothing in it", workload.name);
    states
}

fn chosen(disk: &SimDisk, profile: Profile, plan: Plan, seed: u64, count: &mut Count) -> Vec<Outcome> {
    let all = disk.outcomes(profile);
    if let Some(few) = all.exhaustive(plan.exhaustive_max) {
        count.exhausted += 1;
        return few.collect();
    }
    count.sampled += 1;
    drawn(&all, plan, seed)
}

/// The extremes, what differs from them in one thing, and some at random.
fn drawn(all: &Outcomes, plan: Plan, seed: u64) -> Vec<Outcome> {
    let named = [
        all.nothing(),
        all.everything(),
        all.names_without_contents(),
        all.names_and_lengths(),
        all.contents_without_names(),
    ];
    let single = if plan.singles_max > 0 { all.single() } else { Vec::new() };
    let stride = single.len().div_ceil(plan.singles_max.max(1)).max(1);
    let first = usize::try_from(seed).unwrap() % stride;
    let single = single.into_iter().skip(first).step_by(stride);
    named.into_iter().chain(single).chain(all.sample(seed, plan.samples)).collect()
}

pub(crate) fn outcomes(disk: &SimDisk, profile: Profile, plan: Plan, seed: u64) -> Vec<Outcome> {
    chosen(disk, profile, plan, seed, &mut Count::default())
}
