//! Every call of the disk fails once, or all from one on: what an error says of the tree must be true, right then, after a
//! loss of power, and after the next opening.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and counts out loud"
)]

mod guards;
mod operations;
#[path = "../shared/seen.rs"]
mod seen;
mod stories;
mod syncs;
mod transactions;
mod trap;
mod world;
