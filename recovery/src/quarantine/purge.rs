//! Throwing away what is in quarantine: only ever because somebody said so.

use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Rename, remove_tree};

use crate::home::Home;
use crate::{Error, Result};

const PURGED: &str = ".purged-";
const SHOWN: &str = ".treewal/quarantine";

/// Whether a name in quarantine is that of something thrown away, which goes with the next sweep.
#[must_use]
pub fn is_purged(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PURGED.as_bytes())
}

/// Throws an entry of quarantine away. Call it under the tree's lock. `random` makes a name that nothing has.
///
/// It loses its name first, durably, in one rename: a crash leaves it whole under its own name, or thrown away, and what is
/// then left of it is removed by the next sweep.
///
/// # Errors
/// `NotFound`; any error of the disk. Where the name is gone, an error leaves the rest to the next sweep.
pub fn purge(home: &Home, name: &OsStr, random: u64) -> Result<()> {
    let io = |verb| Error::io(verb, std::path::Path::new(SHOWN).join(name));
    let disk = &*home.disk;
    let away = format!("{PURGED}{random:016x}");
    disk.rename(&home.quarantine, name, &home.quarantine, OsStr::new(&away), Rename::NoReplace)
        .map_err(io("remove"))?;
    disk.sync_dir(&home.quarantine).map_err(io("remove"))?;
    remove_tree(disk, &home.quarantine, OsStr::new(&away)).map_err(io("remove"))?;
    Ok(())
}

/// Removes what was thrown away and is still there. Call it under the tree's lock.
///
/// # Errors
/// Any error of the disk.
pub fn sweep_purged(home: &Home) -> Result<u64> {
    let io = |verb| Error::io(verb, SHOWN);
    let mut swept = 0;
    for entry in home.disk.list(&home.quarantine).map_err(io("list"))? {
        if is_purged(&entry.name) {
            match remove_tree(&*home.disk, &home.quarantine, &entry.name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => {
                    removed.map_err(io("clean"))?;
                    swept += 1;
                }
            }
        }
    }
    Ok(swept)
}
