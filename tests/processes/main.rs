//! Several processes on one tree, some of which are killed while others go on.
//!
//! * `turns`: a process takes turns with handles that live on, and is killed at every call that changes the disk. Whoever
//!   takes the tree next, without opening it anew, must find all that was acknowledged, and nothing half.
//! * `races`: two or three processes commit for themselves and to files that they share, and are killed at random moments,
//!   while readers look.
//! * `soak`: eight processes do everything that can be done, and are killed in any number, on one tree for as long as is asked
//!   for with `TREEWAL_SOAK_SECONDS`; it must come to rest with all that was acknowledged and nothing left over.
//!
//! A few seconds each. `TREEWAL_PROCESSES_DEPTH` asks for so many times as much. `TREEWAL_KILL_DIR` names a directory to work
//! in; without it, it is memory where there is some: a kill loses nothing that the kernel was told.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, counts out loud, and looks at the tree from outside"
)]

mod child;
mod contents;
mod judge;
#[path = "../shared/process.rs"]
mod process;
mod races;
mod readers;
mod soak;
mod turns;
mod worker;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many times as much to do as is fit for every run.
fn depth() -> u32 {
    std::env::var("TREEWAL_PROCESSES_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1).max(1)
}

/// Where the trees are made.
fn work_dir() -> PathBuf {
    let named = std::env::var_os("TREEWAL_KILL_DIR").map(PathBuf::from);
    let memory = PathBuf::from("/dev/shm");
    let fits = |dir: &Path| tempfile::tempdir_in(dir).is_ok();
    named.unwrap_or_else(|| if fits(&memory) { memory } else { std::env::temp_dir() })
}

/// A moment up to so long.
fn moment(most: Duration) -> Duration {
    Duration::from_micros(treewal_vfs::random() % u64::try_from(most.as_micros()).unwrap().max(1))
}
