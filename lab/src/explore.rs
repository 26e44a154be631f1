//! Several recordings at a time, each on a bench of its own.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bench::Bench;
use crate::count::Count;
use crate::filesystem::Fs;
use crate::order::{Kernel, Sync};
use crate::workloads::Workload;

/// How far to go, and where.
#[derive(Debug, Clone)]
pub(crate) struct Knobs {
    pub(crate) dir: PathBuf,
    pub(crate) treewal: PathBuf,
    /// How to mount, where it is not the usual way.
    pub(crate) options: Option<String>,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    /// Mixed fates at each flush of a recording.
    pub(crate) mixed: u64,
    /// Where images that fail are kept.
    pub(crate) keep: Option<PathBuf>,
    /// Tell on standard error how far it has come.
    pub(crate) is_long: bool,
}

impl Knobs {
    /// The file system, and how it is mounted where that is not the usual way.
    pub(crate) fn label(&self, fs: Fs) -> String {
        self.options.as_ref().map_or_else(|| fs.name().to_owned(), |options| format!("{}, {options}", fs.name()))
    }
}

/// One recording, and how many of its images to try.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    pub(crate) workload: &'static Workload,
    pub(crate) kernel: Kernel,
    pub(crate) control: Control,
    pub(crate) images: usize,
}

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    None,
    /// The disk ignores flushes.
    DeafDisk,
    /// This sync does nothing.
    Dropped(Sync),
}

/// Does all jobs on one file system, several at a time; gives the count of each.
pub(crate) fn explore(fs: Fs, jobs: &[Job], knobs: &Knobs) -> Vec<Count> {
    let next = AtomicUsize::new(0);
    let counts = Mutex::new(vec![Count::default(); jobs.len()]);
    std::thread::scope(|scope| {
        for thread in 0..knobs.threads.min(jobs.len()) {
            let (next, counts) = (&next, &counts);
            scope.spawn(move || {
                let mut bench = Bench::new(fs, thread, knobs);
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(n) else { break };
                    let count = bench.explore(job);
                    bench.tell_progress(job, &count, "done");
                    counts.lock().unwrap()[n] = count;
                }
            });
        }
    });
    counts.into_inner().unwrap()
}
