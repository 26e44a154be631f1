//! Bringing the paths of a guard back, also where somebody goes on writing to them.

use std::sync::Arc;

use treewal_journal::record::Record;
use treewal_recovery::undo::bring_back;
use treewal_snapshot::Check;

use crate::engine::{Engine, Held};
use crate::{Error, Result};

impl Engine {
    /// Rolls guards back, the innermost first, and gives what the journal is to say of them. Nothing is synced.
    pub(super) fn bring_all_back(&self, guards: &[Arc<Held>]) -> Result<Vec<Record>> {
        let back = guards.iter().rev().map(|held| {
            let (disk, root) = (&**self.disk(), self.root());
            bring_back(disk, root, &held.from, Check::Attributes, held.exchange).map_err(restless)?;
            Ok(Record::Rollback { txn: held.txn() })
        });
        back.collect()
    }
}

/// What a rollback says of a path that does not come to rest.
fn restless(error: treewal_recovery::Error) -> Error {
    match error {
        treewal_recovery::Error::Snapshot(treewal_snapshot::Error::Changed { path }) => {
            let path = if path.is_root() { ".".into() } else { path.to_path() };
            let detail = "it is written to while it is restored: whoever does that must end first".to_owned();
            Error::Conflict { path, detail }
        }
        other => Error::from_recovery(other),
    }
}
