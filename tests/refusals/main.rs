//! Bad ground: what a tree refuses to stand on, to go through or to fill, with an error that names the path, and with
//! nothing changed, inside the tree or out of it.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests look at the tree from outside"
)]

mod ground;
#[path = "../shared/mount.rs"]
mod mount;
mod mounts;
mod odd;
mod planted;
mod rivals;
mod space;
mod store;
mod tools;
