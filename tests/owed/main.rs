//! Something is owed: recovery could neither finish nor undo a transaction yet. Its paths are refused by name, everything
//! else works on, and what is done later never meets what was committed meanwhile.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and counts out loud"
)]

mod beside;
mod faults;
#[path = "../shared/hooked.rs"]
mod hooked;
mod linear;
mod nested;
mod resolve;
#[path = "../shared/seen.rs"]
mod seen;
mod stage;
mod stubborn;
mod unsynced;
mod world;
