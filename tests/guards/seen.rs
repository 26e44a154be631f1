//! What a tree holds.

#[path = "../shared/seen.rs"]
mod shared;

pub(crate) use shared::{Seen, differences, leftovers, look};
