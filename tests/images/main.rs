//! Real file systems in images: trees that are found elsewhere than where they were left, and disks that are full. As root
//! only; what is not possible here is said by name.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, counts out loud, and looks at the tree from outside"
)]

mod copied;
mod elsewhere;
mod full;
mod guards;
#[path = "../shared/hooked.rs"]
mod hooked;
mod image;
mod large;
mod read_only;
mod work;
