//! Others: programs that never heard of treewal change the tree at any moment, before, in and after a commit, and between
//! a crash and the recovery. What they wrote is never lost, and what is said of the transaction is true.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says how much it tried"
)]

mod attributes;
mod between;
mod dying;
#[path = "../shared/hooked.rs"]
mod hooked;
mod killed_at_once;
mod newer;
mod older;
#[path = "../shared/seen.rs"]
mod seen;
mod store;
mod while_committing;
mod world;
