//! The journal and the identity of the tree.

use std::ops::ControlFlow;

use treewal_journal::{Error as JournalError, Reader, Record, Scan, Tail};
use treewal_recovery::history::History;
use treewal_recovery::home::{Home, read_identity};

use super::{Findings, LOOKS, PAUSE, io, is_held};
use crate::{Error, Result};

/// What was read.
pub(super) struct Seen {
    pub(super) history: History,
}

/// Checks every record, and that the journal belongs to the tree.
pub(super) fn check(home: &Home, findings: &mut Findings) -> Result<Seen> {
    let identity = match read_identity(home) {
        Err(treewal_recovery::Error::Store { reason, .. }) => {
            findings.damage("newer-format", "tree", reason, "use the treewal that wrote it");
            None
        }
        identity => {
            let identity = identity.map_err(Error::from_recovery)?;
            if identity.is_none() {
                let what = "the identity of the tree is missing or unreadable";
                findings.damage("identity-missing", "tree", what, "open the tree: it is taken from the journal");
            }
            identity
        }
    };
    let mut held = is_held(home)?;
    let mut last: Option<(Scan, u32)> = None;
    loop {
        let mut seen = Seen { history: History::default() };
        let mut undecoded = Vec::new();
        let scan = Reader::scan(&*home.disk, &home.journal, identity, &mut |frame| {
            match Record::decode(frame.kind, frame.payload) {
                Ok(record) => seen.history.tell(frame.lsn, record),
                Err(error) => undecoded.push(format!("record {} cannot be decoded: {error}", frame.lsn)),
            }
            ControlFlow::Continue(())
        });
        let scan = match scan {
            Err(error @ JournalError::Version { .. }) => {
                findings.damage("newer-format", "journal", error.to_string(), "use the treewal that wrote it");
                return Ok(seen);
            }
            scan => scan.map_err(Error::Journal)?,
        };
        if matches!(scan.tail, Tail::Clean) && scan.findings.is_empty() {
            tell(&scan, undecoded, held, findings);
            return Ok(seen);
        }
        held |= is_held(home)?;
        let same = last.as_ref().filter(|(before, _)| (before.tail, &before.findings) == (scan.tail, &scan.findings));
        let looks = same.map_or(1, |(_, looks)| looks + 1);
        if looks == LOOKS || !held && looks == 2 {
            tell(&scan, undecoded, held, findings);
            return Ok(seen);
        }
        last = Some((scan, looks));
        std::thread::sleep(PAUSE);
    }
}

fn tell(scan: &Scan, undecoded: Vec<String>, held: bool, findings: &mut Findings) {
    let path = "journal";
    match scan.tail {
        Tail::Clean => {}
        // Whoever holds the tree may be in the middle of a record.
        Tail::Torn { .. } if held => {}
        Tail::Torn { .. } => {
            findings.add("journal-torn", path, scan.tail.to_string(), "nothing acknowledged is missing: open the tree");
        }
        Tail::Corrupt { .. } => {
            let advice = "open the tree: what is damaged goes to quarantine";
            findings.damage("journal-damaged", path, scan.tail.to_string(), advice);
        }
    }
    for finding in &scan.findings {
        let advice = "harmless: it is ignored or cleaned up by the next opening";
        findings.add("journal-odd", path, finding.to_string(), advice);
    }
    for what in undecoded {
        findings.damage("record-unknown", path, what, "a newer treewal may have written it: use that one");
    }
}

/// Whether a guard is still to be ended, by the journal as it is now.
pub(super) fn is_active(home: &Home, txn: u64) -> Result<bool> {
    let read = treewal_recovery::survey::read_history(home, None).map_err(Error::from_recovery);
    let (_, history) = read?;
    let told = history.transactions.get(&txn);
    Ok(told.is_some_and(|told| told.committed.is_none() && !told.rolled_back && !told.quarantined))
}

/// The names in a directory of `.treewal`, sorted.
pub(super) fn names(home: &Home, dir: &treewal_vfs::Dir, shown: &str) -> Result<Vec<std::ffi::OsString>> {
    let mut names: Vec<_> = home.disk.list(dir).map_err(io(shown))?.into_iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    Ok(names)
}
