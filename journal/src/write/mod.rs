//! The writer. [`Log`] is what a user has of it; behind it, records go from [`append`] into the [`tail`], and from there
//! in [`group`]s to the disk.

mod ahead;
mod append;
mod group;
mod log;
pub(crate) mod make;
mod rejoin;
pub(crate) mod resume;
mod rotate;
mod sync;
mod tail;
mod truncate;
mod writer;

pub use log::{Log, LogOptions};
pub use rejoin::LogEnd;
