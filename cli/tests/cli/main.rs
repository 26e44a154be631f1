//! The real program on real directories.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests look at the tree from outside"
)]

mod apply;
mod common;
mod damage;
mod expect;
mod follow;
mod hostile;
mod input;
mod keeping;
mod log;
mod look;
mod quarantine;
mod resolve;
mod run;
mod signals;
mod snapshot;
mod text;
