//! The rig: cut the power at every call, take every outcome, recover, judge.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use treewal::RecoveryReport;
use treewal_vfs::sim::{Outcome, Outcomes, Profile, SimDisk, seed_random};
use treewal_vfs::{Disk, ITSELF, RelPath, Time};

pub(crate) use crate::count::Count;
use crate::count::{add_to_total, hash, is_new, is_to_recover};
use crate::judge::{Dump, Expected, Lasting, dump, judge, judge_unrecovered};
use crate::plan::variable;
pub(crate) use crate::plan::{Plan, Renames};
use crate::recover::{Work, crash_inside, recover_twice};
use crate::workloads::Workload;

/// What POSIX allows and no more; what ext4 and xfs do; what btrfs does.
pub(crate) const PROFILES: [Profile; 3] = [Profile::Strict, Profile::Ordered, Profile::Grouped];

/// Asked of a recovered disk beside the rest, with the number of steps that were acknowledged.
pub(crate) type Also = fn(&SimDisk, Plan, usize, &dyn Fn() -> String);

/// Something that is cut at every call.
pub(crate) struct Case<'a> {
    pub(crate) name: &'a str,
    pub(crate) plan: Plan,
    pub(crate) base: &'a SimDisk,
    /// Does it, on a disk that is cut before this call from where it says so; gives what was acknowledged.
    pub(crate) run: &'a (dyn Fn(&SimDisk, u64) -> usize + Sync),
    /// What is acknowledged where nothing is cut.
    pub(crate) all: usize,
    /// What a crash may lead to, after that.
    pub(crate) expected: &'a (dyn Fn(usize) -> Expected<'a> + Sync),
    /// Which paths that last are never missing.
    pub(crate) lasting: Lasting,
    pub(crate) also: Option<Also>,
}

impl Case<'_> {
    /// Explores every crash of it, in as many threads as `TREEWAL_CRASH_THREADS` says, one by default.
    pub(crate) fn explore(&self) -> Count {
        let (next, is_over) = (AtomicU64::new(1), AtomicBool::new(false));
        let work = || {
            let mut count = Count::default();
            while self.cut(next.fetch_add(1, Ordering::Relaxed), &is_over, &mut count) {}
            count
        };
        let helpers = variable("TREEWAL_CRASH_THREADS").unwrap_or(1).saturating_sub(1);
        let mut count = thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let mut count = work();
            for helper in helpers {
                count.add(&helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            count
        });
        count.explorations = 1;
        add_to_total(&count);
        let name = self.name;
        assert!(count.acknowledged > 0, "{name}: no crash comes after all of it: {count}");
        if self.plan.inside.is_on {
            assert!(count.nests >= count.with_work, "{name}: a cut leaves work, and no crash inside it: {count}");
            assert!(count.nested_cuts >= count.nests, "{name}: recoveries with work that no call is cut of: {count}");
        }
        count
    }

    /// Cuts it before one call, and judges all that this may leave. Where it ends before that, the power goes once it has
    /// returned; false behind that.
    fn cut(&self, cut: u64, is_over: &AtomicBool, count: &mut Count) -> bool {
        let disk = self.base.remount();
        seed_random(Some(1));
        let acknowledged = (self.run)(&disk, cut);
        let is_whole = !disk.is_off();
        if is_whole {
            assert_eq!(acknowledged, self.all, "{}: not all of it is acknowledged on a whole disk", self.name);
            // One of the threads judges the end.
            if is_over.swap(true, Ordering::Relaxed) {
                return false;
            }
        }
        count.cuts += 1;
        count.acknowledged += u64::from(acknowledged == self.all);
        let expected = (self.expected)(acknowledged);
        self.judge(&disk, (cut, acknowledged), &expected, count);
        !is_whole
    }

    /// Recovers from the outcomes of a crash, and judges each.
    fn judge(&self, disk: &SimDisk, (cut, acknowledged): (u64, usize), expected: &Expected<'_>, count: &mut Count) {
        let plan = self.plan;
        // What is crashed inside as well is judged for itself, whatever others have seen of the same disks.
        let own = plan.inside.is_on.then_some(self.name);
        let also = self.also.map(|_| (self.name, acknowledged));
        let measure = hash(&(&expected.allowed, plan.measure(), own, also));
        let unrecovered = hash(&(expected.states, plan.measure(), self.lasting, "unrecovered"));
        let mut nested = Nested::default();
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
                if is_new(digest, unrecovered) {
                    judge_unrecovered(&crashed, expected, (plan, self.lasting), &at);
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
                let work = recover_twice(&crashed.remount(), plan, 1, &verdict, &at);
                if nested.takes(work, plan, count) {
                    crash_inside(&crashed, plan, (&verdict, measure), count, &at);
                }
            }
        }
    }
}

