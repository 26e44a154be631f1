//! Real processes on one tree that do random steps, are killed, and are started again: three, each in a directory of its own, with
//! transactions of every level, guards, snapshots, restores, readers and checkpoints. What stands in the tree must be what each was
//! told, as a model in memory has it.
//!
//! * `memory`, `answers`: the tree in memory, and what operations do to it; held against `std::fs` by `agree`.
//! * `told`: what a transaction is to answer and to leave.
//! * `work`: the processes.
//!
//! A few seconds. `TREEWAL_MODEL_CASES` (or `PROPTEST_CASES`) asks for so many runs, of which 50 are a round of the processes.
//! `TREEWAL_MODEL_DIR` names directories for the trees, with a colon between them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, counts out loud, and looks at the tree from outside"
)]

mod agree;
mod answers;
mod child;
mod memory;
#[path = "../model/ops.rs"]
mod ops;
#[expect(dead_code, reason = "shared with tests that tell their processes what to do")]
#[path = "../shared/process.rs"]
mod process;
#[path = "../model/replay.rs"]
mod replay;
#[path = "../shared/seen.rs"]
mod seen;
mod told;
mod work;

/// How many runs to make; so many, where nobody asks for another number.
fn cases(few: u32) -> u32 {
    let asked = |name| std::env::var(name).ok()?.parse().ok();
    asked("TREEWAL_MODEL_CASES").or_else(|| asked("PROPTEST_CASES")).unwrap_or(few)
}
