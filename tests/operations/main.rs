//! Operations of staged transactions on a real directory, each beside what the system says of it afterwards.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests look at the tree from outside, and say what they skip"
)]

mod attributes;
mod emptied;
mod failed;
mod links;
mod merge;
mod names;
mod publish;
mod retry;
mod streams;
mod world;
