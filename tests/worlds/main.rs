//! Worlds that a tree may come to be in: others who read and write it, clocks that jump, disks that come and go, copies and
//! backups, a `.treewal` that somebody removed or forged, ground that cannot be written to.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, counts out loud, and looks at the tree from outside"
)]

mod child;
mod clocks;
mod copies;
mod forged;
mod guarded_copies;
mod linked_copies;
mod locks;
#[path = "../shared/mount.rs"]
mod mount;
mod read_only;
mod removed;
mod spans;
mod whole;
