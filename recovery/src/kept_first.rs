//! What an undo would take, kept before it does: where the snapshot of a guard may not belong to what stands in the tree.
//!
//! A tree that is restored from a backup, or whose `.treewal` is, can hold a guard that was alive when the backup was made. The
//! next opening undoes it, and what stands at its paths may be years of somebody's work. Three signs tell of that:
//!
//! | sign | what was restored or copied |
//! |---|---|
//! | `.treewal/tree` says that it was written into another directory | all of `.treewal`, with the tree or without |
//! | it says that it was written in another tree | the tree, around a `.treewal` that was moved into it |
//! | the contents that the snapshot keeps are other inodes than those that it wrote | what is in `.treewal`, into the directory that was there |
//!
//! Then all that would be overwritten or removed, and is not as the snapshot has it, is copied to the case of the transaction
//! first. Nothing says of a byte whether the guarded program wrote it or somebody later, so it is kept of either.
//!
//! # What survives a crash
//! The case and everything beneath it is on the disk before the first change in the tree: report, then copies, then one sync of
//! the file system, and only then the undo. A crash before that sync finds the tree as it was, and the next try copies again,
//! under new names where a copy was cut short. A crash after it finds each path either as it was, and it is copied again, or as
//! the snapshot has it, and then the first copy is complete. The copies of the backups in the snapshot are durable as of the
//! same sync, so none of them can be put into the tree and torn by the power loss after it.

use std::ffi::OsStr;
use std::io;

use treewal_snapshot::{Check, Manifest, displaced, is_copy};
use treewal_vfs::{Dir, Kind};

use crate::history::Told;
use crate::home::Home;
use crate::quarantine::Case;
use crate::{Error, Result};

const WHY: &str = "tree or .treewal is a copy: this stood here, and the state before the guard takes its place";

/// Whether a snapshot may be of another time, or another tree, than what stands in this one.
///
/// # Errors
/// Any error of the disk or of the snapshot.
pub(crate) fn is_doubtful(home: &Home, copied: bool, from: &Dir, manifest: &Manifest) -> Result<bool> {
    Ok(copied || is_copy(&*home.disk, &home.root, from, manifest)?)
}

/// Keeps what an undo would take, durably; gives the name of the case, also where an earlier try has made it.
///
/// # Errors
/// Any error of the disk or of the snapshot. Nothing was changed in the tree.
pub(crate) fn keep_first(
    home: &Home,
    txn: u64,
    told: &Told,
    from: &Dir,
    manifest: &Manifest,
) -> Result<Option<String>> {
    let found = displaced(&*home.disk, &home.root, from, manifest, Check::Contents)?;
    if found.is_empty() {
        return existing(home, txn);
    }
    let mut case = Case::open(home, txn, Some(told))?;
    case.because("undo", "tree or .treewal is a copy, and these paths were not as they were before the guard");
    case.say(&format!("transaction {txn} was undone in a copy; what stood at its paths is here:"));
    for found in &found {
        case.keep_found(found, WHY)?;
    }
    let name = case.close()?;
    home.disk.sync_all(&home.root).map_err(Error::io("sync", "."))?;
    tracing::warn!(txn, case = name, kept = found.len(), "the undo of a guard in a copy: what it takes was kept first");
    Ok(Some(name))
}

/// The name of the case of a transaction, where an earlier try has made one.
fn existing(home: &Home, txn: u64) -> Result<Option<String>> {
    let name = format!("txn-{txn}");
    match home.disk.stat(&home.quarantine, OsStr::new(&name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => {
            let found = found.map_err(Error::io("look at", format!(".treewal/quarantine/{name}")))?;
            Ok((found.kind == Kind::Dir).then_some(name))
        }
    }
}
