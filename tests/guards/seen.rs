//! What a tree holds.

#[expect(dead_code, reason = "shared with tests of other things, which use all of it")]
#[path = "../shared/seen.rs"]
mod shared;

pub(crate) use shared::{Seen, leftovers, look};
