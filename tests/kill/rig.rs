//! The rig: make a tree, kill a process that works on it, recover, judge, count.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::child::{Ended, Job};
use crate::judge::{Expected, judge, judge_unrecovered};
use crate::walk::{Walk, walk};
use crate::workloads::{Workload, prepare};

const THREADS: usize = 2;

/// One kill in so many is followed by kills in the recovery.
pub(crate) fn nested_every() -> u64 {
    if full() { 1 } else { 13 }
}

/// One system call in so many is where a process is killed: a tracer takes its time.
pub(crate) fn traced_every() -> usize {
    if full() { 1 } else { 3 }
}

/// Whether no point is to be left out.
pub(crate) fn full() -> bool {
    std::env::var_os("TREEWAL_KILL_FULL").is_some()
}

/// The turn of one test: the threads of several would take each other's time.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A workload, and what it leads to where nobody is killed.
pub(crate) struct Target {
    pub(crate) workload: &'static Workload,
    states: Vec<Walk>,
    calls: u64,
}

impl Target {
    /// Runs the workload to its end, once for each of its steps.
    pub(crate) fn new(workload: &'static Workload) -> Self {
        let mut target = Self { workload, states: Vec::new(), calls: 0 };
        for steps in 0..=workload.steps.len() {
            let dir = target.tree();
            if steps == 0 {
                target.states.push(walk(dir.path()));
            }
            let ended = target.job(dir.path(), steps, 0).run();
            assert_eq!(ended.acknowledged, steps, "{}", workload.name);
            let mut state = walk(dir.path());
            for (path, seen) in &mut state {
                // What a step touched has the time of this run of it.
                if target.states[0].get(path).is_none_or(|first| first.modified != seen.modified) {
                    seen.modified = None;
                }
            }
            target.calls = ended.calls.unwrap();
            if steps > 0 {
                target.states.push(state);
            }
        }
        target
    }

    /// How many calls of the disk the whole workload makes.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// A fresh tree.
    pub(crate) fn tree(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir_in(work_dir()).unwrap();
        prepare(dir.path(), self.workload);
        dir
    }

    pub(crate) fn job<'a>(&self, tree: &'a Path, steps: usize, at: u64) -> Job<'a> {
        Job { tree, workload: self.workload.name, steps, at, renames: self.workload.renames }
    }

    /// The whole workload, as a job.
    pub(crate) fn whole<'a>(&self, tree: &'a Path, at: u64) -> Job<'a> {
        self.job(tree, self.workload.steps.len(), at)
    }

    /// Nothing but the opening, as a job.
    pub(crate) fn recovery<'a>(&self, tree: &'a Path, at: u64) -> Job<'a> {
        Job { tree, workload: "none, only open", steps: 0, at, renames: self.workload.renames }
    }

    /// Kills the process at call `n`, and judges what is left.
    pub(crate) fn kill_and_judge(&self, n: u64) -> Result<(), String> {
        let dir = self.tree();
        let ended = self.killed_at(dir.path(), n)?;
        self.judge(dir.path(), ended.acknowledged).map_err(|error| format!("killed at call {n}: {error}"))
    }

    /// A tree that was left by a process killed at call `n`.
    pub(crate) fn killed_at(&self, tree: &Path, n: u64) -> Result<Ended, String> {
        let ended = self.whole(tree, n).run();
        if ended.killed { Ok(ended) } else { Err(format!("call {n}: the process lives, {:?} calls", ended.calls)) }
    }

    /// Kills the process at call `n`, then its recovery at each of its calls, and judges what is left.
    pub(crate) fn kill_in_recovery(&self, n: u64, tally: &Tally) -> Result<(), String> {
        for m in 1.. {
            let dir = self.tree();
            let ended = self.killed_at(dir.path(), n)?;
            let killed = self.recovery(dir.path(), m).run().killed;
            let judged = self.judge(dir.path(), ended.acknowledged);
            let judged =
                judged.map_err(|error| format!("killed at call {n}, then at call {m} of the recovery: {error}"));
            if !killed {
                return judged;
            }
            tally.count(judged, self.workload);
        }
        Ok(())
    }

    /// Kills the process at call `n`, then one recovery after the other, each a little later, and judges what is left.
    /// One recovery fewer than it takes to be given up.
    pub(crate) fn kill_in_a_row(&self, n: u64) -> Result<(), String> {
        let dir = self.tree();
        let ended = self.killed_at(dir.path(), n)?;
        let mut killed = vec![n];
        for m in [5, 9, 14, 20] {
            if self.recovery(dir.path(), m).run().killed {
                killed.push(m);
            }
        }
        self.judge(dir.path(), ended.acknowledged).map_err(|error| format!("killed at calls {killed:?}: {error}"))
    }

    /// Judges a tree that a kill left behind.
    pub(crate) fn judge(&self, tree: &Path, acknowledged: usize) -> Result<(), String> {
        if self.workload.staged {
            judge_unrecovered(tree, &self.states, self.workload.renames)?;
        }
        judge(tree, &Expected { states: &self.states, acknowledged })
    }
}

/// Where the trees of a test are made that has a file system of its own.
static ELSEWHERE: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Makes the trees there from now on; `None`: where they are made by default.
pub(crate) fn work_in(dir: Option<PathBuf>) {
    *ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner) = dir;
}

/// Where the trees are made.
pub(crate) fn work_dir() -> PathBuf {
    if let Some(dir) = &*ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner) {
        return dir.clone();
    }
    let named = std::env::var_os("TREEWAL_KILL_DIR").map(PathBuf::from);
    let memory = PathBuf::from("/dev/shm");
    let fits = |dir: &Path| tempfile::tempdir_in(dir).is_ok();
    named.unwrap_or_else(|| if fits(&memory) { memory } else { std::env::temp_dir() })
}

/// What was tried, and what failed.
#[derive(Default)]
pub(crate) struct Tally {
    tried: AtomicU64,
    failed: Mutex<Vec<String>>,
}

impl Tally {
    pub(crate) fn count(&self, result: Result<(), String>, workload: &Workload) {
        self.tried.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = result {
            self.failed.lock().unwrap().push(format!("{}: {error}", workload.name));
        }
    }

    pub(crate) fn add(&self, other: &Self) {
        self.tried.fetch_add(other.tried.load(Ordering::Relaxed), Ordering::Relaxed);
        self.failed.lock().unwrap().append(&mut other.failed.lock().unwrap());
    }

    pub(crate) fn assert_none_failed(&self, tried_min: u64) {
        let failed = self.failed.lock().unwrap();
        let shown: Vec<&str> = failed.iter().take(12).map(String::as_str).collect();
        assert!(failed.is_empty(), "{} kill points failed, the first of them:\n{}", failed.len(), shown.join("\n\n"));
        assert!(self.tried.load(Ordering::Relaxed) > tried_min, "trying next to nothing proves nothing");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed.lock().unwrap().len();
        write!(f, "kill points tried {}, failed {failed}", self.tried.load(Ordering::Relaxed))
    }
}

/// Tries every point, on a few threads.
pub(crate) fn each<P: Send>(
    points: impl Iterator<Item = P> + Send,
    tally: &Tally,
    workload: &'static Workload,
    body: impl Fn(P) -> Result<(), String> + Sync,
) {
    let points = Mutex::new(points);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(point) = points.lock().unwrap().next() else { break };
                    tally.count(body(point), workload);
                }
            });
        }
    });
}
