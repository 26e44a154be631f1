//! What a tree holds, from outside.

#[expect(dead_code, reason = "shared with tests of other things, which use all of it")]
#[path = "../kill/walk.rs"]
mod shared;

pub(crate) use shared::{Walk, walk};
