//! The demonstration: a real process is killed at every disk call of its work, the tree is recovered, and every file is
//! looked at before, at the crash and after.

mod part;
mod picture;
mod show;
mod story;
mod trial;

pub(crate) use part::{PART, play};
pub(crate) use show::Demo;
pub(crate) use story::Work;
pub(crate) use trial::trials;
