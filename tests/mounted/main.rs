//! Files at whose path something is really mounted. As root only; what is not possible here is said by name.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and looks at the tree from outside"
)]

mod bed;
mod cut;
#[path = "../shared/hooked.rs"]
mod hooked;
mod refused;
mod whole;
