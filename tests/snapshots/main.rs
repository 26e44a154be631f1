//! Named snapshots: what they hold, what a restore brings back, what a crash leaves of either, and what is refused.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, and looks at the tree from outside"
)]

mod basics;
mod crash;
mod failing;
#[path = "../shared/hooked.rs"]
mod hooked;
mod others;
mod paths;
mod reclaim;
#[path = "../shared/seen.rs"]
mod seen;
mod walk;
