//! Quarantine for people and programs: what is there, bringing it back, taking it out, throwing it away.
//!
//! Whoever may write to `.treewal` may have put anything there. So no name in a report is trusted: paths are those of any
//! other transaction, and files are looked for beneath their case, through no link.

mod case;
mod export;
mod guarded;
mod leave;
mod moved;
mod retry;
mod staged;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use treewal_recovery::home::{DIR_NAME, Home};
use treewal_recovery::quarantine::{is_purged, purge};
use treewal_vfs::{RelPath, random};

use crate::engine::Core;
use crate::{Error, Result};
pub use export::Exported;
pub(crate) use export::export;
pub use retry::{Retried, Retry, RetryConflict, RetryStep};

/// Where all of this lies, for people.
pub(crate) fn shown(id: &std::ffi::OsStr) -> PathBuf {
    Path::new(DIR_NAME).join("quarantine").join(id)
}

/// Something in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Quarantined {
    /// Its name below `.treewal/quarantine`.
    pub id: String,
    /// `staged` or `guarded` for what a transaction holds, `publish` for what was to be published, `journal` for a damaged
    /// segment, `lost` for what stood in the place of a part of `.treewal`, `other` for anything else.
    pub kind: &'static str,
    /// The transaction.
    pub transaction: Option<u64>,
    /// Why it is here, as the row of the decision table; empty where nothing tells.
    pub label: String,
    /// The same for people.
    pub reason: String,
    /// Since when, by the clock of the machine.
    pub since: SystemTime,
    /// Bytes of disk that it takes.
    pub bytes: u64,
    /// Whether a report says what belongs where. Without one it can be exported as it is.
    pub has_report: bool,
    /// The paths that it is about, relative to the tree; of a guard the guarded ones. As the report says them: nobody has
    /// checked that they are any.
    pub paths: Vec<PathBuf>,
}

/// What is in an entry of quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QuarantineDetails {
    /// The entry itself.
    #[serde(flatten)]
    pub entry: Quarantined,
    /// How many tries to finish or undo the transaction were made.
    pub tries: u32,
    /// What it holds, by path.
    pub items: Vec<QuarantineItem>,
    /// What the report for people says; of a long one the beginning.
    pub report: String,
}

/// A path that an entry of quarantine is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QuarantineItem {
    /// The path, relative to the tree.
    pub path: PathBuf,
    /// `file`, `dir`, `symlink`, `link`, `moved`, `absent` or `attributes`: what was to stand there; or for a guard what
    /// stood there.
    pub goal: &'static str,
    /// Why it is here.
    pub reason: String,
    /// Where the contents are, relative to the tree; none where there are none.
    pub file: Option<PathBuf>,
}

/// What is in quarantine, by name.
pub(crate) fn list(home: &Home) -> Result<Vec<Quarantined>> {
    names(home)?
        .iter()
        .filter_map(|name| case::Case::open(home, name).transpose())
        .map(|case| case?.summary())
        .collect()
}

/// Bytes of disk that all of it takes.
pub(crate) fn bytes(home: &Home) -> Result<u64> {
    let listed = names(home)?;
    listed.iter().map(|name| case::bytes(home, name)).try_fold(0_u64, |sum, bytes| Ok(sum.saturating_add(bytes?)))
}

/// What an entry lacks of what its report names.
pub(crate) fn incomplete(home: &Home, name: &std::ffi::OsStr) -> Result<Vec<String>> {
    case::Case::open(home, name)?.map_or_else(|| Ok(Vec::new()), |case| case.incomplete())
}

/// What is in one entry.
pub(crate) fn show(home: &Home, id: &str) -> Result<QuarantineDetails> {
    find(home, id)?.details()
}

/// The names of the entries, sorted. What was thrown away is none.
pub(crate) fn names(home: &Home) -> Result<Vec<OsString>> {
    let entries = home.disk.list(&home.quarantine);
    let entries = entries.map_err(|source| Error::from_os("list", Path::new(DIR_NAME).join("quarantine"), source))?;
    let mut names: Vec<OsString> =
        entries.into_iter().map(|entry| entry.name).filter(|name| !is_purged(name)).collect();
    names.sort_unstable();
    Ok(names)
}

/// The entry of that name.
fn find<'a>(home: &'a Home, id: &str) -> Result<case::Case<'a>> {
    let missing = || Error::from_os("find", shown(id.as_ref()), io::ErrorKind::NotFound.into());
    // What cannot be written down is called by what is shown of it.
    let name = names(home)?.into_iter().find(|name| name.to_string_lossy() == id).ok_or_else(missing)?;
    case::Case::open(home, &name)?.ok_or_else(missing)
}

impl Core {
    /// Throws an entry away. It may share files with the tree, so all that was committed is settled first, as where a named
    /// snapshot is removed.
    pub(crate) fn purge_quarantine(&self, id: &str) -> Result<()> {
        let mut hold = self.hold_beside_guards()?;
        let name = find(self.home(), id)?.name;
        hold.checkpoint()?;
        tracing::info!(id, "what was in quarantine is thrown away, as was asked for");
        purge(self.home(), &name, random()).map_err(Error::from_recovery)
    }

    /// Says that quarantine takes more room than it should; nothing is removed.
    pub(crate) fn warn_of_quarantine(&self) {
        let limit = self.options().quarantine_limit;
        match bytes(self.home()) {
            Ok(bytes) if bytes > limit => {
                tracing::warn!(bytes, limit, "quarantine has grown beyond its limit; nothing in it goes by itself");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "quarantine cannot be looked through");
            }
        }
    }
}

/// A path of the tree, where it is one: not the tree itself, and not treewal's own.
fn path_of(bytes: &[u8]) -> Option<RelPath> {
    let path = RelPath::from_bytes(bytes).ok().filter(|path| !path.is_root())?;
    crate::path::parse(&path.to_path()).ok()
}
