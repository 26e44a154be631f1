//! Snapshots of chosen paths of a tree, kept in a private directory on the same file system, and restored by
//! comparison.
//!
//! Take one before code that you do not control changes files in place: a library, an embedded database, a child
//! process. Then either throw the directory away, or restore: in the same process, in another one after a crash, or
//! once more after a crash within the restore itself.
//!
//! ```
//! use std::ffi::OsStr;
//! use treewal_snapshot::{Check, Manifest, TakeOptions, restore, take};
//! use treewal_vfs::{Disk, Open, RealDisk, RelPath, read_all, write_all};
//!
//! let home = tempfile::tempdir()?;
//! let disk = RealDisk;
//! let tree = disk.open_root(home.path())?;
//! disk.create_dir(&tree, OsStr::new("private"), 0o700)?;
//! let private = disk.open_dir(&tree, &RelPath::new("private").unwrap())?;
//! let page = disk.open(&tree, OsStr::new("page"), Open::CreateNew { mode: 0o644 })?;
//! write_all(&disk, &page, b"old", 0)?;
//!
//! let paths = [RelPath::new("page").unwrap(), RelPath::new("not-yet-there").unwrap()];
//! take(&disk, &tree, &paths, &private, &TakeOptions::default())?;
//! write_all(&disk, &page, b"new", 0)?;
//! disk.create_dir(&tree, OsStr::new("not-yet-there"), 0o755)?;
//!
//! let manifest = Manifest::load(&disk, &private)?;
//! let restored = restore(&disk, &tree, &private, &manifest, Check::Attributes)?;
//! disk.sync_all(&tree)?;
//! assert_eq!((restored.restored, restored.removed), (1, 1));
//! let page = disk.open(&tree, OsStr::new("page"), Open::Read)?;
//! assert_eq!(read_all(&disk, &page, 100)?, b"old");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! [`take`] walks the paths and writes into the directory it is given:
//!
//! * `manifest`: what was there, an entry after the other ([`Manifest`]; its bytes are described in
//!   `manifest/layout.rs`);
//! * `contents/<n / 1024>/<n>`: the bytes of a file, by reflink, hard link or copy ([`Sharing`]);
//! * `work/`: empty, for the restore;
//! * `mirror/`: for [`exchange`] alone, where [`TakeOptions::exchange`] asks for it: the guarded paths as they are, made of
//!   further names of the contents.
//!
//! [`restore`] compares inodes, sizes and times with the manifest and touches only what differs. A file comes back by
//! renaming its backup into place, with its attributes set beforehand, in exchange for what stands there. The manifest
//! knows the inode of each backup, so a restore that was cut short sees how far it came. [`changes`] tells what a restore
//! would find, and changes nothing; [`diff`] tells the difference of two snapshots, from their manifests alone. Both are
//! iterators, whose memory does not grow with the entries.
//!
//! Kept and brought back: contents with their holes, mode, owner, modification time to the nanosecond, extended
//! attributes (POSIX ACLs among them), symlinks, empty directories, fifos, sockets and device nodes, names that are not
//! UTF-8, and which names are the same file.
//!
//! # What it does not promise
//!
//! * The tree's own root directory is set back only where the whole tree is guarded: mode, owner, time and attributes.
//! * A file of another user that an ordinary user makes again is that user's own, without set-id bits.
//! * A file that has another name outside of the guarded paths is another file than that one once its contents were put
//!   back; attributes that are set back in place are those of both.
//! * Whoever writes while a snapshot is taken may be in it with one file and not with another; one file is whole.
//! * A restore is not durable by itself; see there.

mod contents;
mod diff;
mod error;
mod judge;
mod ladder;
mod manifest;
mod mirror;
mod progress;
mod restore;
mod take;
mod walk;

pub use diff::{Change, ChangeKind, Changes, changes, compare, diff, touched};
pub use error::{Error, Result};
pub use ladder::{Report, Sharing};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use manifest::fuzz;
pub use manifest::{Backup, Entries, Entry, Guarded, Manifest, Mode, Role};
pub use progress::Progress;
pub use restore::{Check, Displaced, Restored, Stored, displaced, exchange, is_copy, restore};
pub use take::{TakeOptions, take};
