//! Guards in guards, beside transactions, and under writers that do not stop.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, and looks at the tree from outside"
)]

mod beside;
mod choices;
mod crash;
#[path = "../shared/hooked.rs"]
mod hooked;
mod nested;
mod patterns;
mod restless;
mod seen;
mod syncs;
mod walk;

/// Ends a guard one way or the other.
pub(crate) fn end(guard: treewal::Guard, commits: bool) -> treewal::Result<()> {
    if commits { guard.commit() } else { guard.rollback() }
}
