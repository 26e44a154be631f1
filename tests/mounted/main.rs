//! Files at whose path something is really mounted. As root only; what is not possible here is said by name.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, counts out loud, and looks at the tree from outside"
)]

mod bed;
mod cut;
mod whole;
