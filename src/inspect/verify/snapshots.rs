//! Named snapshots, contents among them.

use std::path::Path;

use treewal_recovery::home::{Home, is_draft, open_snapshots};

use super::journal::names;
use super::{Findings, io, stays};
use treewal_vfs::Kind;

use crate::snapshot::list;
use crate::{Error, Result, Snapshot};

pub(super) fn check(home: &Home, findings: &mut Findings) -> Result<()> {
    for snapshot in list(home)? {
        if !matches!(snapshot.verify(), Ok(lost) if lost.is_empty()) {
            // Somebody may have removed it meanwhile, and taken another of that name.
            if let Some(snapshot) = list(home)?.iter().find(|other| other.name() == snapshot.name()) {
                tell(home, snapshot, findings)?;
            }
        }
    }
    let Some(dir) = open_snapshots(home).map_err(Error::from_recovery)? else { return Ok(()) };
    for entry in home.disk.list(&dir).map_err(io("snapshots"))? {
        let kind = home.disk.stat(&dir, &entry.name).map(|meta| meta.kind);
        if kind.is_ok_and(|kind| kind != Kind::Dir) {
            let path = Path::new("snapshots").join(&entry.name);
            let what = format!("{path:?} is no snapshot");
            findings.damage("snapshot-odd", &path, what, "look what it is, and move it away");
        }
    }
    // Whoever takes or removes a snapshot holds the tree.
    for name in names(home, &dir, "snapshots")?.iter().filter(|name| is_draft(name)) {
        if !stays(home, &dir, name)? {
            continue;
        }
        let path = Path::new("snapshots").join(name);
        let what = format!("{path:?} is a snapshot that is half made or half removed");
        findings.add("snapshot-leftover", &path, what, "harmless: the next opening removes it");
    }
    Ok(())
}

/// Looks at one, and says what is wrong with it where it is there still.
fn tell(home: &Home, snapshot: &Snapshot, findings: &mut Findings) -> Result<()> {
    let name = snapshot.name();
    let path = Path::new("snapshots").join(name);
    let verified = snapshot.verify();
    if !list(home)?.iter().any(|other| other.name() == name) {
        return Ok(());
    }
    match verified {
        Ok(lost) => lost.iter().for_each(|gone| {
            let what = format!("the snapshot {name:?} has lost the contents of {gone:?}");
            let advice = "the rest of it can be restored: name the paths, or remove it";
            findings.damage("snapshot-lost", &path, what, advice);
        }),
        Err(Error::Snapshot(error)) => {
            let what = format!("the snapshot {name:?} cannot be read: {error}");
            findings.damage("snapshot-unreadable", &path, what, "its contents lie there without names: remove it");
        }
        Err(Error::Store { reason, .. }) => {
            findings.damage("snapshot-unreadable", &path, reason, "look what is in it, and remove it");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
