//! Guards in guards, beside transactions, and under writers that do not stop.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, and looks at the tree from outside"
)]

mod attacked;
mod beside;
mod choices;
mod committed;
mod crash;
#[path = "../shared/hooked.rs"]
mod hooked;
mod hostile;
mod nested;
mod patterns;
mod random;
mod restless;
mod restored;
mod seen;
mod syncs;
mod told;
mod walk;

/// To where nobody catches it: what is left out is told also where the test passes.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Ends a guard one way or the other.
pub(crate) fn end(guard: treewal::Guard, commits: bool) -> treewal::Result<()> {
    if commits { guard.commit() } else { guard.rollback() }
}
