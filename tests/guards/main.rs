//! Guards in guards, beside transactions, and under writers that do not stop.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, and looks at the tree from outside"
)]

mod beside;
mod crash;
#[path = "../shared/hooked.rs"]
mod hooked;
mod nested;
mod patterns;
mod restless;
mod seen;
mod syncs;
