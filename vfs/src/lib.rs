//! The seam to the disk: one object-safe trait, [`Disk`], of few verbs relative to directory handles.
//!
//! Everything that treewal does to a file system goes through this crate, and every crash test hangs on it. Three
//! nouns: a [`Disk`] is where the calls go; a [`Dir`] or a [`File`] is an open handle on it; a [`RelPath`] names
//! something beneath a `Dir` and cannot name anything else.
//!
//! | disk | what it is for |
//! |---|---|
//! | [`RealDisk`] | the operating system, over `rustix`; paths resolve beneath their handle and through no symlink |
//! | `SimDisk` (feature `sim`) | a durable and a volatile layer in memory; a crash keeps what was synced and any allowed part of the rest |
//! | [`RecordingDisk`] | forwards to another disk and counts every call |
//! | [`FaultDisk`] | forwards to another disk and fails, or kills the process, at a chosen call |
//!
//! Handles are opaque values rather than type parameters, so that an engine written against `dyn Disk` runs unchanged
//! on all four, and a wrapper passes the handles of its inner disk through. [`Layer`] is how a wrapper is written: it says
//! what it does otherwise, and passes on the rest.
//!
//! What needs several verbs is a function over any of them: [`read_all`], [`write_all`], [`copy_contents`],
//! [`remove_tree`]. [`errno`] names the error numbers, so that nobody else needs to know the operating system.
//!
//! Each verb of [`Disk`] says what survives a crash. Two kinds of crash are told apart: a *kill* (the process dies,
//! the kernel lives: everything done so far stays) and a *power loss* (only what was synced is certain; the rest may
//! be there, be missing, or be there in part).

mod bytes;
mod call;
pub mod codec;
mod copy;
mod disk;
pub mod errno;
mod fault;
mod handle;
mod layer;
mod mapping;
mod meta;
mod path;
mod random;
mod real;
mod record;
mod remove;
#[cfg(feature = "sim")]
pub mod sim;
mod verb;

pub use bytes::{read_all, write_all, write_all_vectored};
pub use call::Call;
pub use copy::{Copied, copy_contents};
pub use disk::{Disk, ITSELF, Lock, Locker, MountId, Open, PowerLoss, Rename};
pub use fault::{Fault, FaultDisk};
pub use handle::{Dir, File};
pub use layer::Layer;
pub use mapping::Mapping;
pub use meta::{Entry, Identity, Kind, Meta, Time};
pub use path::{BadPath, NAME_BYTES_MAX, PATH_BYTES_MAX, RelPath};
pub use random::random;
pub use real::RealDisk;
pub use record::RecordingDisk;
pub use remove::remove_tree;
pub use verb::Verb;
