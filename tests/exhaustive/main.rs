//! Every transaction of a few operations on a small tree: what `std::fs` would refuse is refused, everything else commits, and
//! leaves the tree that `std::fs` would leave, at once and after the power was lost.
//!
//! Random sequences find what is likely. Here nothing is left to luck: two operations out of some two hundred, on a tree
//! that has a file, a full and an empty directory, in each order. Most mistakes in the order of renames need no more.
//!
//! * `alphabet`: the operations.
//! * `walk`: all sequences of them.
//! * `judge`: what must hold of each.
//!
//! `TREEWAL_EXHAUSTIVE_LENGTH` asks for longer sequences (3: an hour), `TREEWAL_EXHAUSTIVE_CUTS=all` for a loss of power before
//! every call of each.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod alphabet;
#[path = "../crowd/answers.rs"]
mod answers;
mod judge;
#[path = "../crowd/memory.rs"]
mod memory;
#[expect(dead_code, reason = "shared with tests that draw operations")]
#[path = "../model/ops.rs"]
mod ops;
#[path = "../shared/seen.rs"]
mod seen;
#[expect(dead_code, reason = "shared with tests that tell their processes what to do")]
#[path = "../crowd/told.rs"]
mod told;
mod walk;
