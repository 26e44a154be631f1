//! A check of everything treewal keeps in a tree. Changes nothing.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;
use treewal_journal::{Reader, Record, Tail};
use treewal_recovery::home::{Home, read_identity};
use treewal_vfs::RelPath;

use super::home;
use crate::snapshot::list;
use crate::{Error, Result};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Whether acknowledged work may be affected.
    pub damage: bool,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// Checks the journal record by record, the named snapshots with all they keep, the identity of the tree, and who may read what treewal keeps. Nothing is found
/// in a tree that is in order, or that treewal was never used on.
///
/// # Errors
/// Any error of the disk, a journal of a newer format.
pub fn verify(path: impl AsRef<Path>) -> Result<Vec<Finding>> {
    let Some(home) = home(path.as_ref())? else { return Ok(Vec::new()) };
    let mut findings = Vec::new();
    let mut find = |damage, what: String, advice| findings.push(Finding { damage, what, advice });

    let identity = read_identity(&home).map_err(Error::from_recovery)?;
    let mut undecoded = Vec::new();
    let scan = Reader::scan(&*home.disk, &home.journal, identity, &mut |frame| {
        if let Err(error) = Record::decode(frame.kind, frame.payload) {
            undecoded.push(format!("record {} cannot be decoded: {error}", frame.lsn));
        }
        ControlFlow::Continue(())
    })
    .map_err(Error::Journal)?;
    if identity.is_none() {
        find(
            true,
            "the identity of the tree is missing or unreadable".into(),
            "open the tree: it is taken from the journal",
        );
    }
    match scan.tail {
        Tail::Clean => {}
        Tail::Torn { .. } => find(false, scan.tail.to_string(), "nothing acknowledged is missing: open the tree"),
        Tail::Corrupt { .. } => find(true, scan.tail.to_string(), "open the tree: what is damaged goes to quarantine"),
    }
    for finding in &scan.findings {
        find(false, finding.to_string(), "harmless: it is ignored or cleaned up by the next opening");
    }
    for what in undecoded {
        find(true, what, "a newer treewal may have written it: use that one");
    }
    let mode =
        home.disk.stat_dir(&home.dot).map_err(|source| Error::from_os("look at", ".treewal".into(), source))?.mode;
    if mode & 0o077 != 0 {
        find(
            false,
            format!(".treewal can be entered by others (mode {mode:04o})"),
            "open the tree: it is closed to them",
        );
    }
    snapshots(&home, &mut find)?;
    let quarantine = home.disk.list(&home.quarantine);
    for entry in quarantine.map_err(|source| Error::from_os("list", ".treewal/quarantine".into(), source))? {
        let path = RelPath::root().join(".treewal").join("quarantine").join(&entry.name);
        find(
            true,
            format!("{path} holds what recovery could not place"),
            "read its report.txt, take what you need, and remove it",
        );
    }
    Ok(findings)
}

/// Reads every named snapshot, contents among it.
fn snapshots(home: &Home, find: &mut impl FnMut(bool, String, &'static str)) -> Result<()> {
    for snapshot in list(home)? {
        let name = snapshot.name();
        match snapshot.verify() {
            Ok(lost) => lost.iter().for_each(|path| {
                let what = format!("the snapshot {name:?} has lost the contents of {path:?}");
                find(true, what, "the rest of it can be restored: name the paths, or remove it");
            }),
            // Somebody removed it meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound && error.path().is_some() => {}
            Err(Error::Snapshot(error)) => {
                find(
                    true,
                    format!("the snapshot {name:?} cannot be read: {error}"),
                    "its contents lie there without names: remove it",
                );
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
