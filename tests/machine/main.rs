//! A state machine over the whole public API: several handles on one simulated disk that stage, commit, guard, keep snapshots,
//! read and close, with kills, losses of power, failing calls and changes by somebody who knows nothing of treewal as steps
//! like any other. After each step the tree is what a model in memory says.
//!
//! * `memory`, `answers`, `told`: the tree in memory, and what operations answer and do to it; `tests/crowd` holds it against
//!   `std::fs`. `overlaid` puts it back in part, `merged` merges. `call` has the operations that only this test knows.
//! * `step`: what can be done. A run is a script, a step to a line, which `script` writes and reads: what fails is printed as one,
//!   and put into `regressions/` it is run each time.
//!   `scenes` has those that belong together.
//! * `drawn`: the options that a handle opens the tree with.
//! * `world`: the handles, the model, and what must hold after each step, which `judged` looks at. `transactions`, with `begun`, `batch` and `apply`, `guards` and `met`, `snaps`,
//!   `foreign`, `crash`, `owed`, `lost` `outside`, `looks` and `quarantine` are the kinds of steps.
//!
//! A few seconds. `TREEWAL_MODEL_CASES` (or `PROPTEST_CASES`) asks for so many runs, other ones each time.
//! `TREEWAL_MODEL_SCRIPT` runs the script in a file. Real processes are for `tests/crowd`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, counts out loud, and looks at the tree from outside"
)]

#[path = "../crowd/answers.rs"]
mod answers;
mod apply;
mod batch;
mod begun;
mod call;
mod counts;
mod crash;
mod drawn;
mod foreign;
mod guards;
mod judged;
mod looks;
mod lost;
#[path = "../crowd/memory.rs"]
mod memory;
mod merged;
mod met;
#[expect(dead_code, reason = "shared with tests that begin with transactions alone")]
#[path = "../model/ops.rs"]
mod ops;
mod outside;
mod overlaid;
mod owed;
mod quarantine;
mod run;
mod scenes;
mod script;
#[path = "../shared/seen.rs"]
mod seen;
mod snaps;
mod step;
#[expect(dead_code, reason = "shared with tests whose transactions know less")]
#[path = "../crowd/told.rs"]
mod told;
mod transactions;
mod world;
