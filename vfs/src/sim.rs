//! A disk in memory that can lose its power.
//!
//! It has two layers: what processes see, and what is certain to survive. Between the two stand changes that no sync has
//! covered: of names, of metadata and of contents, each kept apart. A crash keeps some of them; which ones may be kept
//! is what [`Disk`](crate::Disk) says under "What survives a crash", and nothing else.
//!
//! ```
//! use std::ffi::OsStr;
//! use treewal_vfs::sim::{Profile, SimDisk};
//! use treewal_vfs::{Disk, Open, RelPath, write_all};
//!
//! let disk = SimDisk::new();
//! let root = disk.open_root("/".as_ref())?;
//! let file = disk.open(&root, OsStr::new("a"), Open::CreateNew { mode: 0o644 })?;
//! write_all(&disk, &file, b"hello", 0)?;
//! disk.sync_file(&file)?;
//!
//! // The file is synced, its name is not: it may be there or not, but never without its contents.
//! let outcomes = disk.outcomes(Profile::Strict).exhaustive(100).unwrap();
//! for outcome in outcomes {
//!     let tree = disk.after(&outcome).dump();
//!     let file = tree.get(&RelPath::new("a").unwrap());
//!     assert!(file.is_none_or(|file| file.contents == b"hello"));
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A test crashes a workload at every call: [`SimDisk::cut_at`] n for n from 1, until the workload ends by itself; then
//! recovers from every [`Outcome`] of [`SimDisk::outcomes`], each on the new disk that [`SimDisk::after`] gives.
//!
//! What it does not simulate: permissions (everything is allowed, as for root), mounts, reads that fail, and bits that
//! change by themselves. Reading does not move the time of last access.

mod attributes;
mod both_names;
mod content;
mod contents;
mod describe;
mod disk;
mod dump;
mod enumerate;
mod file_log;
mod handle;
mod image;
mod inodes;
mod locks;
mod lookup;
mod meta_log;
mod names;
mod names_log;
mod outcome;
mod sample;
mod seeded;
mod settings;
mod single;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod verbs;

pub use disk::SimDisk;
pub use dump::Node;
pub(crate) use handle::SimHandle;
pub use outcome::{Outcome, Outcomes, Profile};
pub(crate) use seeded::drawn;
pub use seeded::seed_random;
pub use settings::{Lose, Reuse};
