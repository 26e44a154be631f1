//! Every call of the disk fails once, or all from one on: what an error says of the tree must be true, right then, after a
//! loss of power, and after the next opening.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod guards;
mod operations;
#[path = "../shared/seen.rs"]
mod seen;
mod syncs;
mod transactions;
mod world;
