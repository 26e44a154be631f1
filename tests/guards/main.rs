//! Guards in guards, beside transactions, and under writers that do not stop.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, and looks at the tree from outside"
)]

mod beside;
mod crash;
mod nested;
mod patterns;
mod restless;
#[path = "../shared/seen.rs"]
mod seen;
mod syncs;
