//! The snapshots of guards: each belongs to a guard that has not ended, or is left by one that has.

use std::io::ErrorKind;
use std::path::Path;

use treewal_recovery::history::Work;
use treewal_recovery::home::Home;
use treewal_recovery::snapshot_kind;
use treewal_recovery::undo::{is_confined, snapshot_dir};
use treewal_snapshot::{Manifest, Stored};
use treewal_vfs::RelPath;

use super::journal::{Seen, is_active, names};
use super::{Findings, is_held, stays};
use crate::{Error, Result};

const LOST: &str = "open the tree: what can be restored is, and the rest goes to quarantine; look there";

pub(super) fn check(home: &Home, seen: &Seen, findings: &mut Findings) -> Result<()> {
    let mut active = Vec::new();
    for (txn, told) in &seen.history.transactions {
        let Work::Guarded(guard) = &told.work else { continue };
        if told.committed.is_some() || told.rolled_back || told.quarantined {
            continue;
        }
        active.push(guard.snapshot.as_str());
        if let Some(what) = usable(home, &guard.snapshot)? {
            // It may have ended meanwhile, and its snapshot gone.
            if is_active(home, *txn)? {
                findings.damage("guard-damaged", Path::new("guards").join(&guard.snapshot), what, LOST);
            }
        }
    }
    // A guard takes its snapshot under the lock, and its record comes after it.
    if is_held(home)? {
        return Ok(());
    }
    let left: Vec<_> = names(home, &home.guards, "guards")?
        .into_iter()
        .filter(|name| !active.iter().any(|one| name == *one))
        .collect();
    for name in left {
        if !stays(home, &home.guards, &name)? {
            continue;
        }
        let path = Path::new("guards").join(&name);
        let what = format!("{path:?} is the snapshot of a guard that has ended");
        findings.add("guard-leftover", &path, what, "harmless: the next opening removes it");
    }
    Ok(())
}

/// What is wrong with a snapshot; reads all of it.
fn usable(home: &Home, name: &str) -> Result<Option<String>> {
    let from = match snapshot_dir(home, name) {
        Ok(from) => from,
        Err(error) => return Ok(Some(format!("the snapshot of a guard cannot be opened: {error}"))),
    };
    let disk = &*home.disk;
    let checked = Manifest::load(disk, &from).and_then(|manifest| {
        let stored = Stored::open(disk, &from, &manifest)?;
        let mut lost = stored.unusable()?;
        lost.retain(|path| !is_used_up(home, &stored, path));
        Ok((is_confined(&manifest), lost))
    });
    match checked {
        Ok((true, lost)) if lost.is_empty() => Ok(None),
        // Whoever holds the tree may be bringing the contents back, which takes them out of the snapshot.
        Ok((true, _)) if is_held(home)? => Ok(None),
        Ok((true, lost)) => Ok(Some(format!("the snapshot of a guard has lost the contents of {lost:?}"))),
        Ok((false, _)) => Ok(Some("the snapshot of a guard reaches into .treewal".to_owned())),
        Err(error @ treewal_snapshot::Error::Io { .. }) if snapshot_kind(&error) != ErrorKind::NotFound => {
            Err(Error::Snapshot(error))
        }
        Err(error) => Ok(Some(format!("the snapshot of a guard cannot be read: {error}"))),
    }
}

/// Whether an undo that was cut short has brought the contents of a path back already: then the backup stands there.
fn is_used_up(home: &Home, stored: &Stored<'_>, path: &RelPath) -> bool {
    let backup = stored.entry(path).and_then(|entry| entry.backup.as_ref());
    let live = path.split().and_then(|(parent, name)| {
        let dir = home.disk.open_dir(&home.root, &parent).ok()?;
        home.disk.stat(&dir, name).ok()
    });
    backup.zip(live).is_some_and(|(backup, live)| (backup.ino, backup.born) == (live.ino, live.born))
}
