//! How each entry of a snapshot is kept.

use std::path::PathBuf;

use treewal_snapshot::{Manifest, Mode, Role};
use treewal_vfs::{Disk, Kind};

use crate::{Error, Result};

/// An entry of a snapshot, and how its contents are kept: what it costs, and what that relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotEntry {
    /// Where it was.
    pub path: PathBuf,
    /// What it was.
    pub kind: Kind,
    /// The bytes of a file, holes among them.
    pub bytes: u64,
    /// How its contents are kept, those of a second name as those of the first; [`Mode::None`] for what has none.
    pub mode: Mode,
}

/// Every entry that a snapshot is about, in order; the tree itself is none.
pub(crate) fn kept(disk: &dyn Disk, manifest: &Manifest) -> Result<Vec<SnapshotEntry>> {
    // By place: where names of one file follow the first.
    let mut modes: Vec<Mode> = Vec::new();
    let mut kept = Vec::new();
    for entry in manifest.entries(disk) {
        let entry = entry.map_err(Error::Snapshot)?;
        let first = entry.same_as.and_then(|first| modes.get(first).copied());
        let mode = first.unwrap_or_else(|| entry.mode());
        modes.push(mode);
        if entry.role == Role::Guarded && !entry.path.is_root() {
            let bytes = if entry.meta.kind == Kind::File { entry.meta.size } else { 0 };
            kept.push(SnapshotEntry { path: entry.path.to_path(), kind: entry.meta.kind, bytes, mode });
        }
    }
    Ok(kept)
}
