//! The directory of named snapshots: made when the first is taken, so that who takes none pays nothing.
//!
//! A snapshot is taken under a name that begins with a dot, and gets its own by one rename when all of it is durable. It
//! is removed the other way round. So what has a name of its own is whole, and everything else is swept.

use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, RelPath, remove_tree};

use super::{DIR_NAME, Home, make_private};
use crate::{Error, Result};

const NAME: &str = "snapshots";
const SHOWN: &str = ".treewal/snapshots";

/// The directory of named snapshots; `None` before the first one.
///
/// # Errors
/// Any error of the disk.
pub fn open_snapshots(home: &Home) -> Result<Option<Dir>> {
    match home.disk.open_dir(&home.dot, &RelPath::root().join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some).map_err(Error::io("open", SHOWN)),
    }
}

/// The same; made where it is missing, and durable then.
///
/// # Errors
/// Any error of the disk.
pub fn make_snapshots(home: &Home) -> Result<Dir> {
    if make_private(&*home.disk, &home.dot, NAME)? {
        home.disk.sync_dir(&home.dot).map_err(Error::io("sync", DIR_NAME))?;
    }
    home.disk.open_dir(&home.dot, &RelPath::root().join(NAME)).map_err(Error::io("open", SHOWN))
}

/// Whether this is no name of a snapshot, but of a half-made or half-removed one.
#[must_use]
pub fn is_draft(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Removes what is half made or half removed, and gives its number. Call it under the tree's lock: whoever makes or
/// removes one holds it, so what is found then has no maker any more.
///
/// # Errors
/// Any error of the disk.
pub fn sweep_snapshots(home: &Home) -> Result<u64> {
    let Some(dir) = open_snapshots(home)? else { return Ok(0) };
    let mut swept = 0;
    for entry in home.disk.list(&dir).map_err(Error::io("list", SHOWN))? {
        if is_draft(&entry.name) {
            if swept == 0 {
                // One whose name was taken back may not get it again once it is no longer whole.
                home.disk.sync_dir(&dir).map_err(Error::io("sync", SHOWN))?;
            }
            remove_tree(&*home.disk, &dir, &entry.name).map_err(Error::io("clean", SHOWN))?;
            swept += 1;
        }
    }
    Ok(swept)
}