/// Which states of one cut are crashed inside recovery.
#[derive(Default)]
pub(crate) struct Nested {
    with_work: bool,
    with_transactions: bool,
}

impl Nested {
    /// Whether a state is one of them, that recovery had so much to do in.
    pub(crate) fn takes(&mut self, work: Work, plan: Plan, count: &mut Count) -> bool {
        if work == Work::None || !plan.inside.is_on {
            return false;
        }
        let is_first = !self.with_work;
        let is_first_transaction = plan.inside.of_transactions && work == Work::Transactions && !self.with_transactions;
        self.with_work = true;
        self.with_transactions |= is_first_transaction;
        count.with_work += u64::from(is_first);
        let is_drawn = plan.inside.every.is_some_and(|every| count.distinct % every == 0);
        let takes = is_first || is_first_transaction || is_drawn;
        count.nests += u64::from(takes);
        takes
    }
}

/// Explores every crash of a workload.
pub(crate) fn explore(workload: &Workload, plan: Plan) -> Count {
    let plan = if workload.lasting == Lasting::Guarded { plan.with_a_young_root() } else { plan };
    let base = prepare(workload.prepare, plan);
    let states = run_whole(workload, plan, &base);
    let run = |disk: &SimDisk, cut: u64| {
        disk.cut_at(Some(cut));
        plan.open(disk).map_or(0, |tree| workload.run(&tree, disk, &mut |_| {}))
    };
    let expected = |acknowledged| Expected::after(&states, acknowledged);
    let Workload { name, lasting, also, .. } = *workload;
    let all = workload.steps.len();
    Case { name, plan, base: &base, run: &run, all, expected: &expected, lasting, also }.explore()
}

/// The tree before the workload, opened once by treewal, everything durable, and of a time long gone.
pub(crate) fn prepare(contents: fn(&SimDisk), plan: Plan) -> SimDisk {
    seed_random(Some(0));
    let disk = plan.disk();
    contents(&disk);
    drop(plan.open(&disk).unwrap());
    age(&disk, plan);
    let root = disk.open_root("/".as_ref()).unwrap();
    disk.sync_all(&root).unwrap();
    disk.remount()
}

/// Gives each entry, the tree itself among them, a time of modification of its own that no clock says: what nobody touches
/// still has it at the end, and so has what was brought back.
fn age(disk: &SimDisk, plan: Plan) {
    let root = disk.open_root("/".as_ref()).unwrap();
    let own = RelPath::new(".treewal").unwrap();
    for (secs, path) in (1000..).zip(disk.dump_without(&own).keys()) {
        let time = Time { secs, nanos: 987_654_321 };
        match path.split() {
            Some((parent, name)) => {
                let dir = disk.open_dir(&root, &parent).unwrap();
                disk.set_times(&dir, name, time, time).unwrap();
            }
            None if plan.is_root_aged => disk.set_times(&root, ITSELF.as_ref(), time, time).unwrap(),
            None => {}
        }
    }
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
    let some = chosen_of(&all, plan, seed, count);
    if !plan.splits || profile != Profile::Strict {
        return some;
    }
    let split = with_both_names(&all, some);
    count.split += split.iter().filter(|outcome| outcome.has_both_names()).count() as u64;
    split
}

/// Outcomes, and those that differ from them in renames that left both names.
pub(crate) fn with_both_names(all: &Outcomes, some: Vec<Outcome>) -> Vec<Outcome> {
    some.into_iter()
        .flat_map(|one| {
            let split = all.with_both_names(&one);
            std::iter::once(one).chain(split)
        })
        .collect()
}

fn chosen_of(all: &Outcomes, plan: Plan, seed: u64, count: &mut Count) -> Vec<Outcome> {
    if let Some(few) = all.exhaustive(plan.exhaustive_max) {
        count.exhausted += 1;
        return few.collect();
    }
    count.sampled += 1;
    drawn(all, plan.samples, plan.singles_max, seed)
}

/// The extremes, what differs from them in one thing, and some at random.
pub(crate) fn drawn(all: &Outcomes, samples: usize, singles_max: usize, seed: u64) -> Vec<Outcome> {
    let single = if singles_max > 0 { all.single() } else { Vec::new() };
    let stride = single.len().div_ceil(singles_max.max(1)).max(1);
    let first = usize::try_from(seed).unwrap() % stride;
    let single = single.into_iter().skip(first).step_by(stride);
    all.named().into_iter().chain(single).chain(all.sample(seed, samples)).collect()
}

pub(crate) fn outcomes(disk: &SimDisk, profile: Profile, plan: Plan, seed: u64) -> Vec<Outcome> {
    chosen(disk, profile, plan, seed, &mut Count::default())
}
